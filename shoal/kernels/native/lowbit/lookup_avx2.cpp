// AVX2 with FMA and F16C. Its shuffle has one table for the four bytes of a row, so bits are multiplied instead: bit b of
// each byte, with the four activations that belong to it.
#include <algorithm>
#include <cstring>

#include "lookup.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

constexpr int kRows = 8;

inline __m256i four(const std::int8_t *acts) {
    std::int32_t found;
    std::memcpy(&found, acts, sizeof found);
    return _mm256_set1_epi32(found);
}

inline __m256 halves(const Half *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}

// Sums over one step by row; in 16 bits eight times two activations fit.
inline __m256i sums(const std::uint8_t *codes, const std::int8_t *acts) {
    const __m256i given = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(codes)), one = _mm256_set1_epi8(1);
    __m256i found = _mm256_setzero_si256();
    for (int bit = 0; bit < 8; ++bit) {
        const __m256i bits = _mm256_and_si256(_mm256_srli_epi16(given, bit), one);
        found = _mm256_add_epi16(found, _mm256_maddubs_epi16(bits, four(acts + 4 * bit)));
    }
    return _mm256_madd_epi16(found, _mm256_set1_epi16(1));
}

__m256 product(const BitPlanes &w, const LookupInputs &x, std::int64_t tile, std::int64_t token, int row) {
    const std::int64_t groups = w.one_scale ? 1 : x.groups;
    __m256 total = _mm256_setzero_ps();
    for (std::int64_t g = 0; g < x.groups; ++g) {
        __m256i found[kMostPlanes] = {};
        for (std::int64_t s = g * x.wide; s < std::min(w.steps, (g + 1) * x.wide); ++s)
            for (int p = 0; p < w.planes; ++p) {
                const std::uint8_t *codes = w.codes + ((tile * w.steps + s) * w.planes + p) * kBlock + row * 4;
                const std::int8_t *acts = x.codes.data() + (token * x.steps + s) * kStep;
                found[p] = _mm256_add_epi32(found[p], sums(codes, acts));
            }
        const std::int64_t place = (tile * groups + (w.one_scale ? 0 : g)) * kTile;
        __m256 own = _mm256_setzero_ps();
        for (int p = 0; p < w.planes; ++p)
            own = _mm256_fmadd_ps(halves(w.scales + place * w.planes + p * kTile + row), _mm256_cvtepi32_ps(found[p]),
                                  own);
        total = _mm256_fmadd_ps(own, _mm256_set1_ps(x.scales[token * x.groups + g]), total);
        total = _mm256_fmadd_ps(halves(w.zeros + place + row), _mm256_set1_ps(x.totals[token * x.groups + g]), total);
    }
    return total;
}

}  // namespace

void lookup_avx2(const BitPlanes &w, const LookupInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile)
        for (std::int64_t token = 0; token < x.tokens; ++token)
            for (int row = 0; row < kTile; row += kRows) {
                float made[kRows];
                _mm256_storeu_ps(made, product(w, x, tile, token, row));
                const std::int64_t first = tile * kTile + row, there = std::min<std::int64_t>(kRows, w.rows - first);
                for (std::int64_t r = 0; r < there; ++r) y[token * w.rows + first + r] = made[r];
            }
}

}  // namespace shoal::lowbit
#endif
