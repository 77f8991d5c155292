// Many tokens in plain C++: four rows in a register that is an array.
#include "many.hpp"
#include "taken.hpp"

namespace shoal::lowbit {
namespace {

struct Set {
    static constexpr int kRows = 4, kVectors = 2, kTokens = 4;
    struct Ints {
        std::int32_t of[kRows];
    };
    struct Floats {
        float of[kRows];
    };

    static Ints quads(const std::uint8_t *const *rows, std::int64_t offset) { return load(rows[0] + offset); }
    static Ints low32(Ints one, Ints other) { return {{one.of[0], other.of[0], one.of[1], other.of[1]}}; }
    static Ints high32(Ints one, Ints other) { return {{one.of[2], other.of[2], one.of[3], other.of[3]}}; }
    static Ints low64(Ints one, Ints other) { return {{one.of[0], one.of[1], other.of[0], other.of[1]}}; }
    static Ints high64(Ints one, Ints other) { return {{one.of[2], one.of[3], other.of[2], other.of[3]}}; }
    static Ints each_byte(int value) { return all(static_cast<std::int32_t>(0x01010101u * static_cast<unsigned>(value))); }
    static Ints field(Ints from, int shift, Ints mask) {
        for (int r = 0; r < kRows; ++r)
            from.of[r] = static_cast<std::int32_t>((static_cast<std::uint32_t>(from.of[r]) >> shift) &
                                                   static_cast<std::uint32_t>(mask.of[r]));
        return from;
    }
    static void store(std::uint8_t *to, Ints value) { std::memcpy(to, &value, sizeof value); }
    static Ints load(const std::uint8_t *from) {
        Ints found;
        std::memcpy(&found, from, sizeof found);
        return found;
    }
    static Ints none() { return {}; }
    static Ints four(const std::int8_t *acts) { return all(word(acts)); }
    template <bool Wide>
    static Ints dot(Ints sums, Ints codes, Ints acts) {
        std::uint8_t given[4 * kRows];
        std::int8_t own[4 * kRows];
        std::memcpy(given, &codes, sizeof given), std::memcpy(own, &acts, sizeof own);
        for (int j = 0; j < 4 * kRows; ++j) sums.of[j / 4] += given[j] * own[j];
        return sums;
    }
    static Floats floats(float value) { return {{value, value, value, value}}; }
    static Floats floats_of(Ints whole) {
        return each([&](int r) { return static_cast<float>(whole.of[r]); });
    }
    static Floats from_halves(const Half *from) {
        return each([&](int r) { return from_half(from[r]); });
    }
    static Floats from_bytes(const std::uint8_t *from) {
        return each([&](int r) { return static_cast<float>(from[r]); });
    }
    static Floats times(Floats one, Floats other) {
        return each([&](int r) { return one.of[r] * other.of[r]; });
    }
    static Floats more(Floats to, Floats one, Floats other) {
        return each([&](int r) { return to.of[r] + one.of[r] * other.of[r]; });
    }
    static Floats less(Floats from, Floats one, Floats other) {
        return each([&](int r) { return from.of[r] - one.of[r] * other.of[r]; });
    }
    static void store(float *to, Floats value) { std::memcpy(to, &value, sizeof value); }

  private:
    static Ints all(std::int32_t value) { return {{value, value, value, value}}; }
    template <class Of>
    static Floats each(const Of &of) {
        return {{of(0), of(1), of(2), of(3)}};
    }
};

}  // namespace

const Many kManyPortable{&take<Set>, &many<Set>, Set::kTokens};

}  // namespace shoal::lowbit
