// One comparison with eight numbers at once.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace shoal {

constexpr int kEight = 8;

// Bit i: whether number i is at most `bound`.
inline unsigned at_most(const double *eight, double bound) {
#ifdef __SSE2__
    const __m128d bounds = _mm_set1_pd(bound);
    const auto two = [&](int i) {
        return static_cast<unsigned>(_mm_movemask_pd(_mm_cmple_pd(_mm_loadu_pd(eight + i), bounds))) << i;
    };
    return two(0) | two(2) | two(4) | two(6);
#else
    unsigned mask = 0;
    for (int i = 0; i < kEight; ++i) mask |= static_cast<unsigned>(eight[i] <= bound) << i;
    return mask;
#endif
}

}  // namespace shoal
