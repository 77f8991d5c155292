// One pass of the label programme over all nodes, with bounds. The same as `sweep` in chain_reference.py.
#pragma once

#include <functional>
#include <vector>

#include "known.hpp"
#include "tables.hpp"

namespace shoal {

struct Question {
    Tables tables;
    std::vector<Node> nodes;
    std::array<bool, kGoals> wanted{};
    std::vector<Values> known;  // complete plans, non-dominated
    double epsilon = 0.0;       // 0: exact; else one label a box of this relative size
    double time_limit_s = 0.0;  // from the call on
    // Called about ten times a second; true: give up at once.
    std::function<bool()> interrupted;
};

struct Group {
    int plan, last_cut, unit;
};

struct Answer {
    bool finished = false;
    std::vector<Values> values;  // of plans that are not among the known
    std::vector<Group> groups;   // of plan 0, then of plan 1, ...; each from its first group to its last
};

Answer sweep(const Question &question);

}  // namespace shoal
