// Energy as a function of the final period.
#pragma once

#include <utility>
#include <vector>

#include "tables.hpp"

namespace shoal {

// Final periods with which a partial plan may become a plan that no known one beats.
struct Range {
    double from_s, to_s;
};

// A partial plan's energy at final period T is f(T) = max(floor, max_k idle_k * T + dynamic_k), and only T within
// `range` matters. The largest dynamic_k that leaves f as it is there is the least of f(T) - idle_k * T, reached at
// an end or at a corner of f. A partial plan with dynamic energies at most as large as these lies nowhere above f,
// so devices that are not the hungriest do not keep partial plans apart.
class Envelope {
  public:
    // Fill `lifted` (kinds) from `dynamic_j` (kinds).
    void lift(const Tables &tables, const double *dynamic_j, double floor_j, const Range &range, double *lifted);

  private:
    std::vector<std::pair<double, double>> corners_;  // (period, joules)
};

}  // namespace shoal
