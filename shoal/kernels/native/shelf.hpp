// Rows of keys, eight side by side, so that one question is put to eight rows at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "eight.hpp"

namespace shoal {

class Shelf {
  public:
    explicit Shelf(int keys) : keys_(static_cast<std::size_t>(keys)) {}

    void clear() { rows_ = 0, lows_.clear(), least_.clear(); }
    std::size_t rows() const { return rows_; }

    void add(const double *keys) {
        const std::size_t place = rows_++ % kSide;
        if (place == 0)
            lows_.resize(lows_.size() + keys_ * kSide, kInf), least_.resize(least_.size() + keys_, kInf);
        double *low = &lows_[lows_.size() - keys_ * kSide], *least = &least_[least_.size() - keys_];
        for (std::size_t k = 0; k < keys_; ++k) {
            low[k * kSide + place] = keys[k];
            least[k] = std::min(least[k], keys[k]);
        }
    }

    // Whether a row is at most as large in every key.
    bool covers(const double *keys) const {
        for (std::size_t block = 0; block * keys_ < least_.size(); ++block) {
            const double *least = &least_[block * keys_];
            std::size_t k = 0;
            while (k < keys_ && least[k] <= keys[k]) ++k;
            if (k == keys_ && any_within(&lows_[block * keys_ * kSide], keys)) return true;
        }
        return false;
    }

  private:
    static constexpr std::size_t kSide = kEight;
    static constexpr double kInf = std::numeric_limits<double>::infinity();

    bool any_within(const double *low, const double *keys) const {
        unsigned within = (1U << kEight) - 1;
        for (std::size_t k = 0; k < keys_ && within != 0; ++k) within &= at_most(low + k * kSide, keys[k]);
        return within != 0;
    }

    std::size_t keys_, rows_ = 0;
    std::vector<double> lows_, least_;  // blocks of (key, row); of each block the least of every key
};

}  // namespace shoal
