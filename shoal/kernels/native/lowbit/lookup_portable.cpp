// Plain C++: bit by bit.
#include <algorithm>

#include "lookup.hpp"

namespace shoal::lowbit {
namespace {

// The sum of activations where a row has set bits, over one step.
std::int32_t sum(const std::uint8_t *codes, const std::int8_t *acts) {
    std::int32_t found = 0;
    for (int bit = 0; bit < 8; ++bit)
        for (int k = 0; k < 4; ++k) found += (codes[k] >> bit & 1) * acts[bit * 4 + k];
    return found;
}

float product(const BitPlanes &w, const LookupInputs &x, std::int64_t row, std::int64_t token) {
    const std::int64_t tile = row / kTile, at = row % kTile, groups = w.one_scale ? 1 : x.groups;
    float total = 0;
    for (std::int64_t g = 0; g < x.groups; ++g) {
        const std::int64_t last = std::min(w.steps, (g + 1) * x.wide), place = tile * groups + (w.one_scale ? 0 : g);
        float own = 0;
        for (int p = 0; p < w.planes; ++p) {
            std::int32_t sums = 0;
            for (std::int64_t s = g * x.wide; s < last; ++s)
                sums += sum(w.codes + ((tile * w.steps + s) * w.planes + p) * kBlock + at * 4,
                            x.codes.data() + (token * x.steps + s) * kStep);
            own += from_half(w.scales[(place * w.planes + p) * kTile + at]) * static_cast<float>(sums);
        }
        total += own * x.scales[token * x.groups + g];
        total += from_half(w.zeros[place * kTile + at]) * x.totals[token * x.groups + g];
    }
    return total;
}

}  // namespace

void lookup_portable(const BitPlanes &w, const LookupInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = 0; t < x.tokens; ++t)
        for (std::int64_t r = begin * kTile; r < std::min(w.rows, end * kTile); ++r)
            y[t * w.rows + r] = product(w, x, r, t);
}

}  // namespace shoal::lowbit
