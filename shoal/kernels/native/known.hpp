// Complete plans known so far, none dominating another, and what they rule out.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "tables.hpp"

namespace shoal {

using Values = std::array<double, kGoals>;  // of goals nobody asked for: 0

struct Plan {
    Values values;
    std::int64_t label;  // where its history ends; -1: it came from outside
};

class Known {
  public:
    explicit Known(const std::vector<Values> &points);

    // The least period among the plans at most as large in all other goals; inf: there is none. If a plan is at most
    // as large in the period as well, any such plan's period is the answer (and `values` are beaten).
    // `hint`: a known plan that is likely to beat these; becomes the one that does.
    double least_period(const Values &values, Values &hint);
    bool beats(const Values &values, Values &hint) { return least_period(values, hint) <= values[kPeriod]; }

    // Whether a plan with a smaller period is at most as large in all other goals.
    bool surpasses(const Values &values) {
        Values nobody;
        nobody.fill(std::numeric_limits<double>::infinity());
        return least_period(values, nobody) < values[kPeriod];
    }

    // Add a plan that is not beaten.
    void add(const Values &values, std::int64_t label);

    bool empty() const { return plans_.empty() && fresh_.empty(); }
    const std::vector<Plan> &plans();

  private:
    // Boxes of a k-d tree in the order of a walk: if `low` is above a question, the walk goes on at `skip`.
    struct Box {
        Values low;
        int skip, first, count;  // count 0: not a leaf
    };
    void rebuild();
    void build(int first, int last, int axis);

    std::vector<Plan> plans_;  // in the order of the tree's leaves
    std::vector<Box> boxes_;
    std::vector<Plan> fresh_;  // not in the tree yet
};

}  // namespace shoal
