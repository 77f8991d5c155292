// Activations to int8, group by group, in the order of the blocks. Plain loops that compilers turn into vectors, for each
// instruction set anew (see `many.hpp` for what a set is); the same operations in float32 as the numpy twin, none of them
// contracted, so the same bits come out.
#pragma once

#include <cstring>

#include "rounding.hpp"

namespace shoal::lowbit {

template <class Set>
inline float largest(const float *x, std::int64_t count) {
    float found[kLanes] = {};
    std::int64_t at = 0;
    for (; at + kLanes <= count; at += kLanes)
        for (int l = 0; l < kLanes; ++l) {
            const float size = __builtin_fabsf(x[at + l]);
            found[l] = found[l] < size ? size : found[l];
        }
    for (int l = 0; at + l < count; ++l) found[l] = __builtin_fabsf(x[at + l]);  // fewer than 16 are all of a group
    for (int half = kLanes / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) found[l] = found[l] < found[l + half] ? found[l + half] : found[l];
    return found[0];
}

template <class Set, int Count>
inline void round(const float *__restrict x, float inverse, std::int8_t *__restrict codes) {
    for (int j = 0; j < Count; ++j)
        codes[j] = static_cast<std::int8_t>(static_cast<int>(x[j] * inverse + kRounder - kRounder));
}

// Sums of four neighbouring codes of a block, by lane.
template <class Set>
inline void add_up(const std::int8_t *codes, int width, std::int32_t *sums) {
    const auto one = Set::each_byte(1);
    for (int l = 0; l < kLanes; l += Set::kRows) {
        auto found = Set::none();
        for (int p = 0; p < width; ++p)
            found = Set::template dot<false>(
                found, one, Set::load(reinterpret_cast<const std::uint8_t *>(codes + p * kBlock + 4 * l)));
        Set::store(reinterpret_cast<std::uint8_t *>(sums + l), found);
    }
}

// A group: its scale. Of the columns, `there` are there.
template <class Set, int Bytes>
inline float take_group(const float *x, std::int64_t there, std::int64_t group, int width, std::int8_t *codes) {
    float filled[kBlock * 8];
    if (there < group) {
        std::memset(filled, 0, sizeof filled);
        if (there > 0) std::memcpy(filled, x, there * sizeof *x);
        x = filled;
    }
    const float most = largest<Set>(x, group), inverse = most > 0 ? 127.0f / most : 0.0f;
    for (int p = 0; p < width; ++p) round<Set, Bytes>(x + p * Bytes, inverse, codes + p * kBlock);
    return most / 127.0f;
}

// A token; totals of as many groups as it has columns for.
template <class Set, int Groups>
void take_token(const float *x, std::int64_t columns, const Order &order, std::int8_t *codes, float *scales,
                std::int32_t *sums, float *totals) {
    constexpr int bytes = kBlock / Groups, lanes = kLanes / Groups;
    const int width = order.width;
    const std::int64_t group = order.group;
    for (std::int64_t b = 0, from = 0; b < order.blocks; ++b) {
        for (int g = 0; g < Groups; ++g, from += group) {
            const std::int64_t there = columns - from < group ? columns - from : group;
            const float scale = take_group<Set, bytes>(x + from, there, group, width, codes + g * bytes);
            for (int l = 0; l < lanes; ++l) scales[g * lanes + l] = scale;
        }
        add_up<Set>(codes, width, sums);
        for (int g = 0; g < Groups && (b * Groups + g) * group < columns; ++g) {
            std::int32_t total = 0;
            for (int l = 0; l < lanes; ++l) total += sums[g * lanes + l];
            *totals++ = static_cast<float>(total) * scales[g * lanes];
        }
        codes += width * kBlock, scales += kLanes, sums += kLanes;
    }
}

// See `Take`.
template <class Set>
void take(const float *x, std::int64_t tokens, std::int64_t columns, const Order &order, std::int8_t *codes,
          float *scales, std::int32_t *sums, float *totals) {
    const std::int64_t lanes = order.blocks * kLanes, groups = (columns + order.group - 1) / order.group;
    const auto run = [&]<int Groups>() {
        for (std::int64_t t = 0; t < tokens; ++t)
            take_token<Set, Groups>(x + t * columns, columns, order, codes + t * lanes * order.width * 4,
                                    scales + t * lanes, sums + t * lanes, totals + t * groups);
    };
    switch (order.groups) {
        case 1: return run.template operator()<1>();
        case 2: return run.template operator()<2>();
        case 4: return run.template operator()<4>();
        default: return run.template operator()<8>();
    }
}

}  // namespace shoal::lowbit
