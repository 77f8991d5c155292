// AVX2 with FMA: tables of 32 entries are two of 16.
#include "trits.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kBytes = 32;
    using Bytes = __m256i;
    using Parts = __m256i;  // in 16 bits: six times two products of 2 · 127
    using Floats = __m256;

    static Bytes load(const std::uint8_t *from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)); }
    static Bytes over27(Bytes given) {
        const Bytes even = _mm256_set1_epi16(0xff), part = _mm256_set1_epi16(2428);  // 2^16 / 27, rounded up
        const Bytes low = _mm256_mulhi_epu16(_mm256_and_si256(given, even), part);
        const Bytes high = _mm256_mulhi_epu16(_mm256_andnot_si256(even, given), part);
        return _mm256_or_si256(low, _mm256_andnot_si256(even, high));
    }
    static Bytes less(Bytes from, Bytes other) { return _mm256_sub_epi8(from, other); }
    static Bytes small(const std::uint8_t *table, Bytes index) {
        const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i *>(table));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), index);
    }
    // A shuffle gives 0 where the highest bit of an index is set: here for entries of the other table.
    static Bytes looked(const std::uint8_t *table, Bytes index) {
        return _mm256_or_si256(small(table, _mm256_adds_epu8(index, _mm256_set1_epi8(0x70))),
                               small(table + 16, _mm256_sub_epi8(index, _mm256_set1_epi8(16))));
    }
    static Bytes lower(Bytes given) { return _mm256_and_si256(given, _mm256_set1_epi8(15)); }
    static Bytes upper(Bytes given) { return lower(_mm256_srli_epi16(given, 4)); }
    static Bytes with_signs(Bytes index, const std::uint8_t *bits) {
        std::int32_t set;
        std::memcpy(&set, bits, sizeof set);
        const Bytes byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                                            3, 3, 3, 3, 3, 3, 3);
        const Bytes bit = _mm256_set1_epi64x(static_cast<std::int64_t>(0x8040201008040201u));
        const Bytes found = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(set), byte), bit);
        return _mm256_or_si256(index, _mm256_and_si256(_mm256_cmpeq_epi8(found, bit), _mm256_set1_epi8(16)));
    }
    static Parts none() { return _mm256_setzero_si256(); }
    static Parts more(Parts to, Bytes digits, const std::int8_t *acts) {
        const Bytes own = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(acts));
        return _mm256_add_epi16(to, _mm256_maddubs_epi16(digits, own));
    }
    static Floats zero() { return _mm256_setzero_ps(); }
    static Floats grown(Floats to, Parts parts, const std::int32_t *starts, float scale) {
        const Bytes own = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(starts));
        const Bytes sums = _mm256_add_epi32(_mm256_madd_epi16(parts, _mm256_set1_epi16(1)), own);
        return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_set1_ps(scale), to);
    }
    static float added_up(Floats from) {
        __m128 four = _mm_add_ps(_mm256_castps256_ps128(from), _mm256_extractf128_ps(from, 1));
        four = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
    }
};

}  // namespace

void trits_avx2(const Trits &w, const TritInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    trits<Set>(w, x, y, begin, end);
}

}  // namespace shoal::lowbit
#endif
