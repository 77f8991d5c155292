// Plain C++: a table of all bytes, or of both triples of a byte, one weight after another.
#include "trits.hpp"

namespace shoal::lowbit {
namespace {

// Digits of a byte of five.
constexpr auto kFives = [] {
    std::array<std::array<std::uint8_t, 5>, 256> made{};
    for (int byte = 0; byte < 256; ++byte)
        for (int place = 0; place < 5; ++place) made[byte][place] = digit(byte, place);
    return made;
}();

void digits_of(const Trits &w, std::int64_t row, std::int64_t byte, std::uint8_t *to) {
    const std::uint8_t code = w.codes[row * w.bytes + byte];
    if (!w.signs) {
        std::copy(kFives[code].begin(), kFives[code].end(), to);
        return;
    }
    const std::int64_t beside = w.sign_bytes();
    for (int half = 0; half < 2; ++half) {
        const int sign = w.signs[(row * 2 + half) * beside + byte / 8] >> (byte % 8) & 1;
        const int triple = (code >> (4 * half) & 15) | sign << 4;
        for (int i = 0; i < 3; ++i) to[3 * half + i] = kTriples.of[i][triple];
    }
}

float product(const Trits &w, const TritInputs &x, std::int64_t row, std::int64_t token) {
    float total = 0;
    for (std::int64_t s = 0; s < x.steps; ++s) {
        const std::int64_t place = token * x.steps + s, there = std::min<std::int64_t>(kBlock, w.bytes - s * kBlock);
        const std::int8_t *const acts = x.codes_of(place);
        std::int32_t sum = 0;
        for (int l = 0; l < kLanes; ++l) sum += x.starts[place * kLanes + l];
        for (std::int64_t j = 0; j < there; ++j) {
            std::uint8_t digits[6];
            digits_of(w, row, s * kBlock + j, digits);
            for (int p = 0; p < x.width; ++p) sum += digits[p] * acts[p * kBlock + j];
        }
        total += static_cast<float>(sum) * x.scales[place];
    }
    return w.scales[row] * total;
}

}  // namespace

void trits_portable(const Trits &w, const TritInputs &x, float *y, std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = 0; t < x.tokens; ++t)
        for (std::int64_t r = begin; r < end; ++r) y[t * w.rows + r] = product(w, x, r, t);
}

}  // namespace shoal::lowbit
