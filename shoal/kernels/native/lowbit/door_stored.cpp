// The door to products with trits and bit planes as they are stored.
#include "door.hpp"

#include <nanobind/stl/string.h>

#include "lookup.hpp"
#include "trits.hpp"

namespace nb = nanobind;

namespace shoal::lowbit {
namespace {

void trit_product(const std::string &name, In<float> x, bool by_token, In<std::uint8_t> codes, In<std::uint8_t> signs,
                  In<float> scales, Out<float> y, int threads) {
    const Path &path = path_of(name);
    if (threads < 1) refuse("at least one thread");
    if (x.ndim() != 2 || codes.ndim() != 2 || y.ndim() != 2) refuse("x, codes or y are no matrix");
    const auto tokens = static_cast<std::int64_t>(x.shape(0)), columns = static_cast<std::int64_t>(x.shape(1));
    const auto rows = static_cast<std::int64_t>(codes.shape(0)), bytes = static_cast<std::int64_t>(codes.shape(1));
    const Trits w{codes.data(), signs.size() ? signs.data() : nullptr, scales.data(), rows, bytes};
    if (columns < 1 || bytes != (columns + w.width() - 1) / w.width()) refuse("codes of other columns");
    if (w.signs) need(signs, rows * 2 * w.sign_bytes(), "signs");
    need(scales, rows, "scales"), need(y, tokens * rows, "y");
    float *const out = y.data();
    nb::gil_scoped_release unlocked;
    const TritInputs inputs = trit_inputs(x.data(), tokens, columns, w, by_token);
    shared_out(rows, threads, [&](std::int64_t begin, std::int64_t end) { path.trits(w, inputs, out, begin, end); });
}

void lookup_product(const std::string &name, In<float> x, std::int64_t group, In<std::uint8_t> codes,
                    In<std::uint16_t> scales, In<std::uint16_t> zeros, Out<float> y, int threads) {
    const Path &path = path_of(name);
    if (threads < 1) refuse("at least one thread");
    if (x.ndim() != 2 || y.ndim() != 2 || codes.ndim() != 4) refuse("x or y are no matrix, or codes no blocks");
    const auto tokens = static_cast<std::int64_t>(x.shape(0)), columns = static_cast<std::int64_t>(x.shape(1));
    const auto rows = static_cast<std::int64_t>(y.shape(1)), planes = static_cast<std::int64_t>(codes.shape(2));
    if (columns < 1 || group < 1 || group % kStep) refuse("groups are of 32 columns, 64, 96 …");
    if (planes < 1 || planes > kMostPlanes) refuse("there are 1 to 4 planes");
    const std::int64_t steps = (columns + kStep - 1) / kStep, groups = (columns + group - 1) / group;
    BitPlanes w{codes.data(), scales.data(), zeros.data(), rows, steps, static_cast<int>(planes), false};
    w.one_scale = static_cast<std::int64_t>(zeros.size()) == w.tiles() * kTile;
    const std::int64_t parts = w.tiles() * kTile * (w.one_scale ? 1 : groups);
    need(codes, w.tiles() * steps * planes * kBlock, "codes"), need(y, tokens * rows, "y");
    need(scales, parts * planes, "scales"), need(zeros, parts, "zeros");
    float *const out = y.data();
    nb::gil_scoped_release unlocked;
    LookupInputs inputs = lookup_inputs(x.data(), tokens, columns, group / kStep);
    if (path.tables) tabulate(inputs);
    shared_out(w.tiles(), threads, [&](std::int64_t begin, std::int64_t end) { path.lookup(w, inputs, out, begin, end); });
}

}  // namespace

void add_stored(nb::module_ &module) {
    module.def("trit_product", &trit_product, nb::arg("path"), nb::arg("x").noconvert(), nb::arg("by_token"),
               nb::arg("codes").noconvert(), nb::arg("signs").noconvert(), nb::arg("scales").noconvert(),
               nb::arg("y").noconvert(), nb::arg("threads"));
    module.def("lookup_product", &lookup_product, nb::arg("path"), nb::arg("x").noconvert(), nb::arg("group"),
               nb::arg("codes").noconvert(), nb::arg("scales").noconvert(), nb::arg("zeros").noconvert(),
               nb::arg("y").noconvert(), nb::arg("threads"));
}

}  // namespace shoal::lowbit
