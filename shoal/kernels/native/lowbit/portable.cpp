// Plain C++ for any machine; what the others are held to beside numpy.
#include <bit>

#include "lookup.hpp"
#include "trits.hpp"

namespace shoal::lowbit {
namespace {

template <int Bits, int Tokens>
struct Rows {
    static void run(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
        constexpr int width = 8 / Bits, mask = (1 << Bits) - 1;
        const int lanes = kLanes / w.groups;
        for (std::int64_t r = begin; r < end; ++r) {
            float total[Tokens] = {};
            for (std::int64_t b = 0; b < w.blocks; ++b) {
                const std::uint8_t *codes = w.codes + (r * w.blocks + b) * kBlock;
                for (int t = 0; t < Tokens; ++t) {
                    const std::int64_t at = t * w.blocks + b;
                    const std::int8_t *acts = x.codes + at * width * kBlock;
                    std::int32_t sums[kLanes] = {};
                    for (int p = 0; p < width; ++p)
                        for (int j = 0; j < kBlock; ++j)
                            sums[j / 4] += ((codes[j] >> (Bits * p)) & mask) * acts[p * kBlock + j];
                    for (int l = 0; l < kLanes; ++l) {
                        const std::int64_t g = w.one_scale ? r : (r * w.blocks + b) * w.groups + l / lanes;
                        const int zero = w.zeros ? w.zeros[g] : w.zero;
                        total[t] += from_half(w.scales[g]) * x.scales[at * kLanes + l] *
                                    static_cast<float>(sums[l] - zero * x.sums[at * kLanes + l]);
                    }
                }
            }
            for (int t = 0; t < Tokens; ++t) y[t * w.rows + r] += total[t];
        }
    }
};

void product(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
    by_tokens<Rows>(w, x, y, begin, end);
}

void signs(const std::uint64_t *weights, const std::uint64_t *inputs, std::int64_t rows, std::int64_t tokens,
           std::int64_t words, std::int64_t columns, std::int32_t *y) {
    for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t r = 0; r < rows; ++r) {
            std::int64_t differing = 0;
            for (std::int64_t i = 0; i < words; ++i)
                differing += std::popcount(weights[r * words + i] ^ inputs[t * words + i]);
            y[t * rows + r] = static_cast<std::int32_t>(columns - 2 * differing);
        }
}

bool there() { return true; }

}  // namespace

const Path kPortable{"portable", &there, &product, &signs, kManyPortable, &trits_portable, &lookup_portable, false};

}  // namespace shoal::lowbit
