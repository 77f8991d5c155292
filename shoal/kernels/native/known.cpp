#include "known.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr std::size_t kWorth = 64;  // plans looked at one by one that cost as much as putting one into the tree

}  // namespace

Known::Known(const std::vector<Values> &points) {
    for (const Values &point : points) plans_.push_back({point, -1});
    rebuild();
}

bool Known::beats(const Values &values, Values &hint) {
    if (dominates(hint, values)) return true;
    if (looked_ > kWorth * (plans_.size() + fresh_.size())) rebuild();
    looked_ += fresh_.size();
    for (const Plan &plan : fresh_)
        if (dominates(plan.values, values)) return hint = plan.values, true;
    stack_.clear();
    if (root_ >= 0) stack_.push_back(root_);
    while (!stack_.empty()) {
        const Box &box = boxes_[static_cast<std::size_t>(stack_.back())];
        stack_.pop_back();
        unsigned open = within(box, values) & at_most(box.low[kPeriod], values[kPeriod]);
        if (box.leaf && open != 0) {
            const int place = std::countr_zero(open);
            for (std::size_t goal = 0; goal < kGoals; ++goal) hint[goal] = box.low[goal][place];
            return true;
        }
        for (; open != 0; open &= open - 1) stack_.push_back(box.below[std::countr_zero(open)]);
    }
    return false;
}

double Known::least_period(const Values &values) {
    double least_s = kInf;
    looked_ += fresh_.size();
    for (const Plan &plan : fresh_)
        if (shoal::within(plan.values, values)) least_s = std::min(least_s, plan.values[kPeriod]);
    stack_.clear();
    if (root_ >= 0) stack_.push_back(root_);
    while (!stack_.empty()) {
        const Box &box = boxes_[static_cast<std::size_t>(stack_.back())];
        stack_.pop_back();
        for (unsigned open = within(box, values) & at_most(box.low[kPeriod], least_s); open != 0;
             open &= open - 1) {
            const int place = std::countr_zero(open);
            if (box.leaf)
                least_s = std::min(least_s, box.low[kPeriod][place]);
            else
                stack_.push_back(box.below[place]);
        }
    }
    return least_s;
}

// Which of the eight are at most as large in all goals but the period.
unsigned Known::within(const Box &box, const Values &values) {
    const unsigned open = at_most(box.low[kLatency], values[kLatency]) & at_most(box.low[kMemory], values[kMemory]);
    return open == 0 ? 0 : open & at_most(box.low[kEnergy], values[kEnergy]);
}

void Known::add(const Values &values, std::int64_t label) {
    std::erase_if(fresh_, [&](const Plan &plan) { return dominates(values, plan.values); });
    fresh_.push_back({values, label});
}

const std::vector<Plan> &Known::plans() {
    rebuild();
    return plans_;
}

void Known::rebuild() {
    std::erase_if(plans_, [&](const Plan &plan) {
        return std::any_of(fresh_.begin(), fresh_.end(),
                           [&](const Plan &by) { return dominates(by.values, plan.values); });
    });
    plans_.insert(plans_.end(), fresh_.begin(), fresh_.end());
    fresh_.clear();
    looked_ = 0;
    boxes_.clear();
    root_ = plans_.empty() ? -1 : build(0, static_cast<int>(plans_.size()), 0);
}

int Known::build(int first, int last, int axis) {
    Box box;
    for (auto &low : box.low) std::fill_n(low, kEight, kInf);
    std::fill_n(box.below, kEight, -1);
    int parts = 1;
    while (parts < kEight && parts * kEight < last - first) parts *= 2;
    box.leaf = parts == 1;
    std::vector<int> edges{first};
    if (box.leaf)
        for (int i = first; i < last; ++i) edges.push_back(i + 1);
    else
        split(first, last, axis, parts, edges);
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
        for (int place = edges[i]; place < edges[i + 1]; ++place)
            for (int goal = 0; goal < kGoals; ++goal)
                box.low[goal][i] =
                    std::min(box.low[goal][i],
                             plans_[static_cast<std::size_t>(place)].values[static_cast<std::size_t>(goal)]);
        box.below[i] = box.leaf ? edges[i] : build(edges[i], edges[i + 1], axis + 1);
    }
    boxes_.push_back(box);
    return static_cast<int>(boxes_.size()) - 1;
}

// Sort plans into so many parts, by halves along one goal after the other; `edges` gains the end of each.
void Known::split(int first, int last, int axis, int parts, std::vector<int> &edges) {
    if (parts == 1) {
        edges.push_back(last);
        return;
    }
    const int middle = first + (last - first) / 2;
    const auto goal = static_cast<std::size_t>(axis % kGoals);
    std::nth_element(plans_.begin() + first, plans_.begin() + middle, plans_.begin() + last,
                     [goal](const Plan &a, const Plan &b) { return a.values[goal] < b.values[goal]; });
    split(first, middle, axis + 1, parts / 2, edges);
    split(middle, last, axis + 1, parts / 2, edges);
}

}  // namespace shoal
