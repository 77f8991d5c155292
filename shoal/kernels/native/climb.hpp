// Better plans near known ones: the more of the front is known, the fewer partial plans a sweep has to keep.
#pragma once

#include "sweep.hpp"

namespace shoal {

// Pareto local search (Paquete, Chiarandini, Stuetzle 2004): change every plan that no other beats a little, keep
// what no plan beats, until nothing new is found or time is over. Of the question `nodes`, `known` and `epsilon`
// are unused.
//
// `from` are plans in the form of an Answer's groups; those that are none are left out. `in_order`: only plans
// whose units ascend.
Answer climb(const Question &question, const std::vector<Group> &from, bool in_order);

}  // namespace shoal
