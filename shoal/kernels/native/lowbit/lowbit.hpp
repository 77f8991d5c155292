// Products of matrices in few bits with activations in int8, and of signs with signs. Layouts are the same on every
// instruction set, so that packed weights may travel.
//
// A *block* is 64 bytes of codes of one row: 64 · 8/bits columns, in which `groups` groups of columns stand one after
// another, 64/groups bytes each. Byte j of a group holds columns j, j + 64/groups, j + 2 · 64/groups … of the group, the
// first in its lowest bits. So a shift and a mask give 64 codes at a time, and 32-bit lane l of a sum over bytes
// belongs to group l · groups / 16.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::lowbit {

inline constexpr int kBlock = 64;  // bytes
inline constexpr int kLanes = 16;  // 32-bit sums of a block
inline constexpr int kTokens = 4;  // rows of activations worked on together
inline constexpr int kMany = 3;    // from so many on, decoding once for all of them costs less than it spares (measured)

using Half = std::uint16_t;  // IEEE binary16

// Row r, block b: codes at (r · blocks + b) · 64; scales at r · row_scales + b · groups, or once a row if that is fixed.
// A weight is scale · (code − zero); `zeros`, if there are any, lie like scales, else it is `zero` for all.
struct Weights {
    const std::uint8_t *codes;
    const Half *scales;
    const std::uint8_t *zeros;
    std::int64_t rows, blocks;
    int bits, groups;
    bool one_scale;  // a row has one
    int zero;
};

// Token t, block b: codes in the blocks' order at ((t · blocks + b) · 8/bits + p) · 64; scales and sums of codes by lane
// at (t · blocks + b) · 16.
struct Activations {
    const std::int8_t *codes;
    const float *scales;
    const std::int32_t *sums;
    std::int64_t tokens;
};

// The same for many tokens, in parts of a few that stand side by side: part i has tokens · i / parts and those up to
// tokens · (i + 1) / parts. Four codes of each of its tokens, then the next four; a scale and a sum of codes of each for
// a group of columns, then the next group. A part begins where so many whole tokens end.
struct Crowd {
    const std::int8_t *codes;
    const float *scales, *sums;
    std::int64_t tokens, parts;
};

// How activations lie: `blocks` blocks of `groups` groups of `group` columns, 8/bits = `width` codes of a byte.
struct Order {
    int width, groups;
    std::int64_t group, blocks;
};

// Activations, x of (tokens, columns), in int8: scale · code with |code| <= 127. What is beyond the columns is 0.
// totals[t · count + g] is the sum of what group g of `count` came to.
using Take = void (*)(const float *x, std::int64_t tokens, std::int64_t columns, const Order &order,
                      std::int8_t *codes, float *scales, std::int32_t *sums, float *totals);

// Activations in the order of a crowd of so many parts.
void gather(const Weights &weights, const Activations &x, std::int64_t parts, std::int8_t *codes, float *scales,
            float *sums);

// y[t · rows + r] += the product, for rows from `begin` up to `end`.
using Product = void (*)(const Weights &, const Activations &, float *y, std::int64_t begin, std::int64_t end);
// y[t · rows + r] = columns − 2 · differing bits of two rows of `words` 64-bit words.
using Signs = void (*)(const std::uint64_t *weights, const std::uint64_t *inputs, std::int64_t rows,
                       std::int64_t tokens, std::int64_t words, std::int64_t columns, std::int32_t *y);

// Products for many tokens, in parts of `most` at most.
struct Many {
    Take take;
    void (*product)(const Weights &, const Crowd &, float *y, std::int64_t begin, std::int64_t end);
    int most;
};

// See `trits.hpp` and `lookup.hpp`.
struct Trits;
struct TritInputs;
struct BitPlanes;
struct LookupInputs;
using TritKernel = void(const Trits &, const TritInputs &, float *y, std::int64_t begin, std::int64_t end);
using LookupKernel = void(const BitPlanes &, const LookupInputs &, float *y, std::int64_t begin, std::int64_t end);

struct Path {
    const char *name;
    bool (*there)();  // whether this machine can take it
    Product product;
    Signs signs;
    const Many &many;
    TritKernel *trits;
    LookupKernel *lookup;
    bool tables;  // whether that one looks sums up
};

extern const Path kPortable, kAvx2, kAvx512, kNeon;
extern const Many kManyPortable, kManyAvx2, kManyAvx512, kManyNeon;

inline float from_half(Half half) {
    const std::uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    union {
        std::uint32_t bits;
        float value;
    } made;
    if (rest >= 0x0400u) {
        made.bits = sign | ((rest << 13) + 0x38000000u);
        return made.value;
    }
    made.value = static_cast<float>(rest) * 5.9604644775390625e-8f;  // 2^-24
    made.bits |= sign;
    return made.value;
}

// A block's scales and zeros, lane by lane. Of each instruction set its own.
static inline void by_lane(const Weights &w, std::int64_t row, std::int64_t block, float *scales, std::int32_t *zeros) {
    const int lanes = kLanes / w.groups;
    for (int g = 0; g < w.groups; ++g, scales += lanes, zeros += lanes) {
        const std::int64_t place = w.one_scale ? row : (row * w.blocks + block) * w.groups + g;
        const float scale = from_half(w.scales[place]);
        const std::int32_t zero = w.zeros ? w.zeros[place] : w.zero;
        for (int l = 0; l < lanes; ++l) scales[l] = scale, zeros[l] = zero;
    }
}

// Calls `rows` with the bits and the number of tokens as constants, a few tokens at a time.
template <template <int, int> class Rows>
void by_tokens(const Weights &w, const Activations &x, float *y, std::int64_t begin, std::int64_t end) {
    const std::int64_t width = 8 / w.bits;
    for (std::int64_t first = 0; first < x.tokens;) {
        const std::int64_t skipped = first * w.blocks;
        const Activations part{x.codes + skipped * width * kBlock, x.scales + skipped * kLanes,
                               x.sums + skipped * kLanes, x.tokens - first};
        float *const out = y + first * w.rows;
        const auto run = [&]<int Bits>() {
            if (part.tokens >= kTokens) {
                Rows<Bits, kTokens>::run(w, part, out, begin, end);
                first += kTokens;
            } else {
                Rows<Bits, 1>::run(w, part, out, begin, end);
                ++first;
            }
        };
        switch (w.bits) {
            case 1: run.template operator()<1>(); break;
            case 2: run.template operator()<2>(); break;
            case 4: run.template operator()<4>(); break;
            default: run.template operator()<8>(); break;
        }
    }
}

}  // namespace shoal::lowbit
