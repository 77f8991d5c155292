#include <cstring>
#include <numeric>

#include "lowbit.hpp"

namespace shoal::lowbit {

void gather(const Weights &weights, const Activations &x, std::int64_t parts, std::int8_t *codes, float *scales,
            float *sums) {
    const int lanes = kLanes / weights.groups;
    const std::int64_t groups = weights.blocks * weights.groups, quads = weights.blocks * 8 / weights.bits * kLanes;
    for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t first = x.tokens * part / parts, count = x.tokens * (part + 1) / parts - first;
        for (std::int64_t t = 0; t < count; ++t) {
            const std::int8_t *from = x.codes + (first + t) * quads * 4;
            std::int8_t *to = codes + (first * quads + t) * 4;
            for (std::int64_t q = 0; q < quads; ++q) std::memcpy(to + q * count * 4, from + q * 4, 4);
            for (std::int64_t g = 0; g < groups; ++g) {
                const std::int64_t lane = (first + t) * weights.blocks * kLanes + g * lanes;
                const std::int64_t at = first * groups + g * count + t;
                scales[at] = x.scales[lane];
                sums[at] = static_cast<float>(std::accumulate(x.sums + lane, x.sums + lane + lanes, 0));
            }
        }
    }
}

}  // namespace shoal::lowbit
