// Activations to int8, group by group, in the order of the blocks. Plain loops that compilers turn into vectors; the
// same operations in float32 as the numpy twin, so the same bits come out.
#include <algorithm>
#include <cmath>

#include "lowbit.hpp"

namespace shoal::lowbit {

namespace {

// Rounds to the nearest even as long as |value| < 2^22: adding this leaves no bits behind the point.
constexpr float kRounder = 12582912.0f;

float largest(const float *x, std::int64_t count) {
    float found[kLanes] = {};
    std::int64_t at = 0;
    for (; at + kLanes <= count; at += kLanes)
        for (int l = 0; l < kLanes; ++l) found[l] = std::max(found[l], std::fabs(x[at + l]));
    for (; at < count; ++at) found[0] = std::max(found[0], std::fabs(x[at]));
    return *std::max_element(found, found + kLanes);
}

}  // namespace

void take(const float *x, std::int64_t tokens, std::int64_t columns, const Order &order, std::int8_t *codes,
          float *scales, std::int32_t *sums, float *totals) {
    const int width = order.width, bytes = kBlock / order.groups, lanes = kLanes / order.groups;
    const std::int64_t count = (columns + order.group - 1) / order.group;
    for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t g = 0; g < order.blocks * order.groups; ++g) {
            const std::int64_t first = g * order.group, block = t * order.blocks + g / order.groups;
            const std::int64_t there = std::clamp<std::int64_t>(columns - first, 0, order.group);
            const int place = static_cast<int>(g % order.groups);
            const float *own = x + t * columns + first;
            const float most = there ? largest(own, there) : 0.0f;
            const float scale = most / 127.0f, inverse = most > 0 ? 127.0f / most : 0.0f;
            std::int8_t *out = codes + block * width * kBlock + place * bytes;
            std::int32_t total = 0, sum[kLanes] = {};
            for (int p = 0; p < width; ++p) {
                const std::int64_t from = static_cast<std::int64_t>(p) * bytes;
                const int filled = static_cast<int>(std::clamp<std::int64_t>(there - from, 0, bytes));
                std::int8_t *row = out + p * kBlock;
                for (int j = 0; j < filled; ++j)
                    row[j] = static_cast<std::int8_t>(static_cast<int>(own[from + j] * inverse + kRounder - kRounder));
                for (int j = filled; j < bytes; ++j) row[j] = 0;
                for (int j = 0; j < bytes; ++j) sum[j / 4] += row[j];
            }
            for (int l = 0; l < lanes; ++l) {
                scales[block * kLanes + place * lanes + l] = scale;
                sums[block * kLanes + place * lanes + l] = sum[l];
                total += sum[l];
            }
            if (g < count) totals[t * count + g] = static_cast<float>(total) * scale;
        }
    }
}

}  // namespace shoal::lowbit
