// Products with bit planes of free scales, four columns of a row at a time: their four bits are the place in a table of
// the sixteen sums of four activations, built once for all rows.
//
// Sixteen rows are a *tile*, 32 columns a *step*, a block of 64 bytes one plane of both: four bytes of each row. Bit b of
// byte k belongs to column 16 · (b / 4) + 4 · k + b % 4 of the step. Blocks stand by tile, step, plane.
//
// Sums of four activations in int8 take ten bits. A table holds their lower eight and, apart, what is above: both are
// looked up and added up, so the sums are exact. Four tables of sixteen make one of 64, for the four bytes of a row.
#pragma once

#include <algorithm>
#include <vector>

#include "lowbit.hpp"

namespace shoal::lowbit {

inline constexpr int kTile = 16;        // rows
inline constexpr int kStep = 32;        // columns
inline constexpr int kMostPlanes = 4;

// A weight of group g is zero + Σ scale_p · bit_p. Scales by tile, group, plane, row; zeros by tile, group, row; with
// one group for all columns if `one_scale`.
struct BitPlanes {
    const std::uint8_t *codes;
    const Half *scales, *zeros;
    std::int64_t rows, steps;
    int planes;
    bool one_scale;

    std::int64_t tiles() const { return (rows + kTile - 1) / kTile; }
};

// Activations in int8, a scale for each group of `wide` steps. Token t, step s: codes by bit and byte, as the bits of a
// row stand, at (t · steps + s) · 32; tables of the lower, then of the upper four bits of each byte at (t · steps + s) ·
// 128, if there are any. What a group comes to: scale · sum of codes.
struct LookupInputs {
    std::int64_t tokens, steps, wide, groups;
    std::vector<std::int8_t> codes;
    std::vector<std::uint8_t> low;  // of the sums, the lower eight bits
    std::vector<std::int8_t> high;  // what is above
    std::vector<float> scales, totals;
};

// x of (tokens, columns), rounded group by group.
LookupInputs lookup_inputs(const float *x, std::int64_t tokens, std::int64_t columns, std::int64_t wide);

// Adds the tables.
void tabulate(LookupInputs &x);

// y[t · rows + r] = the product, for tiles from `begin` up to `end`.
LookupKernel lookup_portable, lookup_avx2, lookup_avx512, lookup_neon;

// Written once for the sets that look up; a set gives
//   kRows, Bytes, load           rows in a register, four bytes each
//   lower, upper                 places in a table of 64: half of each byte, and which byte of its row it is
//   Table, table, looked         64 entries
//   Low, High, none, more        sums of what was looked up, by row
//   Floats, zero, whole, halves  float32 by row: low + 256 · high; of scales
//   grown, store                 a product added; the first `count` rows written
template <class Set, int Planes>
void look_up(const BitPlanes &w, const LookupInputs &x, std::int64_t tile, std::int64_t token, int row, float *y) {
    const std::int64_t groups = w.one_scale ? 1 : x.groups;
    auto total = Set::zero();
    for (std::int64_t g = 0; g < x.groups; ++g) {
        typename Set::Low low[Planes][2];
        typename Set::High high[Planes][2];
        for (int p = 0; p < Planes; ++p)
            for (int half = 0; half < 2; ++half) Set::none(low[p][half]), Set::none(high[p][half]);
        for (std::int64_t s = g * x.wide; s < std::min(w.steps, (g + 1) * x.wide); ++s) {
            const std::uint8_t *codes = w.codes + (tile * w.steps + s) * Planes * kBlock + row * 4;
            const std::int64_t place = (token * x.steps + s) * 2 * kBlock;
            typename Set::Table lows[2], highs[2];
            for (int half = 0; half < 2; ++half) {
                lows[half] = Set::table(x.low.data() + place + half * kBlock);
                highs[half] = Set::table(reinterpret_cast<const std::uint8_t *>(x.high.data()) + place + half * kBlock);
            }
            for (int p = 0; p < Planes; ++p) {
                const auto given = Set::load(codes + p * kBlock);
                const typename Set::Bytes at[2] = {Set::lower(given), Set::upper(given)};
                for (int half = 0; half < 2; ++half) {
                    low[p][half] = Set::more(low[p][half], Set::looked(lows[half], at[half]));
                    high[p][half] = Set::more(high[p][half], Set::looked(highs[half], at[half]));
                }
            }
        }
        const std::int64_t place = (tile * groups + (w.one_scale ? 0 : g)) * kTile;
        auto own = Set::zero();
        for (int p = 0; p < Planes; ++p)
            own = Set::grown(own, Set::halves(w.scales + place * Planes + p * kTile + row),
                             Set::whole(low[p][0], low[p][1], high[p][0], high[p][1]));
        total = Set::grown(total, own, Set::all(x.scales[token * x.groups + g]));
        total = Set::grown(total, Set::halves(w.zeros + place + row), Set::all(x.totals[token * x.groups + g]));
    }
    const std::int64_t first = tile * kTile + row;
    if (first < w.rows) Set::store(y + token * w.rows + first, total, w.rows - first);
}

template <class Set, int Planes>
void look_up(const BitPlanes &w, const LookupInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile)
        for (std::int64_t token = 0; token < x.tokens; ++token)
            for (int row = 0; row < kTile; row += Set::kRows) look_up<Set, Planes>(w, x, tile, token, row, y);
}

// See `LookupKernel`; the number of planes becomes a constant.
template <class Set>
void lookup(const BitPlanes &w, const LookupInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    switch (w.planes) {
        case 1: return look_up<Set, 1>(w, x, y, begin, end);
        case 2: return look_up<Set, 2>(w, x, y, begin, end);
        case 3: return look_up<Set, 3>(w, x, y, begin, end);
        default: return look_up<Set, 4>(w, x, y, begin, end);
    }
}

}  // namespace shoal::lowbit
