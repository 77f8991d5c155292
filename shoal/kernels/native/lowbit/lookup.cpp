// Activations in the order of the bits, and tables of their sums.
#include "lookup.hpp"

#include <array>

#include "rounding.hpp"

namespace shoal::lowbit {
namespace {

// Of activation i in sum m: all bits where bit i of m is set.
constexpr auto kPart = [] {
    std::array<std::array<std::int16_t, 16>, 4> made{};
    for (int i = 0; i < 4; ++i)
        for (int m = 0; m < 16; ++m) made[i][m] = m >> i & 1 ? -1 : 0;
    return made;
}();

}  // namespace

LookupInputs lookup_inputs(const float *x, std::int64_t tokens, std::int64_t columns, std::int64_t wide) {
    const std::int64_t steps = (columns + kStep - 1) / kStep, groups = (steps + wide - 1) / wide;
    LookupInputs made{tokens, steps, wide, groups, {}, {}, {}, {}, {}};
    made.codes.resize(tokens * steps * kStep);
    made.scales.resize(tokens * groups), made.totals.resize(tokens * groups);
    std::vector<std::int8_t> rounded(wide * kStep);
    for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t g = 0; g < groups; ++g) {
            const float *const own = x + t * columns + g * wide * kStep;
            const std::int64_t there = std::min(wide * kStep, columns - g * wide * kStep);
            const float most = largest(own, there);
            round_off(own, there, most > 0 ? 127.0f / most : 0.0f, rounded.data());
            std::fill(rounded.begin() + there, rounded.end(), std::int8_t{0});
            std::int8_t *to = made.codes.data() + (t * steps + g * wide) * kStep;
            std::int32_t sum = 0;
            for (std::int64_t s = 0; s < std::min(wide, steps - g * wide); ++s, to += kStep)
                for (int c = 0; c < kStep; ++c) {
                    const std::int8_t code = rounded[s * kStep + c];
                    to[(c / 16 * 4 + c % 4) * 4 + c / 4 % 4] = code;
                    sum += code;
                }
            const float scale = most / 127.0f;
            made.scales[t * groups + g] = scale;
            made.totals[t * groups + g] = static_cast<float>(sum) * scale;
        }
    return made;
}

void tabulate(LookupInputs &x) {
    const std::int64_t halves = x.tokens * x.steps * 2;
    x.low.resize(halves * kBlock), x.high.resize(halves * kBlock);
    for (std::int64_t half = 0; half < halves; ++half)
        for (int k = 0; k < 4; ++k) {
            const std::int8_t *const own = x.codes.data() + half * 16 + k;
            const std::int16_t first = own[0], second = own[4], third = own[8], fourth = own[12];
            std::uint8_t *const low = x.low.data() + half * kBlock + k * 16;
            std::int8_t *const high = x.high.data() + half * kBlock + k * 16;
            std::int16_t sums[16];
            for (int m = 0; m < 16; ++m)
                sums[m] = static_cast<std::int16_t>((first & kPart[0][m]) + (second & kPart[1][m]) +
                                                    (third & kPart[2][m]) + (fourth & kPart[3][m]));
            for (int m = 0; m < 16; ++m) low[m] = static_cast<std::uint8_t>(sums[m]);
            for (int m = 0; m < 16; ++m) high[m] = static_cast<std::int8_t>(sums[m] >> 8);
        }
}

}  // namespace shoal::lowbit
