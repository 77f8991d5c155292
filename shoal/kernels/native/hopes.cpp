#include "hopes.hpp"

#include <algorithm>
#include <limits>

#include "figures.hpp"

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
// Bands: more of them rule out more and cost more.
constexpr int kPeriods = 12, kMemories = 8, kPeriodsAlone = 24;
constexpr double kMostCells = 1.2e7;  // of all places: the bounds then take some 400 MB

int periods_of(const Wanted &wanted) {
    if (!wanted[kPeriod] && !wanted[kEnergy]) return 1;
    return wanted[kMemory] ? kPeriods : kPeriodsAlone;
}

int memories_of(const Question &question) {
    const double cells =
        static_cast<double>(question.nodes.size()) * question.tables.cuts * periods_of(question.wanted);
    int memories = question.wanted[kMemory] ? kMemories : 1;
    while (memories > 1 && memories * cells > kMostCells) memories /= 2;
    return memories;
}

}  // namespace

Hopes::Hopes(const Question &question, Clock &clock)
    : t_(question.tables),
      wanted_(question.wanted),
      known_(question.known),
      to_go_(question.tables, question.nodes, periods_of(wanted_), memories_of(question), clock,
             !question.known.empty()),
      hints_(static_cast<std::size_t>(to_go_.cell(to_go_.periods().count(), 0)), kNobody) {}

bool Hopes::hopeful(const ToGo::Costs &rest, const double *figures, double hop_s, double busy_s, Range &range,
                    Values &hint) {
    const Bands &periods = to_go_.periods();
    const double period_s = std::max({figures[kPeriodS], busy_s, rest.period_s});
    if (period_s > range.to_s) return false;
    int low = periods.of(period_s), high = periods.of(range.to_s);
    // All cells at once: one look settles it for most labels.
    if (dominates(hint, least(rest, figures, hop_s, period_s, low, high))) return false;
    // Then band by band, from below and from above, until one has hope.
    const auto alive = [&](int band) { return alive_in(band, rest, figures, hop_s, period_s, hint); };
    while (low <= high && !alive(low)) ++low;
    if (low > high) return false;
    const bool one = low == high;
    while (high > low && !alive(high)) --high;
    if (!one && high == low) alive(low);  // its cells again: what is in `cells_` decides the longest period
    range.from_s = std::max(period_s, periods.from(low));
    range.to_s = std::min(range.to_s, periods.to(high));
    if (wanted_[kPeriod]) range.to_s = std::min(range.to_s, longest());
    return true;
}

// Whether a label has hope with a final period in one band. `cells_` become the least values where it has.
bool Hopes::alive_in(int band, const ToGo::Costs &rest, const double *figures, double hop_s, double period_s,
                     Values &hint) {
    const Bands &memories = to_go_.memories();
    const double bytes = std::max(figures[kLargestBytes], rest.memory_bytes);
    const double from_s = std::max(period_s, to_go_.periods().from(band)), own_j = hungriest(t_, figures, from_s);
    double latency_s = kInf, energy_j = kInf;  // with less memory
    cells_.clear();
    for (int memory = memories.of(bytes); memory < memories.count(); ++memory) {
        const int cell = to_go_.cell(band, memory);
        if (rest.latency_s[cell] >= latency_s && rest.energy_j[cell] >= energy_j) continue;  // more for nothing
        latency_s = rest.latency_s[cell], energy_j = rest.energy_j[cell];
        Values values{};
        if (wanted_[kLatency]) values[kLatency] = figures[kLatencyS] + hop_s + latency_s;
        if (wanted_[kPeriod]) values[kPeriod] = from_s;
        if (wanted_[kMemory]) values[kMemory] = std::max(bytes, memories.from(memory));
        if (wanted_[kEnergy]) values[kEnergy] = std::max(own_j, energy_j);
        if (dominates(hint, values)) continue;
        if (known_.beats(values, hints_[static_cast<std::size_t>(cell)]))
            hint = hints_[static_cast<std::size_t>(cell)];
        else
            cells_.push_back(values);
    }
    return !cells_.empty();
}

// The longest final period with which one of `cells_` is not beaten.
double Hopes::longest() {
    double longest_s = 0.0;
    for (const Values &values : cells_) longest_s = std::max(longest_s, known_.least_period(values));
    return longest_s;
}

Values Hopes::least(const ToGo::Costs &rest, const double *figures, double hop_s, double period_s, int low,
                    int high) const {
    Values values{};
    if (wanted_[kLatency])
        values[kLatency] = figures[kLatencyS] + hop_s + rest.latency_s[to_go_.cell(high + 1, 0) - 1];
    if (wanted_[kPeriod]) values[kPeriod] = period_s;
    if (wanted_[kMemory]) values[kMemory] = std::max(figures[kLargestBytes], rest.memory_bytes);
    if (wanted_[kEnergy]) values[kEnergy] = std::max(least_j(rest, low, high), hungriest(t_, figures, period_s));
    return values;
}

// More memory never costs more energy: the last cell of each band of the period has the least.
double Hopes::least_j(const ToGo::Costs &rest, int low, int high) const {
    double joules = kInf;
    for (int band = low; band <= high; ++band)
        joules = std::min(joules, rest.energy_j[to_go_.cell(band + 1, 0) - 1]);
    return joules;
}

}  // namespace shoal
