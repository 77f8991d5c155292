// One pass of the label programme over all nodes, with bounds. What it does is said in chain_labels.py.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "known.hpp"
#include "tables.hpp"

namespace shoal {

using Wanted = std::array<bool, kGoals>;

struct Question {
    Tables tables;
    std::vector<Node> nodes;
    Wanted wanted{};
    std::vector<Values> known;          // complete plans, non-dominated
    double epsilon = 0.0;               // 0: exact; else one label a box of this relative size
    double time_limit_s = 0.0;          // from the call on; ignored while there is no plan at all
    std::function<bool()> interrupted;  // asked about ten times a second; true: give up at once
};

struct Group {
    int plan, last_cut, unit;
};

struct Answer {
    bool finished = false;
    std::vector<Values> values;  // of plans, none dominating another
    std::vector<Group> groups;   // of plan 0, then of plan 1, ...; each from its first group to its last
};

// Plans that no known one beats; if it finishes, together with the known ones the whole front.
Answer sweep(const Question &question);

}  // namespace shoal
