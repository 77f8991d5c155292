// AVX-512 with VBMI, whose shuffle has 64 entries, and VNNI, which adds up four bytes.
#include <algorithm>

#include "lookup.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

struct Low {
    __m512i sums;
};
struct High {
    __m512i sums;
};

struct Set {
    static constexpr int kRows = 16;
    using Bytes = __m512i;
    using Table = __m512i;
    using Low = lowbit::Low;
    using High = lowbit::High;
    using Floats = __m512;

    static Bytes load(const std::uint8_t *from) {
        _mm_prefetch(reinterpret_cast<const char *>(from + 2048), _MM_HINT_T0);
        return _mm512_loadu_si512(from);
    }
    static Bytes lower(Bytes given) {  // (given & 15) | 16 · which byte of four
        return _mm512_ternarylogic_epi32(given, _mm512_set1_epi8(15), _mm512_set1_epi32(0x30201000), 0xea);
    }
    static Bytes upper(Bytes given) { return lower(_mm512_srli_epi16(given, 4)); }
    static Table table(const std::uint8_t *from) { return _mm512_loadu_si512(from); }
    static Bytes looked(Table table, Bytes at) { return _mm512_permutexvar_epi8(at, table); }
    static void none(Low &of) { of.sums = _mm512_setzero_si512(); }
    static void none(High &of) { of.sums = _mm512_setzero_si512(); }
    static Low more(Low to, Bytes found) { return {_mm512_dpbusd_epi32(to.sums, found, _mm512_set1_epi8(1))}; }
    static High more(High to, Bytes found) { return {_mm512_dpbusd_epi32(to.sums, _mm512_set1_epi8(1), found)}; }
    static Floats zero() { return _mm512_setzero_ps(); }
    static Floats all(float value) { return _mm512_set1_ps(value); }
    static Floats whole(Low low, Low other_low, High high, High other_high) {
        const __m512i above = _mm512_slli_epi32(_mm512_add_epi32(high.sums, other_high.sums), 8);
        return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_add_epi32(low.sums, other_low.sums), above));
    }
    static Floats halves(const Half *from) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
    }
    static Floats grown(Floats to, Floats one, Floats other) { return _mm512_fmadd_ps(one, other, to); }
    static void store(float *to, Floats value, std::int64_t count) {
        const unsigned there = (1u << std::min<std::int64_t>(count, kRows)) - 1;
        _mm512_mask_storeu_ps(to, static_cast<__mmask16>(there), value);
    }
};

}  // namespace

void lookup_avx512(const BitPlanes &w, const LookupInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    lookup<Set>(w, x, y, begin, end);
}

}  // namespace shoal::lowbit
#endif
