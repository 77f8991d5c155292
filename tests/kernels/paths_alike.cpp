// Another instruction set's kernels against the portable ones, on random codes: exits 0 and prints how many products agreed.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "lookup.hpp"
#include "lowbit.hpp"
#include "trits.hpp"

using namespace shoal::lowbit;

#if defined(__aarch64__)
constexpr const Path &kOther = kNeon;
#else
constexpr const Path &kOther = kAvx2;
#endif

namespace {

std::mt19937 source(7);

template <class Number>
std::vector<Number> drawn(std::size_t count, int least, int most) {
    std::uniform_int_distribution<int> law(least, most);
    std::vector<Number> found(count);
    for (Number &each : found) each = static_cast<Number>(law(source));
    return found;
}

bool alike(const std::vector<float> &one, const std::vector<float> &other) {
    float most = 0;
    for (float each : one) most = std::fmax(most, std::fabs(each));
    for (std::size_t i = 0; i < one.size(); ++i)
        if (!(std::fabs(one[i] - other[i]) <= 2e-6f * most)) {
            std::printf("value %d: %g is not %g\n", int(i), other[i], one[i]);
            return false;
        }
    return true;
}

bool products_agree(int bits, int groups, std::int64_t tokens, bool with_zeros, bool one_scale) {
    const std::int64_t rows = 37, blocks = 3, width = 8 / bits;
    const auto codes = drawn<std::uint8_t>(rows * blocks * kBlock, 0, 255);
    const std::int64_t parts = one_scale ? rows : rows * blocks * groups;
    auto scales = drawn<Half>(parts, 0x2e00, 0x3c00);  // 0.1 to 1 in binary16
    const auto zeros = drawn<std::uint8_t>(parts, 0, (1 << bits) - 1);
    const auto acts = drawn<std::int8_t>(tokens * blocks * width * kBlock, -127, 127);
    std::vector<std::int32_t> sums(tokens * blocks * kLanes, 0);
    for (std::int64_t at = 0; at < tokens * blocks; ++at)
        for (int p = 0; p < width; ++p)
            for (int j = 0; j < kBlock; ++j) sums[at * kLanes + j / 4] += acts[(at * width + p) * kBlock + j];
    std::vector<float> act_scales(sums.size(), 0.01f);
    const Weights w{codes.data(), scales.data(), with_zeros ? zeros.data() : nullptr, rows, blocks, bits, groups,
                    one_scale, 1 << (bits - 1)};
    const Activations x{acts.data(), act_scales.data(), sums.data(), tokens};
    std::vector<float> one(tokens * rows, 0.5f);
    const std::vector<float> before(one);
    kPortable.product(w, x, one.data(), 0, rows);
    std::vector<float> other(before);
    kOther.product(w, x, other.data(), 0, rows);
    if (!alike(one, other)) return false;
    for (const Many *many : {&kPortable.many, &kOther.many}) {
        std::vector<std::int8_t> codes_of(acts.size());
        std::vector<float> scales_of(tokens * blocks * groups), sums_of(scales_of);
        const Crowd crowd{codes_of.data(), scales_of.data(), sums_of.data(), tokens, (tokens + many->most - 1) / many->most};
        gather(w, x, crowd.parts, codes_of.data(), scales_of.data(), sums_of.data());
        std::vector<float> found(before);
        many->product(w, crowd, found.data(), 0, 17), many->product(w, crowd, found.data(), 17, rows);
        if (!alike(one, found)) return false;
    }
    return true;
}

bool signs_agree(std::int64_t columns) {
    const std::int64_t rows = 7, tokens = 3, words = (columns + 63) / 64;
    const auto bytes = drawn<std::uint64_t>((rows + tokens) * words, 0, 1 << 30);
    std::vector<std::int32_t> one(rows * tokens), other(one);
    kPortable.signs(bytes.data(), bytes.data() + rows * words, rows, tokens, words, columns, one.data());
    kOther.signs(bytes.data(), bytes.data() + rows * words, rows, tokens, words, columns, other.data());
    return one == other;
}

bool same(const std::vector<float> &one, const std::vector<float> &other, const char *what, std::int64_t columns) {
    for (std::size_t i = 0; i < one.size(); ++i)
        if (one[i] != other[i]) {
            std::printf("%s of %d columns: %g is not %g\n", what, int(columns), other[i], one[i]);
            return false;
        }
    return true;
}

// Whole numbers; with scales of 1 for them, and of 1 and a half for weights, every product is exact.
std::vector<float> whole(std::int64_t tokens, std::int64_t columns) {
    const auto codes = drawn<std::int8_t>(tokens * columns, -127, 127);
    return {codes.begin(), codes.end()};
}

bool trits_agree(std::int64_t columns, std::int64_t tokens, bool signs) {
    const std::int64_t rows = 5, bytes = signs ? (columns + 5) / 6 : (columns + 4) / 5;
    auto codes = drawn<std::uint8_t>(rows * bytes, 0, 242);
    if (signs)
        for (auto &each : codes) each = static_cast<std::uint8_t>(each % 14 | each / 18 << 4);
    const auto bits = drawn<std::uint8_t>(rows * 2 * ((bytes + 7) / 8), 0, 255);
    const std::vector<float> scales(rows, 0.5f);
    const Trits w{codes.data(), signs ? bits.data() : nullptr, scales.data(), rows, bytes};
    TritInputs x = trit_inputs(whole(tokens, columns).data(), tokens, columns, w, columns % 2);
    for (float &each : x.scales) each = 1;
    std::vector<float> one(tokens * rows), other(one);
    kPortable.trits(w, x, one.data(), 0, rows);
    kOther.trits(w, x, other.data(), 0, rows);
    return same(one, other, "trits", columns);
}

bool lookups_agree(std::int64_t columns, int planes, bool one_scale) {
    const std::int64_t rows = 21, tokens = 2, wide = 2;
    LookupInputs x = lookup_inputs(whole(tokens, columns).data(), tokens, columns, wide);
    tabulate(x);
    for (float &each : x.scales) each = 1;
    for (float &each : x.totals) each = std::round(each);
    BitPlanes w{nullptr, nullptr, nullptr, rows, x.steps, planes, one_scale};
    const std::int64_t parts = w.tiles() * kTile * (one_scale ? 1 : x.groups);
    const auto codes = drawn<std::uint8_t>(w.tiles() * x.steps * planes * kBlock, 0, 255);
    std::vector<Half> scales(parts * planes), zeros(parts);
    for (Half &each : scales) each = source() % 2 ? 0x3c00 : 0xb800;  // 1, −0.5
    for (Half &each : zeros) each = source() % 2 ? 0x4000 : 0xbc00;   // 2, −1
    w.codes = codes.data(), w.scales = scales.data(), w.zeros = zeros.data();
    std::vector<float> one(tokens * rows), other(one);
    kPortable.lookup(w, x, one.data(), 0, w.tiles());
    kOther.lookup(w, x, other.data(), 0, w.tiles());
    return same(one, other, "planes", columns);
}

}  // namespace

int main() {
    int agreed = 0;
    for (int bits : {1, 2, 4, 8})
        for (int groups : {1, 2, 4, 8})
            for (std::int64_t tokens : {1, 4, 6, 17})
                for (int kind = 0; kind < 4; ++kind) {
                    if (!products_agree(bits, groups, tokens, kind & 1, kind & 2)) {
                        std::printf("bits %d groups %d tokens %d kind %d\n", bits, groups, int(tokens), kind);
                        return 1;
                    }
                    ++agreed;
                }
    for (std::int64_t columns : {1, 64, 100, 128, 1000, 4096}) {
        if (!signs_agree(columns)) return 1;
        ++agreed;
    }
    for (std::int64_t columns : {1, 64, 320, 321, 385, 1000, 4096})
        for (std::int64_t tokens : {1, 5})
            for (bool signs : {false, true}) {
                if (!trits_agree(columns, tokens, signs)) return 1;
                ++agreed;
            }
    for (std::int64_t columns : {1, 32, 100, 1024})
        for (int planes : {1, 2, 3, 4})
            for (bool one_scale : {false, true}) {
                if (!lookups_agree(columns, planes, one_scale)) return 1;
                ++agreed;
            }
    std::printf("%d agreed\n", agreed);
    return 0;
}
