// Complete plans known so far, none dominating another, and what they rule out.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "eight.hpp"
#include "tables.hpp"

namespace shoal {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

using Values = std::array<double, kGoals>;  // of goals nobody asked for: 0

inline bool within(const Values &low, const Values &high) {
    return low[kLatency] <= high[kLatency] && low[kEnergy] <= high[kEnergy] && low[kMemory] <= high[kMemory];
}

inline bool dominates(const Values &one, const Values &other) {
    return within(one, other) && one[kPeriod] <= other[kPeriod];
}

struct Plan {
    Values values;
    std::int64_t label;  // where its history ends; -1: it came from outside
};

constexpr Values kNobody{kInfinite, kInfinite, kInfinite, kInfinite};  // beats nothing finite

class Known {
  public:
    explicit Known(const std::vector<Values> &points);

    // Whether a plan is at most as large in all goals. `hint` is one that may well be, and becomes the one that is.
    bool beats(const Values &values, Values &hint);

    // The least period among the plans at most as large in all other goals; inf: there is none.
    double least_period(const Values &values);

    // Add a plan that is not beaten.
    void add(const Values &values, std::int64_t label);

    bool empty() const { return plans_.empty() && fresh_.empty(); }
    const std::vector<Plan> &plans();

  private:
    // A node of a k-d tree: eight plans, or eight nodes below, side by side. Unused places hold inf.
    struct Box {
        double low[kGoals][kEight];  // least values in each
        int below[kEight];           // numbers of the nodes below; of plans unused
        bool leaf;
    };
    static unsigned within(const Box &box, const Values &values);
    void rebuild();
    int build(int first, int last, int axis);
    void split(int first, int last, int axis, int parts, std::vector<int> &edges);

    std::vector<Plan> plans_;
    std::vector<Box> boxes_;
    int root_ = -1;            // -1: no plans
    std::vector<Plan> fresh_;  // not in the tree yet
    std::size_t looked_ = 0;   // fresh plans, since the tree was built
    std::vector<int> stack_;   // boxes to visit
};

}  // namespace shoal
