// AVX2 with FMA and F16C.
#include "lookup.hpp"
#include "trits.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

constexpr int kHalf = 32;  // bytes of a register

// Sums of four neighbouring products of bytes, exactly: two 15 · 127 fit 16 bits, of whole bytes they do not.
template <int Bits>
inline __m256i dot(__m256i codes, __m256i acts) {
    if constexpr (Bits < 8) {
        return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, acts), _mm256_set1_epi16(1));
    } else {
        const __m256i low = _mm256_set1_epi16(0xff);
        const __m256i even = _mm256_madd_epi16(_mm256_and_si256(codes, low), _mm256_srai_epi16(_mm256_slli_epi16(acts, 8), 8));
        const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), _mm256_srai_epi16(acts, 8));
        return _mm256_add_epi32(even, odd);
    }
}

inline float reduced(__m256 sums) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

template <int Bits, int Tokens>
struct Rows {
    static void run(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
        constexpr int width = 8 / Bits;
        const __m256i mask = _mm256_set1_epi8(static_cast<char>((1 << Bits) - 1));
        for (std::int64_t r = begin; r < end; ++r) {
            const std::uint8_t *codes = w.codes + r * w.blocks * kBlock;
            __m256 total[Tokens];
            for (int t = 0; t < Tokens; ++t) total[t] = _mm256_setzero_ps();
            for (std::int64_t b = 0; b < w.blocks; ++b) {
                alignas(32) float scales[kLanes];
                alignas(32) std::int32_t zeros[kLanes];
                by_lane(w, r, b, scales, zeros);
                for (int h = 0; h < 2; ++h) {
                    const __m256i given = _mm256_loadu_si256(
                        reinterpret_cast<const __m256i *>(codes + b * kBlock + h * kHalf));
                    const __m256i zero = _mm256_load_si256(reinterpret_cast<const __m256i *>(zeros + 8 * h));
                    const __m256 scale = _mm256_load_ps(scales + 8 * h);
                    for (int t = 0; t < Tokens; ++t) {
                        const std::int64_t at = (t * w.blocks + b) * kLanes + 8 * h;
                        const __m256i own =
                            _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x.sums + at));
                        __m256i sums = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_mullo_epi32(zero, own));
                        for (int p = 0; p < width; ++p) {
                            const std::int8_t *acts =
                                x.codes + ((t * w.blocks + b) * width + p) * kBlock + h * kHalf;
                            const __m256i part =
                                Bits == 8 ? given : _mm256_and_si256(_mm256_srli_epi16(given, Bits * p), mask);
                            const __m256i in = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(acts));
                            sums = _mm256_add_epi32(sums, dot<Bits>(part, in));
                        }
                        const __m256 both = _mm256_mul_ps(scale, _mm256_loadu_ps(x.scales + at));
                        total[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), both, total[t]);
                    }
                }
            }
            for (int t = 0; t < Tokens; ++t) y[t * w.rows + r] += reduced(total[t]);
        }
    }
};

void product(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
    by_tokens<Rows>(w, x, y, begin, end);
}

// Ones of each byte, looked up by half bytes.
inline __m256i ones(__m256i bytes) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1,
                                           2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(bytes, low)),
                           _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low)));
}

void signs(const std::uint64_t *weights, const std::uint64_t *inputs, std::int64_t rows, std::int64_t tokens,
           std::int64_t words, std::int64_t columns, std::int32_t *y) {
    for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::uint64_t *one = weights + r * words, *other = inputs + t * words;
            __m256i sums = _mm256_setzero_si256();
            std::int64_t i = 0;
            for (; i + 4 <= words; i += 4) {
                const __m256i differ = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(one + i)),
                                                        _mm256_loadu_si256(reinterpret_cast<const __m256i *>(other + i)));
                sums = _mm256_add_epi64(sums, _mm256_sad_epu8(ones(differ), _mm256_setzero_si256()));
            }
            std::int64_t differing = _mm256_extract_epi64(sums, 0) + _mm256_extract_epi64(sums, 1) +
                                     _mm256_extract_epi64(sums, 2) + _mm256_extract_epi64(sums, 3);
            for (; i < words; ++i) differing += __builtin_popcountll(one[i] ^ other[i]);
            y[t * rows + r] = static_cast<std::int32_t>(columns - 2 * differing);
        }
}

bool there() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

}  // namespace

const Path kAvx2{"avx2", &there, &product, &signs, kManyAvx2, &trits_avx2, &lookup_avx2, false};

}  // namespace shoal::lowbit
#endif
