// Activations in whole numbers to 127; the same operations in float32 as the numpy twin, so the same bits come out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "lowbit.hpp"

namespace shoal::lowbit {

// Rounds to the nearest even as long as |value| < 2^22: adding this leaves no bits behind the point.
inline constexpr float kRounder = 12582912.0f;

// The largest magnitude; plain loops that compilers turn into vectors.
inline float largest(const float *x, std::int64_t count) {
    float found[kLanes] = {};
    std::int64_t at = 0;
    for (; at + kLanes <= count; at += kLanes)
        for (int l = 0; l < kLanes; ++l) found[l] = std::max(found[l], std::fabs(x[at + l]));
    for (; at < count; ++at) found[0] = std::max(found[0], std::fabs(x[at]));
    return *std::max_element(found, found + kLanes);
}

// to[i] = x[i] · inverse, rounded.
inline void round_off(const float *x, std::int64_t count, float inverse, std::int8_t *to) {
    for (std::int64_t i = 0; i < count; ++i)
        to[i] = static_cast<std::int8_t>(static_cast<int>(x[i] * inverse + kRounder - kRounder));
}

}  // namespace shoal::lowbit
