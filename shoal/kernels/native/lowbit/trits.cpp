// Activations in the order of the steps.
#include "trits.hpp"

#include "rounding.hpp"

namespace shoal::lowbit {

TritInputs trit_inputs(const float *x, std::int64_t tokens, std::int64_t columns, const Trits &w, bool by_token) {
    const int width = w.width();
    const std::int64_t steps = w.steps(), wide = width * kBlock;
    TritInputs made{tokens, steps, width, {}, {}, {}};
    made.codes.resize(tokens * steps * wide), made.scales.resize(tokens * steps);
    made.starts.resize(tokens * steps * kLanes);
    std::vector<std::int8_t> rounded(wide);
    for (std::int64_t t = 0; t < tokens; ++t) {
        const float *const own = x + t * columns;
        const float of_all = by_token ? largest(own, columns) : 0.0f;
        for (std::int64_t s = 0; s < steps; ++s) {
            const std::int64_t place = t * steps + s, there = std::min(wide, columns - s * wide);
            const float most = by_token ? of_all : largest(own + s * wide, there);
            made.scales[place] = most / 127.0f;
            round_off(own + s * wide, there, most > 0 ? 127.0f / most : 0.0f, rounded.data());
            std::fill(rounded.begin() + there, rounded.end(), std::int8_t{0});
            std::int8_t *const to = made.codes.data() + place * wide;
            for (int j = 0; j < kBlock; ++j)
                for (int p = 0; p < width; ++p) {
                    const std::int8_t code = rounded[j * width + p];
                    to[p * kBlock + j] = code;
                    made.starts[place * kLanes + j / 4] -= code;
                }
        }
    }
    return made;
}

}  // namespace shoal::lowbit
