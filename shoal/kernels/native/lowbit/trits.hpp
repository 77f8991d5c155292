// Products with weights −1, 0 and 1 read as they are stored: five in a byte, or three in five bits.
//
// A *step* is 64 bytes of codes of one row, 64 · width columns, the last of a row perhaps shorter. Byte j of a step
// holds its columns from width · j on.
//   Fives   width 5: Σ (t_i + 1) · 3^i, below 243, byte for byte what the format writes.
//   Threes  width 6: two indices of four bits, the first triple's in the lower half. Index n stands for the triple with
//           9 t_0 + 3 t_1 + t_2 = n, or with −n where its sign bit is set; sign bits stand beside, of a row those of the
//           lower halves first, bit j for byte j.
// Both are looked up as *digits* t + 1; Σ digit · activation − Σ activation is the product, in whole numbers.
//
// The loops are written once; an instruction set gives registers of bytes and what is done with them (see `run`).
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "lowbit.hpp"

namespace shoal::lowbit {

inline constexpr int kSigns = kBlock / 8;  // bytes of sign bits of half a step

struct Trits {
    const std::uint8_t *codes;  // row r at r · bytes
    const std::uint8_t *signs;  // row r at r · 2 · sign_bytes; none: five in a byte
    const float *scales;        // one a row
    std::int64_t rows, bytes;

    int width() const { return signs ? 6 : 5; }
    std::int64_t steps() const { return (bytes + kBlock - 1) / kBlock; }
    std::int64_t sign_bytes() const { return (bytes + 7) / 8; }
};

// Activations in int8. Token t, step s, column c of the step: code at ((t · steps + s) · width + c % width) · 64 +
// c / width; a scale at t · steps + s; minus the sums of codes by four bytes, `starts`, at (t · steps + s) · 16.
struct TritInputs {
    std::int64_t tokens, steps;
    int width;
    std::vector<std::int8_t> codes;
    std::vector<float> scales;
    std::vector<std::int32_t> starts;

    const std::int8_t *codes_of(std::int64_t at) const { return codes.data() + at * width * kBlock; }
};

// x of (tokens, columns), rounded with a scale for each step, or with one for each token.
TritInputs trit_inputs(const float *x, std::int64_t tokens, std::int64_t columns, const Trits &w, bool by_token);

// y[t · rows + r] = the product, for rows from `begin` up to `end`.
TritKernel trits_portable, trits_avx2, trits_avx512, trits_neon;

// of[i][n]: digit i of n; beyond the 32nd entry nothing is looked up.
struct Digits {
    alignas(kBlock) std::uint8_t of[3][kBlock];
};

constexpr std::uint8_t digit(int number, int place) {
    for (; place > 0; --place) number /= 3;
    return static_cast<std::uint8_t>(number % 3);
}

// Digits of numbers below 27.
inline constexpr Digits kNumbers = [] {
    Digits made{};
    for (int place = 0; place < 3; ++place)
        for (int n = 0; n < 27; ++n) made.of[place][n] = digit(n, place);
    return made;
}();

// Digits of the triples of an index and, in the fifth bit, a sign.
inline constexpr Digits kTriples = [] {
    Digits made{};
    for (int place = 0; place < 3; ++place)
        for (int code = 0; code < 32; ++code) {
            const int index = code & 15, number = code & 16 ? 13 - index : 13 + index;
            made.of[place][code] = index < 14 ? digit(number, 2 - place) : 1;
        }
    return made;
}();

// Multiples of 27.
inline constexpr std::array<std::uint8_t, 16> kTimes27 = [] {
    std::array<std::uint8_t, 16> made{};
    for (int n = 0; n < 9; ++n) made[n] = static_cast<std::uint8_t>(27 * n);
    return made;
}();

// Where a step's codes and signs are.
struct Step {
    const std::uint8_t *codes, *lower, *upper;
};

// Steps of a matrix, each of 64 bytes: what follows a row meets activations of zero. Where fewer are left in the matrix,
// a copy filled up with zeros. A template so that each instruction set has one compiled for it.
template <class Set>
class Steps {
  public:
    explicit Steps(const Trits &w) : w_(w) {}

    Step of(std::int64_t row, std::int64_t step) {
        const std::int64_t beside = w_.sign_bytes();
        const std::uint8_t *codes = w_.codes + row * w_.bytes + step * kBlock;
        codes = whole(codes, w_.codes + w_.rows * w_.bytes, kBlock, codes_);
        if (!w_.signs) return {codes, nullptr, nullptr};
        const std::uint8_t *lower = w_.signs + row * 2 * beside + step * kSigns;
        const std::uint8_t *const end = w_.signs + w_.rows * 2 * beside;
        return {codes, whole(lower, end, kSigns, lower_), whole(lower + beside, end, kSigns, upper_)};
    }

  private:
    static const std::uint8_t *whole(const std::uint8_t *from, const std::uint8_t *end, std::int64_t count,
                                     std::uint8_t *spare) {
        if (end - from >= count) return from;
        std::memset(spare, 0, count);
        std::memcpy(spare, from, end - from);
        return spare;
    }

    const Trits &w_;
    std::uint8_t codes_[kBlock], lower_[kSigns], upper_[kSigns];
};

struct Fives {
    static constexpr int width = 5;

    template <class Set>
    static void digits(const Step &step, int at, typename Set::Bytes *to) {
        const auto given = Set::load(step.codes + at);
        const auto upper = Set::over27(given), lower = Set::less(given, Set::small(kTimes27.data(), upper));
        for (int i = 0; i < 3; ++i) to[i] = Set::looked(kNumbers.of[i], lower);
        for (int i = 0; i < 2; ++i) to[3 + i] = Set::small(kNumbers.of[i], upper);
    }
};

struct Threes {
    static constexpr int width = 6;

    template <class Set>
    static void digits(const Step &step, int at, typename Set::Bytes *to) {
        const auto given = Set::load(step.codes + at);
        const auto lower = Set::with_signs(Set::lower(given), step.lower + at / 8);
        const auto upper = Set::with_signs(Set::upper(given), step.upper + at / 8);
        for (int i = 0; i < 3; ++i) to[i] = Set::looked(kTriples.of[i], lower);
        for (int i = 0; i < 3; ++i) to[3 + i] = Set::looked(kTriples.of[i], upper);
    }
};

// A set gives
//   kBytes, Bytes, load             a register of bytes
//   over27, less                    quotients of bytes below 243; differences
//   small, looked                   a table of 16, and of 32 entries at each byte's place
//   lower, upper, with_signs        half bytes; 16 added where the bit of a byte is set
//   Parts, none, more               sums of digits times activations, register after register
//   Floats, zero, grown, added_up   float32 by four bytes: grown by (parts + starts) · scale, and their sum
template <class Set, class Packing, int Tokens>
void run(const Trits &w, const TritInputs &x, std::int64_t token, float *y, std::int64_t begin, std::int64_t end) {
    constexpr int width = Packing::width;
    Steps<Set> steps(w);
    for (std::int64_t r = begin; r < end; ++r) {
        typename Set::Floats total[Tokens];
        for (auto &each : total) each = Set::zero();
        for (std::int64_t s = 0; s < x.steps; ++s) {
            const Step step = steps.of(r, s);
            for (int at = 0; at < kBlock; at += Set::kBytes) {
                typename Set::Bytes digits[width];
                Packing::template digits<Set>(step, at, digits);
                for (int t = 0; t < Tokens; ++t) {
                    const std::int64_t place = (token + t) * x.steps + s;
                    const std::int8_t *const acts = x.codes_of(place) + at;
                    auto parts = Set::none();
                    for (int p = 0; p < width; ++p) parts = Set::more(parts, digits[p], acts + p * kBlock);
                    total[t] = Set::grown(total[t], parts, x.starts.data() + place * kLanes + at / 4, x.scales[place]);
                }
            }
        }
        for (int t = 0; t < Tokens; ++t) y[(token + t) * w.rows + r] = w.scales[r] * Set::added_up(total[t]);
    }
}

template <class Set, class Packing>
void run(const Trits &w, const TritInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    std::int64_t token = 0;
    for (; token + kTokens <= x.tokens; token += kTokens) run<Set, Packing, kTokens>(w, x, token, y, begin, end);
    for (; token < x.tokens; ++token) run<Set, Packing, 1>(w, x, token, y, begin, end);
}

// See `TritKernel`.
template <class Set>
void trits(const Trits &w, const TritInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    w.signs ? run<Set, Threes>(w, x, y, begin, end) : run<Set, Fives>(w, x, y, begin, end);
}

}  // namespace shoal::lowbit
