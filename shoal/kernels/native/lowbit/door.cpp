// The door to Python: arrays in, arrays out, every size checked; the work is done without the interpreter's lock.
#include "door.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace shoal::lowbit;

namespace {

constexpr const Path *kPaths[] = {
#if defined(__x86_64__)
    &kAvx512, &kAvx2,
#elif defined(__aarch64__)
    &kNeon,
#endif
    &kPortable,
};

std::vector<std::string> paths() {
    std::vector<std::string> found;
    for (const Path *path : kPaths)
        if (path->there()) found.emplace_back(path->name);
    return found;
}

void crowded(const Many &many, const Weights &w, const Activations &x, float *y, int threads) {
    std::vector<std::int8_t> codes(x.tokens * w.blocks * (8 / w.bits) * kBlock);
    std::vector<float> scales(x.tokens * w.blocks * w.groups), sums(scales);
    const Crowd all{codes.data(), scales.data(), sums.data(), x.tokens, (x.tokens + many.most - 1) / many.most};
    gather(w, x, all.parts, codes.data(), scales.data(), sums.data());
    shared_out(w.rows, threads, [&](std::int64_t begin, std::int64_t end) { many.product(w, all, y, begin, end); });
}

void product(const std::string &name, In<std::uint8_t> codes, In<std::uint16_t> scales, In<std::uint8_t> zeros, int zero,
             int bits, int groups, std::int64_t blocks, In<std::int8_t> acts, In<float> act_scales,
             In<std::int32_t> act_sums, Out<float> y, int threads) {
    const Path &path = path_of(name);
    if (threads < 1) refuse("at least one thread");
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8) refuse("bits are 1, 2, 4 or 8");
    if (groups != 1 && groups != 2 && groups != 4 && groups != 8) refuse("groups of a block are 1, 2, 4 or 8");
    if (y.ndim() != 2 || blocks < 1) refuse("y is no matrix, or there are no blocks");
    const auto tokens = static_cast<std::int64_t>(y.shape(0)), rows = static_cast<std::int64_t>(y.shape(1));
    const bool one_scale = static_cast<std::int64_t>(scales.size()) == rows && rows != rows * blocks * groups;
    need(codes, rows * blocks * kBlock, "codes");
    if (!one_scale) need(scales, rows * blocks * groups, "scales");
    if (zeros.size()) need(zeros, static_cast<std::int64_t>(scales.size()), "zeros");
    need(acts, tokens * blocks * (8 / bits) * kBlock, "activations");
    need(act_scales, tokens * blocks * kLanes, "their scales");
    need(act_sums, tokens * blocks * kLanes, "their sums");
    const Weights w{codes.data(), scales.data(), zeros.size() ? zeros.data() : nullptr, rows, blocks, bits, groups,
                    one_scale, zero};
    float *const out = y.data();
    nb::gil_scoped_release unlocked;
    const Activations x{acts.data(), act_scales.data(), act_sums.data(), tokens};
    if (tokens < kMany)
        shared_out(rows, threads, [&](std::int64_t begin, std::int64_t end) { path.product(w, x, out, begin, end); });
    else
        crowded(path.many, w, x, out, threads);
}

void taken(const std::string &name, In<float> x, int bits, int groups, std::int64_t group, std::int64_t blocks, Out<std::int8_t> codes,
          Out<float> scales, Out<std::int32_t> sums, Out<float> totals) {
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8) refuse("bits are 1, 2, 4 or 8");
    if (groups != 1 && groups != 2 && groups != 4 && groups != 8) refuse("groups of a block are 1, 2, 4 or 8");
    if (group * groups != kBlock * 8 / bits) refuse("groups do not fill a block");
    if (x.ndim() != 2 || blocks < 1) refuse("x is no matrix, or there are no blocks");
    const auto tokens = static_cast<std::int64_t>(x.shape(0)), columns = static_cast<std::int64_t>(x.shape(1));
    if (columns > blocks * groups * group) refuse("too few blocks");
    need(codes, tokens * blocks * (8 / bits) * kBlock, "activations");
    need(scales, tokens * blocks * kLanes, "their scales");
    need(sums, tokens * blocks * kLanes, "their sums");
    need(totals, tokens * ((columns + group - 1) / group), "their totals");
    const Order order{8 / bits, groups, group, blocks};
    const Path &path = path_of(name);
    nb::gil_scoped_release unlocked;
    path.many.take(x.data(), tokens, columns, order, codes.data(), scales.data(), sums.data(), totals.data());
}

void signs(const std::string &name, In<std::uint64_t> weights, In<std::uint64_t> inputs, std::int64_t columns,
           Out<std::int32_t> y) {
    const Path &path = path_of(name);
    if (y.ndim() != 2 || columns < 1) refuse("y is no matrix, or there are no columns");
    const auto tokens = static_cast<std::int64_t>(y.shape(0)), rows = static_cast<std::int64_t>(y.shape(1));
    const std::int64_t words = (columns + 63) / 64;
    need(weights, rows * words, "weights"), need(inputs, tokens * words, "inputs");
    std::int32_t *const out = y.data();
    nb::gil_scoped_release unlocked;
    path.signs(weights.data(), inputs.data(), rows, tokens, words, columns, out);
}

}  // namespace

const Path &shoal::lowbit::path_of(const std::string &name) {
    for (const Path *path : kPaths)
        if (path->there() && (name.empty() || name == path->name)) return *path;
    refuse("this machine has no kernels '" + name + "'");
}

NB_MODULE(_lowbit, module) {
    module.doc() = "Products in few bits; `shoal.kernels.lowbit` is their door.";
    module.def("paths", &paths);
    module.def("product", &product, nb::arg("path"), nb::arg("codes").noconvert(), nb::arg("scales").noconvert(),
               nb::arg("zeros").noconvert(), nb::arg("zero"), nb::arg("bits"), nb::arg("groups"), nb::arg("blocks"),
               nb::arg("acts").noconvert(), nb::arg("act_scales").noconvert(), nb::arg("act_sums").noconvert(),
               nb::arg("y").noconvert(), nb::arg("threads"));
    module.def("take", &taken, nb::arg("path"), nb::arg("x").noconvert(), nb::arg("bits"), nb::arg("groups"), nb::arg("group"),
               nb::arg("blocks"), nb::arg("codes").noconvert(), nb::arg("scales").noconvert(), nb::arg("sums").noconvert(),
               nb::arg("totals").noconvert());
    module.def("signs", &signs, nb::arg("path"), nb::arg("weights").noconvert(), nb::arg("inputs").noconvert(),
               nb::arg("columns"), nb::arg("y").noconvert());
    add_stored(module);
}
