#include "climb.hpp"

#include <algorithm>
#include <limits>

#include "clock.hpp"
#include "figures.hpp"

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kShifts[] = {-4, -2, -1, 1, 2, 4};  // of a border between groups, in cuts
constexpr int kShares[] = {1, 3};                 // pieces a unit gets that was not used before

struct Piece {
    int last_cut, unit;
};
using Division = std::vector<Piece>;

class Climb {
  public:
    Climb(const Question &question, bool in_order)
        : question_(question),
          t_(question.tables),
          in_order_(in_order),
          clock_(question.time_limit_s, question.interrupted) {}

    void take(const Division &plan);
    void run();
    Answer answer();

  private:
    bool score(const Division &plan, Values &values);
    void shift_borders(const Division &plan);
    void leave_out(const Division &plan);
    void exchange(const Division &plan);
    void bring_in(const Division &plan, std::size_t place, int unit);

    const Question &question_;
    const Tables &t_;
    const bool in_order_;
    Clock clock_;
    Known known_{{}};
    Values hint_ = kNobody;
    std::vector<Division> plans_;  // a plan's label is its place here
    std::vector<Values> values_;
    std::vector<double> figures_;
    std::vector<char> used_;
};

bool Climb::score(const Division &plan, Values &values) {
    figures_ = beginning(t_);
    used_.assign(static_cast<std::size_t>(t_.units), 0);
    int sender = t_.units, first = 0;
    for (const auto &[last, unit] : plan) {
        if (last <= first || last >= t_.cuts || used_[unit] || (in_order_ && first > 0 && unit < sender))
            return false;
        used_[unit] = 1;
        if (t_.run_s[t_.group(unit, first, last)] == kInf || t_.hop_s[t_.arc(sender, unit, first)] == kInf)
            return false;
        if (!extend(t_, sender, unit, first, last, figures_.data())) return false;
        sender = unit, first = last;
    }
    if (first != t_.cuts - 1) return false;
    values = {};
    if (question_.wanted[kLatency]) values[kLatency] = figures_[kLatencyS];
    if (question_.wanted[kPeriod]) values[kPeriod] = figures_[kPeriodS];
    if (question_.wanted[kEnergy]) values[kEnergy] = hungriest(t_, figures_.data(), figures_[kPeriodS]);
    if (question_.wanted[kMemory]) values[kMemory] = figures_[kLargestBytes];
    return true;
}

void Climb::take(const Division &plan) {
    Values values;
    clock_.work(16, !known_.empty());
    if (!score(plan, values) || known_.beats(values, hint_)) return;
    known_.add(values, static_cast<std::int64_t>(plans_.size()));
    plans_.push_back(plan);
    values_.push_back(values);
}

void Climb::run() {
    for (std::size_t done = 0; done < plans_.size(); ++done) {
        if (known_.least_period(values_[done]) < values_[done][kPeriod]) continue;  // a better one was found since
        const Division plan = plans_[done];  // a copy: `take` adds to the plans
        shift_borders(plan);
        leave_out(plan);
        exchange(plan);
    }
}

void Climb::shift_borders(const Division &plan) {
    Division changed = plan;
    for (std::size_t i = 0; i + 1 < plan.size(); ++i) {
        for (const int by : kShifts) {
            changed[i].last_cut = plan[i].last_cut + by;
            if (changed[i].last_cut < plan[i + 1].last_cut) take(changed);
        }
        changed[i].last_cut = plan[i].last_cut;
    }
}

// Without one of the units; its pieces go to the one before or to the one after.
void Climb::leave_out(const Division &plan) {
    for (std::size_t i = 0; plan.size() > 1 && i < plan.size(); ++i) {
        Division changed = plan;
        changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
        if (i + 1 < plan.size()) take(changed);
        if (i == 0) continue;
        changed[i - 1].last_cut = plan[i].last_cut;
        take(changed);
    }
}

// Every two units in each other's place; every unused one in another's place, or beside it.
void Climb::exchange(const Division &plan) {
    for (std::size_t i = 0; i < plan.size(); ++i)
        for (int unit = 0; unit < t_.units; ++unit) {
            const auto other =
                std::find_if(plan.begin(), plan.end(), [unit](const Piece &p) { return p.unit == unit; });
            const bool used = other != plan.end();
            const auto j = static_cast<std::size_t>(other - plan.begin());
            if (used && j <= i) continue;
            Division changed = plan;
            changed[i].unit = unit;
            if (used) changed[j].unit = plan[i].unit;
            take(changed);
            if (!used) bring_in(plan, i, unit);
        }
}

void Climb::bring_in(const Division &plan, std::size_t i, int unit) {
    const int first = i > 0 ? plan[i - 1].last_cut : 0;
    for (const int share : kShares) {
        if (first + share >= plan[i].last_cut) continue;
        Division changed = plan;
        changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), {first + share, unit});
        take(changed);
        changed = plan;
        changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i) + 1, {plan[i].last_cut, unit});
        changed[i].last_cut -= share;
        take(changed);
    }
}

Answer Climb::answer() {
    Answer answer;
    for (const Plan &plan : known_.plans()) {
        const int number = static_cast<int>(answer.values.size());
        answer.values.push_back(plan.values);
        for (const auto &[last, unit] : plans_[static_cast<std::size_t>(plan.label)])
            answer.groups.push_back({number, last, unit});
    }
    return answer;
}

}  // namespace

Answer climb(const Question &question, const std::vector<Group> &from, bool in_order) {
    Climb climb(question, in_order);
    Answer answer;
    try {
        Division plan;
        for (std::size_t i = 0; i < from.size(); ++i) {
            plan.push_back({from[i].last_cut, from[i].unit});
            if (i + 1 < from.size() && from[i + 1].plan == from[i].plan) continue;
            climb.take(plan);
            plan.clear();
        }
        climb.run();
        answer = climb.answer();
        answer.finished = true;
    } catch (const Stopped &) {
        answer = climb.answer();
    }
    return answer;
}

}  // namespace shoal
