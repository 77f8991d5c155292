#include "known.hpp"

#include <algorithm>
#include <limits>

namespace shoal {
namespace {

constexpr int kLeaf = 8;
constexpr std::size_t kFresh = 64;

bool within(const Values &low, const Values &high) {
    return low[kLatency] <= high[kLatency] && low[kEnergy] <= high[kEnergy] && low[kMemory] <= high[kMemory];
}

bool dominates(const Values &one, const Values &other) { return within(one, other) && one[kPeriod] <= other[kPeriod]; }

}  // namespace

Known::Known(const std::vector<Values> &points) {
    for (const Values &point : points) plans_.push_back({point, -1});
    rebuild();
}

double Known::least_period(const Values &values, Values &hint) {
    if (dominates(hint, values)) return hint[kPeriod];
    double least = std::numeric_limits<double>::infinity();
    const auto look = [&](const Plan &plan) {
        if (!(plan.values[kPeriod] < least && within(plan.values, values))) return false;
        least = plan.values[kPeriod];
        if (least > values[kPeriod]) return false;
        hint = plan.values;
        return true;
    };
    for (const Plan &plan : fresh_)
        if (look(plan)) return least;
    for (int place = 0, end = static_cast<int>(boxes_.size()); place < end;) {
        const Box &box = boxes_[place];
        if (!(box.low[kPeriod] < least && within(box.low, values))) {
            place = box.skip;
            continue;
        }
        for (int i = box.first; i < box.first + box.count; ++i)
            if (look(plans_[i])) return least;
        ++place;
    }
    return least;
}

void Known::add(const Values &values, std::int64_t label) {
    std::erase_if(fresh_, [&](const Plan &plan) { return dominates(values, plan.values); });
    fresh_.push_back({values, label});
    if (fresh_.size() >= std::max(kFresh, plans_.size() / 16)) rebuild();
}

const std::vector<Plan> &Known::plans() {
    rebuild();
    return plans_;
}

void Known::rebuild() {
    std::erase_if(plans_, [&](const Plan &plan) {
        return std::any_of(fresh_.begin(), fresh_.end(), [&](const Plan &by) { return dominates(by.values, plan.values); });
    });
    plans_.insert(plans_.end(), fresh_.begin(), fresh_.end());
    fresh_.clear();
    boxes_.clear();
    if (!plans_.empty()) build(0, static_cast<int>(plans_.size()), 0);
}

void Known::build(int first, int last, int axis) {
    const std::size_t place = boxes_.size();
    Values low;
    low.fill(std::numeric_limits<double>::infinity());
    for (int i = first; i < last; ++i)
        for (int goal = 0; goal < kGoals; ++goal) low[goal] = std::min(low[goal], plans_[i].values[goal]);
    const bool leaf = last - first <= kLeaf;
    boxes_.push_back({low, 0, first, leaf ? last - first : 0});
    if (!leaf) {
        const int middle = first + (last - first) / 2;
        std::nth_element(plans_.begin() + first, plans_.begin() + middle, plans_.begin() + last,
                         [axis](const Plan &a, const Plan &b) { return a.values[axis] < b.values[axis]; });
        build(first, middle, (axis + 1) % kGoals);
        build(middle, last, (axis + 1) % kGoals);
    }
    boxes_[place].skip = static_cast<int>(boxes_.size());
}

}  // namespace shoal
