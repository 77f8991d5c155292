// AVX-512 with VBMI, whose shuffle has 64 entries, and VNNI.
#include "trits.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kBytes = 64;
    using Bytes = __m512i;
    using Parts = __m512i;
    using Floats = __m512;

    static Bytes load(const std::uint8_t *from) {
        _mm_prefetch(reinterpret_cast<const char *>(from + 1024), _MM_HINT_T0);
        return _mm512_loadu_si512(from);
    }
    static Bytes over27(Bytes given) {
        const Bytes even = _mm512_set1_epi16(0xff), part = _mm512_set1_epi16(2428);  // 2^16 / 27, rounded up
        const Bytes low = _mm512_mulhi_epu16(_mm512_and_si512(given, even), part);
        const Bytes high = _mm512_mulhi_epu16(_mm512_andnot_si512(even, given), part);
        return _mm512_or_si512(low, _mm512_andnot_si512(even, high));
    }
    static Bytes less(Bytes from, Bytes other) { return _mm512_sub_epi8(from, other); }
    static Bytes small(const std::uint8_t *table, Bytes index) {
        const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i *>(table));
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), index);
    }
    static Bytes looked(const std::uint8_t *table, Bytes index) {
        return _mm512_permutexvar_epi8(index, _mm512_loadu_si512(table));
    }
    static Bytes lower(Bytes given) { return _mm512_and_si512(given, _mm512_set1_epi8(15)); }
    static Bytes upper(Bytes given) { return lower(_mm512_srli_epi16(given, 4)); }
    static Bytes with_signs(Bytes index, const std::uint8_t *bits) {
        std::uint64_t set;
        std::memcpy(&set, bits, sizeof set);
        return _mm512_mask_add_epi8(index, set, index, _mm512_set1_epi8(16));
    }
    static Parts none() { return _mm512_setzero_si512(); }
    static Parts more(Parts to, Bytes digits, const std::int8_t *acts) {
        return _mm512_dpbusd_epi32(to, digits, _mm512_loadu_si512(acts));
    }
    static Floats zero() { return _mm512_setzero_ps(); }
    static Floats grown(Floats to, Parts parts, const std::int32_t *starts, float scale) {
        const Parts sums = _mm512_add_epi32(parts, _mm512_loadu_si512(starts));
        return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(scale), to);
    }
    static float added_up(Floats from) { return _mm512_reduce_add_ps(from); }
};

}  // namespace

void trits_avx512(const Trits &w, const TritInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    trits<Set>(w, x, y, begin, end);
}

}  // namespace shoal::lowbit
#endif
