// NEON: its table lookup has 32 entries in two registers.
#include "trits.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kBytes = 16;
    using Bytes = uint8x16_t;
    using Parts = int16x8x2_t;  // six products of 2 · 127 each
    using Floats = float32x4_t;

    static Bytes load(const std::uint8_t *from) { return vld1q_u8(from); }
    static Bytes over27(Bytes given) {
        const uint8x8_t part = vdup_n_u8(152);  // 2^12 / 27, rounded up
        const uint8x8_t low = vshrn_n_u16(vmull_u8(vget_low_u8(given), part), 8);
        const uint8x8_t high = vshrn_n_u16(vmull_u8(vget_high_u8(given), part), 8);
        return vshrq_n_u8(vcombine_u8(low, high), 4);
    }
    static Bytes less(Bytes from, Bytes other) { return vsubq_u8(from, other); }
    static Bytes small(const std::uint8_t *table, Bytes index) { return vqtbl1q_u8(vld1q_u8(table), index); }
    static Bytes looked(const std::uint8_t *table, Bytes index) { return vqtbl2q_u8(vld1q_u8_x2(table), index); }
    static Bytes lower(Bytes given) { return vandq_u8(given, vdupq_n_u8(15)); }
    static Bytes upper(Bytes given) { return vshrq_n_u8(given, 4); }
    static Bytes with_signs(Bytes index, const std::uint8_t *bits) {
        const uint8x8_t places = vcreate_u8(0x8040201008040201u);
        const Bytes set = vtstq_u8(vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1])), vcombine_u8(places, places));
        return vorrq_u8(index, vandq_u8(set, vdupq_n_u8(16)));
    }
    static Parts none() { return {{vdupq_n_s16(0), vdupq_n_s16(0)}}; }
    static Parts more(Parts to, Bytes digits, const std::int8_t *acts) {
        const int8x16_t codes = vreinterpretq_s8_u8(digits), own = vld1q_s8(acts);
        return {{vmlal_s8(to.val[0], vget_low_s8(codes), vget_low_s8(own)),
                 vmlal_s8(to.val[1], vget_high_s8(codes), vget_high_s8(own))}};
    }
    static Floats zero() { return vdupq_n_f32(0); }
    static Floats grown(Floats to, Parts parts, const std::int32_t *starts, float scale) {
        const int32x4_t sums = vpaddq_s32(vpaddlq_s16(parts.val[0]), vpaddlq_s16(parts.val[1]));
        return vfmaq_n_f32(to, vcvtq_f32_s32(vaddq_s32(sums, vld1q_s32(starts))), scale);
    }
    static float added_up(Floats from) { return vaddvq_f32(from); }
};

}  // namespace

void trits_neon(const Trits &w, const TritInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    trits<Set>(w, x, y, begin, end);
}

}  // namespace shoal::lowbit
#endif
