// NEON: its table lookup has 64 entries in four registers.
#include <algorithm>

#include "lookup.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kRows = 4;
    using Bytes = uint8x16_t;
    using Table = uint8x16x4_t;
    using Low = uint32x4_t;
    using High = int32x4_t;
    using Floats = float32x4_t;

    static Bytes load(const std::uint8_t *from) { return vld1q_u8(from); }
    static Bytes lower(Bytes given) { return placed(vandq_u8(given, vdupq_n_u8(15))); }
    static Bytes upper(Bytes given) { return placed(vshrq_n_u8(given, 4)); }
    static Table table(const std::uint8_t *from) { return vld1q_u8_x4(from); }
    static Bytes looked(Table table, Bytes at) { return vqtbl4q_u8(table, at); }
    static void none(Low &of) { of = vdupq_n_u32(0); }
    static void none(High &of) { of = vdupq_n_s32(0); }
    static Low more(Low to, Bytes found) { return vpadalq_u16(to, vpaddlq_u8(found)); }
    static High more(High to, Bytes found) { return vpadalq_s16(to, vpaddlq_s8(vreinterpretq_s8_u8(found))); }
    static Floats zero() { return vdupq_n_f32(0); }
    static Floats all(float value) { return vdupq_n_f32(value); }
    static Floats whole(Low low, Low other_low, High high, High other_high) {
        const int32x4_t above = vshlq_n_s32(vaddq_s32(high, other_high), 8);
        return vcvtq_f32_s32(vaddq_s32(vreinterpretq_s32_u32(vaddq_u32(low, other_low)), above));
    }
    static Floats halves(const Half *from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }
    static Floats grown(Floats to, Floats one, Floats other) { return vfmaq_f32(to, one, other); }
    static void store(float *to, Floats value, std::int64_t count) {
        float made[kRows];
        vst1q_f32(made, value);
        std::copy(made, made + std::min<std::int64_t>(count, kRows), to);
    }

  private:
    static Bytes placed(Bytes half) { return vorrq_u8(half, vreinterpretq_u8_u32(vdupq_n_u32(0x30201000))); }
};

}  // namespace

void lookup_neon(const BitPlanes &w, const LookupInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    lookup<Set>(w, x, y, begin, end);
}

}  // namespace shoal::lowbit
#endif
