// Better plans near known ones: the more of the front is known, the fewer partial plans a sweep has to keep.
#pragma once

#include "sweep.hpp"

namespace shoal {

// `groups` are those of the question's known plans, in the form of an Answer's.
Answer climb(const Question &question, const std::vector<Group> &groups);

}  // namespace shoal
