// NEON, as every 64-bit ARM has it: products of bytes widened to 16 bits, then added in pairs.
#include "lookup.hpp"
#include "trits.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace shoal::lowbit {
namespace {

constexpr int kQuarter = 16;  // bytes of a register

// Sums of four neighbouring products.
inline int32x4_t dot(uint8x16_t codes, int8x16_t acts) {
    const int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))), vmovl_s8(vget_low_s8(acts)));
    const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes))), vmovl_s8(vget_high_s8(acts)));
    return vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
}

template <int Bits, int Tokens>
struct Rows {
    static void run(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
        constexpr int width = 8 / Bits;
        const uint8x16_t mask = vdupq_n_u8((1 << Bits) - 1);
        for (std::int64_t r = begin; r < end; ++r) {
            float32x4_t total[Tokens];
            for (int t = 0; t < Tokens; ++t) total[t] = vdupq_n_f32(0);
            for (std::int64_t b = 0; b < w.blocks; ++b) {
                const std::uint8_t *codes = w.codes + (r * w.blocks + b) * kBlock;
                float scales[kLanes];
                std::int32_t zeros[kLanes];
                by_lane(w, r, b, scales, zeros);
                for (int q = 0; q < kBlock / kQuarter; ++q) {
                    const uint8x16_t given = vld1q_u8(codes + q * kQuarter);
                    for (int t = 0; t < Tokens; ++t) {
                        const std::int64_t at = (t * w.blocks + b) * kLanes + 4 * q;
                        int32x4_t sums = vnegq_s32(vmulq_s32(vld1q_s32(zeros + 4 * q), vld1q_s32(x.sums + at)));
                        for (int p = 0; p < width; ++p) {
                            const uint8x16_t part = vandq_u8(vshlq_u8(given, vdupq_n_s8(-Bits * p)), mask);
                            const std::int8_t *acts =
                                x.codes + ((t * w.blocks + b) * width + p) * kBlock + q * kQuarter;
                            sums = vaddq_s32(sums, dot(part, vld1q_s8(acts)));
                        }
                        const float32x4_t both = vmulq_f32(vld1q_f32(scales + 4 * q), vld1q_f32(x.scales + at));
                        total[t] = vfmaq_f32(total[t], vcvtq_f32_s32(sums), both);
                    }
                }
            }
            for (int t = 0; t < Tokens; ++t) y[t * w.rows + r] += vaddvq_f32(total[t]);
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
            const std::uint64_t *one = weights + r * words, *other = inputs + t * words;
            std::int64_t differing = 0, i = 0;
            for (; i + 2 <= words; i += 2) {
                const uint8x16_t differ = vreinterpretq_u8_u64(veorq_u64(vld1q_u64(one + i), vld1q_u64(other + i)));
                differing += vaddvq_u8(vcntq_u8(differ));
            }
            for (; i < words; ++i) differing += __builtin_popcountll(one[i] ^ other[i]);
            y[t * rows + r] = static_cast<std::int32_t>(columns - 2 * differing);
        }
}

bool there() { return true; }

}  // namespace

const Path kNeon{"neon", &there, &product, &signs, kManyNeon, &trits_neon, &lookup_neon, true};

}  // namespace shoal::lowbit
#endif
