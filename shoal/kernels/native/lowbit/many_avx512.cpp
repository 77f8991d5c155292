// Many tokens with AVX-512 and VNNI: sixteen rows in a register.
#include "many.hpp"
#include "taken.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kRows = 16, kVectors = 2, kTokens = 8;
    using Ints = __m512i;
    using Floats = __m512;

    static Ints quads(const std::uint8_t *const *rows, std::int64_t offset) {
        const auto quad = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(rows[4 * i] + offset)); };
        Ints found = _mm512_inserti32x4(_mm512_castsi128_si512(quad(0)), quad(1), 1);
        found = _mm512_inserti32x4(found, quad(2), 2);
        return _mm512_inserti32x4(found, quad(3), 3);
    }
    static Ints low32(Ints one, Ints other) { return _mm512_unpacklo_epi32(one, other); }
    static Ints high32(Ints one, Ints other) { return _mm512_unpackhi_epi32(one, other); }
    static Ints low64(Ints one, Ints other) { return _mm512_unpacklo_epi64(one, other); }
    static Ints high64(Ints one, Ints other) { return _mm512_unpackhi_epi64(one, other); }
    static Ints each_byte(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
    static Ints field(Ints from, int shift, Ints mask) {
        return _mm512_and_si512(_mm512_srlv_epi32(from, _mm512_set1_epi32(shift)), mask);
    }
    static void store(std::uint8_t *to, Ints value) { _mm512_storeu_si512(to, value); }
    static Ints load(const std::uint8_t *from) { return _mm512_loadu_si512(from); }
    static Ints none() { return _mm512_setzero_si512(); }
    static Ints four(const std::int8_t *acts) { return _mm512_set1_epi32(word(acts)); }
    template <bool Wide>
    static Ints dot(Ints sums, Ints codes, Ints acts) {
        return _mm512_dpbusd_epi32(sums, codes, acts);
    }
    static Floats floats(float value) { return _mm512_set1_ps(value); }
    static Floats floats_of(Ints whole) { return _mm512_cvtepi32_ps(whole); }
    static Floats from_halves(const Half *from) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
    }
    static Floats from_bytes(const std::uint8_t *from) {
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
    }
    static Floats times(Floats one, Floats other) { return _mm512_mul_ps(one, other); }
    static Floats more(Floats to, Floats one, Floats other) { return _mm512_fmadd_ps(one, other, to); }
    static Floats less(Floats from, Floats one, Floats other) { return _mm512_fnmadd_ps(one, other, from); }
    static void store(float *to, Floats value) { _mm512_storeu_ps(to, value); }
};

}  // namespace

const Many kManyAvx512{&take<Set>, &many<Set>, Set::kTokens};

}  // namespace shoal::lowbit
#endif
