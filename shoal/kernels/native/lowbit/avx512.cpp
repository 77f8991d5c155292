// AVX-512 with VNNI (dot products of bytes), VBMI (shuffles of 64 entries), VPOPCNTDQ and F16C.
#include <algorithm>
#include <vector>

#include "lookup.hpp"
#include "trits.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace shoal::lowbit {
namespace {

// Scales of a block by lane.
inline __m512 spread(const Half *scales, int groups, __m512i lanes) {
    const __mmask16 there = static_cast<__mmask16>((1u << groups) - 1);
    const __m256i halves = _mm256_maskz_loadu_epi16(there, scales);
    return _mm512_permutexvar_ps(lanes, _mm512_cvtph_ps(halves));
}

inline __m512i lanes_of(int groups) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_srl_epi32(_mm512_mullo_epi32(lane, _mm512_set1_epi32(groups)), _mm_cvtsi32_si128(4));
}

template <int Bits, int Tokens>
struct Rows {
    static void run(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
        constexpr int width = 8 / Bits;
        const __m512i mask = _mm512_set1_epi8(static_cast<char>((1 << Bits) - 1));
        const __m512i lanes = lanes_of(w.groups);
        for (std::int64_t r = begin; r < end; ++r) {
            const std::uint8_t *codes = w.codes + r * w.blocks * kBlock;
            const __m512 whole = _mm512_set1_ps(from_half(w.scales[w.one_scale ? r : 0]));
            const __m512i zero = _mm512_set1_epi32(w.zeros && w.one_scale ? w.zeros[r] : w.zero);
            __m512 total[Tokens];
            for (int t = 0; t < Tokens; ++t) total[t] = _mm512_setzero_ps();
            for (std::int64_t b = 0; b < w.blocks; ++b) {
                const std::int64_t g = (r * w.blocks + b) * w.groups;
                __m512i sums[Tokens], z = zero;
                if (w.zeros && !w.one_scale) {
                    const __mmask16 there = static_cast<__mmask16>((1u << w.groups) - 1);
                    const __m128i bytes = _mm_maskz_loadu_epi8(there, w.zeros + g);
                    z = _mm512_permutexvar_epi32(lanes, _mm512_cvtepu8_epi32(bytes));
                }
                const __m512i given = _mm512_loadu_si512(codes + b * kBlock);
                _mm_prefetch(reinterpret_cast<const char *>(codes + b * kBlock + 1024), _MM_HINT_T0);
                for (int t = 0; t < Tokens; ++t) {
                    const __m512i own = _mm512_loadu_si512(x.sums + (t * w.blocks + b) * kLanes);
                    sums[t] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_mullo_epi32(z, own));
                }
                for (int p = 0; p < width; ++p) {
                    const __m512i part =
                        Bits == 8 ? given : _mm512_and_si512(_mm512_srli_epi16(given, Bits * p), mask);
                    for (int t = 0; t < Tokens; ++t) {
                        const std::int8_t *acts = x.codes + ((t * w.blocks + b) * width + p) * kBlock;
                        sums[t] = _mm512_dpbusd_epi32(sums[t], part, _mm512_loadu_si512(acts));
                    }
                }
                const __m512 scale = w.one_scale ? whole : spread(w.scales + g, w.groups, lanes);
                for (int t = 0; t < Tokens; ++t) {
                    const __m512 own = _mm512_loadu_ps(x.scales + (t * w.blocks + b) * kLanes);
                    total[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[t]), _mm512_mul_ps(scale, own), total[t]);
                }
            }
            for (int t = 0; t < Tokens; ++t) y[t * w.rows + r] += _mm512_reduce_add_ps(total[t]);
        }
    }
};

void product(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
    by_tokens<Rows>(w, x, y, begin, end);
}

constexpr int kEight = 8;  // rows, each a lane of 64 bits

// Words of eight rows at one place.
struct alignas(kBlock) Eight {
    std::uint64_t of[kEight];
};

// Of up to eight rows.
void turn(const std::uint64_t *rows, std::int64_t count, std::int64_t words, Eight *to) {
    for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t w = 0; w < words; ++w) to[w].of[r] = rows[r * words + w];
}

// Some tokens against eight rows; `count` of them are there.
template <int Tokens>
void meet(const Eight *eight, const std::uint64_t *inputs, std::int64_t words, std::int64_t columns,
          std::int64_t count, std::int64_t rows, std::int32_t *y) {
    __m512i differing[Tokens];
    for (auto &each : differing) each = _mm512_setzero_si512();
    for (std::int64_t w = 0; w < words; ++w) {
        const __m512i own = _mm512_load_si512(eight + w);
        for (int t = 0; t < Tokens; ++t) {
            const __m512i other = _mm512_set1_epi64(static_cast<std::int64_t>(inputs[t * words + w]));
            differing[t] = _mm512_add_epi64(differing[t], _mm512_popcnt_epi64(_mm512_xor_si512(own, other)));
        }
    }
    const __mmask8 there = static_cast<__mmask8>((1u << count) - 1);
    for (int t = 0; t < Tokens; ++t) {
        const __m512i twice = _mm512_add_epi64(differing[t], differing[t]);
        const __m512i sums = _mm512_sub_epi64(_mm512_set1_epi64(columns), twice);
        _mm512_mask_cvtepi64_storeu_epi32(y + t * rows, there, sums);
    }
}

// Differing bits of two rows.
std::int64_t differing(const std::uint64_t *one, const std::uint64_t *other, std::int64_t words) {
    __m512i found = _mm512_setzero_si512();
    for (std::int64_t i = 0; i < words; i += kEight) {
        const __mmask8 there = words - i >= kEight ? 0xff : static_cast<__mmask8>((1u << (words - i)) - 1);
        const __m512i differ = _mm512_xor_si512(_mm512_maskz_loadu_epi64(there, one + i),
                                                _mm512_maskz_loadu_epi64(there, other + i));
        found = _mm512_add_epi64(found, _mm512_popcnt_epi64(differ));
    }
    return _mm512_reduce_add_epi64(found);
}

void signs(const std::uint64_t *weights, const std::uint64_t *inputs, std::int64_t rows, std::int64_t tokens,
           std::int64_t words, std::int64_t columns, std::int32_t *y) {
    if (tokens < kTokens) {  // turning would cost more than it spares
        for (std::int64_t t = 0; t < tokens; ++t)
            for (std::int64_t r = 0; r < rows; ++r)
                y[t * rows + r] = static_cast<std::int32_t>(
                    columns - 2 * differing(weights + r * words, inputs + t * words, words));
        return;
    }
    std::vector<Eight> eight(words);
    for (std::int64_t r = 0; r < rows; r += kEight) {
        const std::int64_t count = std::min<std::int64_t>(kEight, rows - r);
        turn(weights + r * words, count, words, eight.data());
        std::int64_t t = 0;
        for (; t + kTokens <= tokens; t += kTokens)
            meet<kTokens>(eight.data(), inputs + t * words, words, columns, count, rows, y + t * rows + r);
        for (; t < tokens; ++t) meet<1>(eight.data(), inputs + t * words, words, columns, count, rows, y + t * rows + r);
    }
}

bool there() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vpopcntdq");
}

}  // namespace

const Path kAvx512{"avx512", &there, &product, &signs, kManyAvx512, &trits_avx512, &lookup_avx512, true};

}  // namespace shoal::lowbit
#endif
