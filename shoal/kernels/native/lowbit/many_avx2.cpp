// Many tokens with AVX2, FMA and F16C: eight rows in a register.
#include "many.hpp"
#include "taken.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kRows = 8, kVectors = 2, kTokens = 4;
    using Ints = __m256i;
    using Floats = __m256;

    static Ints quads(const std::uint8_t *const *rows, std::int64_t offset) {
        const auto quad = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(rows[4 * i] + offset)); };
        return _mm256_inserti128_si256(_mm256_castsi128_si256(quad(0)), quad(1), 1);
    }
    static Ints low32(Ints one, Ints other) { return _mm256_unpacklo_epi32(one, other); }
    static Ints high32(Ints one, Ints other) { return _mm256_unpackhi_epi32(one, other); }
    static Ints low64(Ints one, Ints other) { return _mm256_unpacklo_epi64(one, other); }
    static Ints high64(Ints one, Ints other) { return _mm256_unpackhi_epi64(one, other); }
    static Ints each_byte(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
    static Ints field(Ints from, int shift, Ints mask) {
        return _mm256_and_si256(_mm256_srlv_epi32(from, _mm256_set1_epi32(shift)), mask);
    }
    static void store(std::uint8_t *to, Ints value) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), value); }
    static Ints load(const std::uint8_t *from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)); }
    static Ints none() { return _mm256_setzero_si256(); }
    static Ints four(const std::int8_t *acts) { return _mm256_set1_epi32(word(acts)); }
    // Two 15 · 127 fit 16 bits, two 255 · 127 do not: whole bytes are widened before.
    template <bool Wide>
    static Ints dot(Ints sums, Ints codes, Ints acts) {
        if constexpr (Wide) {
            const Ints low = _mm256_set1_epi16(0xff);
            const Ints even = _mm256_srai_epi16(_mm256_slli_epi16(acts, 8), 8), odd = _mm256_srai_epi16(acts, 8);
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_and_si256(codes, low), even));
            return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), odd));
        } else {
            const Ints pairs = _mm256_maddubs_epi16(codes, acts);
            return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
    static Floats floats(float value) { return _mm256_set1_ps(value); }
    static Floats floats_of(Ints whole) { return _mm256_cvtepi32_ps(whole); }
    static Floats from_halves(const Half *from) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
    }
    static Floats from_bytes(const std::uint8_t *from) {
        return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from))));
    }
    static Floats times(Floats one, Floats other) { return _mm256_mul_ps(one, other); }
    static Floats more(Floats to, Floats one, Floats other) { return _mm256_fmadd_ps(one, other, to); }
    static Floats less(Floats from, Floats one, Floats other) { return _mm256_fnmadd_ps(one, other, from); }
    static void store(float *to, Floats value) { _mm256_storeu_ps(to, value); }
};

}  // namespace

const Many kManyAvx2{&take<Set>, &many<Set>, Set::kTokens};

}  // namespace shoal::lowbit
#endif
