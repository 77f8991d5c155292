// Many tokens with NEON, as every 64-bit ARM has it: four rows in a register.
#include "many.hpp"
#include "taken.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kRows = 4, kVectors = 4, kTokens = 4;
    using Ints = int32x4_t;
    using Floats = float32x4_t;

    static Ints quads(const std::uint8_t *const *rows, std::int64_t offset) {
        return vreinterpretq_s32_u8(vld1q_u8(rows[0] + offset));
    }
    static Ints low32(Ints one, Ints other) { return vzip1q_s32(one, other); }
    static Ints high32(Ints one, Ints other) { return vzip2q_s32(one, other); }
    static Ints low64(Ints one, Ints other) {
        return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(one), vreinterpretq_s64_s32(other)));
    }
    static Ints high64(Ints one, Ints other) {
        return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(one), vreinterpretq_s64_s32(other)));
    }
    static Ints each_byte(int value) { return vreinterpretq_s32_u8(vdupq_n_u8(static_cast<std::uint8_t>(value))); }
    static Ints field(Ints from, int shift, Ints mask) {
        const uint32x4_t moved = vshlq_u32(vreinterpretq_u32_s32(from), vdupq_n_s32(-shift));
        return vandq_s32(vreinterpretq_s32_u32(moved), mask);
    }
    static void store(std::uint8_t *to, Ints value) { vst1q_u8(to, vreinterpretq_u8_s32(value)); }
    static Ints load(const std::uint8_t *from) { return vreinterpretq_s32_u8(vld1q_u8(from)); }
    static Ints none() { return vdupq_n_s32(0); }
    static Ints four(const std::int8_t *acts) { return vdupq_n_s32(word(acts)); }
    // Two 15 · 127 fit 16 bits, two 255 · 127 do not: of whole bytes, pairs are added up in 32 bits.
    template <bool Wide>
    static Ints dot(Ints sums, Ints codes, Ints acts) {
        const int8x16_t own = vreinterpretq_s8_s32(acts);
        if constexpr (Wide) {
            const uint8x16_t given = vreinterpretq_u8_s32(codes);
            const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(given)));
            const int16x8_t high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(given)));
            const int16x8_t first = vmulq_s16(low, vmovl_s8(vget_low_s8(own)));
            const int16x8_t second = vmulq_s16(high, vmovl_s8(vget_high_s8(own)));
            return vaddq_s32(sums, vpaddq_s32(vpaddlq_s16(first), vpaddlq_s16(second)));
        } else {
            const int8x16_t given = vreinterpretq_s8_s32(codes);
            const int16x8_t first = vmull_s8(vget_low_s8(given), vget_low_s8(own));
            const int16x8_t second = vmull_high_s8(given, own);
            return vpadalq_s16(sums, vpaddq_s16(first, second));
        }
    }
    static Floats floats(float value) { return vdupq_n_f32(value); }
    static Floats floats_of(Ints whole) { return vcvtq_f32_s32(whole); }
    static Floats from_halves(const Half *from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }
    static Floats from_bytes(const std::uint8_t *from) {
        const std::uint32_t all[4] = {from[0], from[1], from[2], from[3]};
        return vcvtq_f32_u32(vld1q_u32(all));
    }
    static Floats times(Floats one, Floats other) { return vmulq_f32(one, other); }
    static Floats more(Floats to, Floats one, Floats other) { return vfmaq_f32(to, one, other); }
    static Floats less(Floats from, Floats one, Floats other) { return vfmsq_f32(from, one, other); }
    static void store(float *to, Floats value) { vst1q_f32(to, value); }
};

}  // namespace

const Many kManyNeon{&take<Set>, &many<Set>, Set::kTokens};

}  // namespace shoal::lowbit
#endif
