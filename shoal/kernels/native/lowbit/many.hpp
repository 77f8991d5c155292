// Products for many tokens. Rows of weights stand in the lanes of a register, four columns of each, so that sums are
// never added up across lanes: the codes of a few rows are turned, spread to bytes once, and kept in the first level of
// cache (a *panel*) while all tokens meet them, a few at a time. Whole numbers are those of the kernels for one token.
//
// Written once for all instruction sets; a *set* gives
//   kRows                       rows in a register
//   kVectors, kTokens           registers of rows in a panel, and tokens, worked on together
//   Ints, Floats                registers: four bytes of each row or their sum, and float32
//   low32 high32 low64 high64   pairs of both operands in turn, within 128 bits
//   quads(rows, offset)         16 bytes from `offset` on of each fourth row, side by side
//   field, dot, more …          see below, where they are used
// What stands here must not be shared by files of different flags: all is a template over a set that is its file's own.
#pragma once

#include <cstring>

#include "lowbit.hpp"

namespace shoal::lowbit {

inline constexpr std::int64_t kDepth = 1024;  // columns of a panel: of 32 rows 32 KiB, and activations find room beside

// Four activations as one number.
[[maybe_unused]] static inline std::int32_t word(const std::int8_t *acts) {
    std::int32_t found;
    std::memcpy(&found, acts, sizeof found);
    return found;
}

// A block of each of kRows rows, turned: to[l] holds bytes 4l to 4l + 3 of each, in the order of the rows.
template <class Set>
inline void turn(const std::uint8_t *const *rows, std::int64_t offset, typename Set::Ints *to) {
    for (int c = 0; c < kLanes; c += 4) {
        typename Set::Ints from[4];
        for (int j = 0; j < 4; ++j) from[j] = Set::quads(rows + j, offset + 4 * c);  // row 4i + j in its part i
        const auto first = Set::low32(from[0], from[1]), second = Set::high32(from[0], from[1]);
        const auto third = Set::low32(from[2], from[3]), fourth = Set::high32(from[2], from[3]);
        to[c] = Set::low64(first, third), to[c + 1] = Set::high64(first, third);
        to[c + 2] = Set::low64(second, fourth), to[c + 3] = Set::high64(second, fourth);
    }
}

// Weights in work: some rows, some of their blocks. Codes lie by four columns in the order of the activations, then by
// row; scales and zeros by group, then by row.
template <class Set>
struct Panel {
    static constexpr int kRows = Set::kRows * Set::kVectors;
    static constexpr std::int64_t kGroups = kDepth / 8;  // of no fewer columns

    const Weights &w;
    const int width = 8 / w.bits, lanes = kLanes / w.groups;  // codes of a byte; four columns of a group
    const std::int64_t depth = kDepth / (width * kBlock);     // most blocks
    const std::int64_t step = w.one_scale ? 0 : kRows;        // from the scales of a group to those of the next
    std::int64_t row = 0, there = 0, block = 0, blocks = 0;
    alignas(64) std::uint8_t codes[kDepth * kRows];
    Half scales[kGroups * kRows];
    std::uint8_t zeros[kGroups * kRows];

    explicit Panel(const Weights &weights) : w(weights) {}

    // Rows from `first` on, as many as there are before `end`; the last stands in for those that are missing.
    void fill(std::int64_t first, std::int64_t end, std::int64_t first_block) {
        row = first, there = end - first < kRows ? end - first : kRows;
        block = first_block, blocks = w.blocks - block < depth ? w.blocks - block : depth;
        for (int v = 0; v < Set::kVectors; ++v) spread(v);
        gather(w.scales, scales);
        if (w.zeros) gather(w.zeros, zeros);
    }

  private:
    std::int64_t real(int r) const { return row + (r < there ? r : there - 1); }

    void spread(int v) {
        const auto mask = Set::each_byte((1 << w.bits) - 1);
        const std::uint8_t *rows[Set::kRows];
        for (int r = 0; r < Set::kRows; ++r)
            rows[r] = w.codes + (real(v * Set::kRows + r) * w.blocks + block) * kBlock;
        std::uint8_t *to = codes + v * Set::kRows * 4;
        const std::int64_t next = kBlock * (block + blocks < w.blocks ? blocks : kRows * w.blocks - block);
        for (std::int64_t b = 0; b < blocks; ++b) {
            for (int r = 0; r < Set::kRows; ++r) __builtin_prefetch(rows[r] + next + b * kBlock);  // for the next panel
            typename Set::Ints turned[kLanes];
            turn<Set>(rows, b * kBlock, turned);
            for (int p = 0; p < width; ++p)
                for (int l = 0; l < kLanes; ++l, to += kRows * 4)
                    Set::store(to, Set::field(turned[l], w.bits * p, mask));
        }
    }

    template <class Number>
    void gather(const Number *from, Number *to) const {
        const std::int64_t count = w.one_scale ? 1 : blocks * w.groups;
        for (int r = 0; r < kRows; ++r) {
            const Number *own = from + (w.one_scale ? real(r) : (real(r) * w.blocks + block) * w.groups);
            for (std::int64_t i = 0; i < count; ++i) to[i * kRows + r] = own[i];
        }
    }
};

// A part of the tokens against a panel.
template <class Set, int Tokens>
struct Meeting {
    static constexpr int kVectors = Set::kVectors, kRows = Panel<Set>::kRows;

    const Panel<Set> &panel;
    const std::int8_t *const acts;
    const float *const act_scales, *const act_sums;
    typename Set::Ints sums[Tokens][kVectors];  // of a group
    typename Set::Floats total[Tokens][kVectors];

    Meeting(const Panel<Set> &with, const Crowd &x, std::int64_t first)
        : panel(with),
          acts(x.codes + (first * with.w.blocks + with.block * Tokens) * with.width * kBlock),
          act_scales(x.scales + (first * with.w.blocks + with.block * Tokens) * with.w.groups),
          act_sums(x.sums + (act_scales - x.scales)) {}

    // y, (tokens, rows) from the first of the part on, grows by the product.
    template <bool Wide>
    void run(float *y) {
        for (auto &each : total)
            for (auto &part : each) part = Set::floats(0);
        for (std::int64_t b = 0; b < panel.blocks; ++b)
            for (int g = 0; g < panel.w.groups; ++g) {
                multiply<Wide>(b, g);
                scale(b * panel.w.groups + g);
            }
        for (int t = 0; t < Tokens; ++t) {
            float made[kRows];
            for (int v = 0; v < kVectors; ++v) Set::store(made + v * Set::kRows, total[t][v]);
            float *const out = y + t * panel.w.rows + panel.row;
            for (std::int64_t r = 0; r < panel.there; ++r) out[r] += made[r];
        }
    }

    template <bool Wide>
    void multiply(std::int64_t b, int g) {
        for (auto &each : sums)
            for (auto &part : each) part = Set::none();
        for (int p = 0; p < panel.width; ++p) {
            const std::int64_t quad = (b * panel.width + p) * kLanes + g * panel.lanes;
            const std::uint8_t *codes = panel.codes + quad * kRows * 4;
            const std::int8_t *own = acts + quad * Tokens * 4;
            for (int l = 0; l < panel.lanes; ++l, codes += kRows * 4, own += Tokens * 4) {
                typename Set::Ints given[kVectors];
                for (int v = 0; v < kVectors; ++v) given[v] = Set::load(codes + v * Set::kRows * 4);
                for (int t = 0; t < Tokens; ++t) {
                    const auto four = Set::four(own + t * 4);
                    for (int v = 0; v < kVectors; ++v)
                        sums[t][v] = Set::template dot<Wide>(sums[t][v], given[v], four);
                }
            }
        }
    }

    // Sums of a group and zero · sum of its activations are whole and below 2^24: exact in float32.
    void scale(std::int64_t group) {
        for (int v = 0; v < kVectors; ++v) {
            const std::int64_t at = group * panel.step + v * Set::kRows;
            const auto scales = Set::from_halves(panel.scales + at);
            const auto zeros = panel.w.zeros ? Set::from_bytes(panel.zeros + at)
                                             : Set::floats(static_cast<float>(panel.w.zero));
            for (int t = 0; t < Tokens; ++t) {
                const auto own = Set::floats(act_sums[group * Tokens + t]);
                const auto whole = Set::less(Set::floats_of(sums[t][v]), zeros, own);
                const auto both = Set::times(scales, Set::floats(act_scales[group * Tokens + t]));
                total[t][v] = Set::more(total[t][v], whole, both);
            }
        }
    }
};

// A part that begins with token `first`, its number of tokens as a constant.
template <class Set, bool Wide, int Tokens = Set::kTokens>
void meet(std::int64_t tokens, const Panel<Set> &panel, const Crowd &x, std::int64_t first, float *y) {
    if constexpr (Tokens > 1)
        if (tokens < Tokens) return meet<Set, Wide, Tokens - 1>(tokens, panel, x, first, y);
    Meeting<Set, Tokens>(panel, x, first).template run<Wide>(y + first * panel.w.rows);
}

// See `Many`.
template <class Set>
void many(const Weights &w, const Crowd &x, float *y, std::int64_t begin, std::int64_t end) {
    Panel<Set> panel(w);
    for (std::int64_t row = begin; row < end; row += Panel<Set>::kRows)
        for (std::int64_t block = 0; block < w.blocks; block += panel.depth) {
            panel.fill(row, end, block);
            for (std::int64_t part = 0; part < x.parts; ++part) {
                const std::int64_t first = x.tokens * part / x.parts, after = x.tokens * (part + 1) / x.parts;
                if (w.bits == 8)
                    meet<Set, true>(after - first, panel, x, first, y);
                else
                    meet<Set, false>(after - first, panel, x, first, y);
            }
        }
}

}  // namespace shoal::lowbit
