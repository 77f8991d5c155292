#include "bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

void lower(double &to, double by) { to = std::min(to, by); }

}  // namespace

ToGo::ToGo(const Tables &tables, const std::vector<Node> &nodes, int bands, Clock &clock, bool may_stop)
    : cuts_(tables.cuts), bands_(bands) {
    const int count = static_cast<int>(nodes.size());
    periods(tables, nodes);
    const double low_s = rest_.period_s[at(count, 0)], high_s = tables.longest_s;
    if (!(low_s > 0.0 && low_s < high_s && high_s < kInf)) bands_ = 1;
    edges_s_ = {0.0};  // the first band begins anywhere below the least possible period
    for (int j = 1; j < bands_; ++j) edges_s_.push_back(low_s * std::pow(high_s / low_s, j / static_cast<double>(bands_)));
    edges_s_.push_back(kInf);
    if (bands_ > 1) edges_s_[0] = low_s;  // exactly: no label's least period is below it
    fill(rest_, static_cast<std::size_t>(count + 1) * cuts_);
    fill(via_, static_cast<std::size_t>(count) * cuts_);
    for (int q = 0; q < count; ++q) {
        const std::size_t first = at(q, cuts_ - 1) * bands_;
        for (int j = 0; j < bands_; ++j)
            rest_.latency_s[first + j] = rest_.energy_j[first + j] = rest_.memory_bytes[first + j] = 0.0;
    }
    for (int q = count - 1; q >= 0; --q) {
        clock.work(static_cast<std::int64_t>(cuts_) * cuts_, may_stop);
        continue_with(tables, nodes[q], q);
        for (const int before : nodes[q].before) arrive_at(tables, before, nodes[before].unit, q, nodes[q].unit);
        if (nodes[q].starts) arrive_at(tables, count, tables.units, q, nodes[q].unit);
    }
}

int ToGo::band(double period_s) const {
    const auto above = std::upper_bound(edges_s_.begin() + 1, edges_s_.end() - 1, period_s);
    return static_cast<int>(above - edges_s_.begin()) - 1;
}

void ToGo::fill(Kind &kind, std::size_t places) const {
    for (auto *table : {&kind.latency_s, &kind.energy_j, &kind.memory_bytes}) table->assign(places * bands_, kInf);
}

void ToGo::periods(const Tables &tables, const std::vector<Node> &nodes) {
    const int count = static_cast<int>(nodes.size()), last = cuts_ - 1;
    rest_.period_s.assign(static_cast<std::size_t>(count + 1) * cuts_, kInf);
    via_.period_s.assign(static_cast<std::size_t>(count) * cuts_, kInf);
    for (int q = count - 1; q >= 0; --q) {
        const int unit = nodes[q].unit;
        rest_.period_s[at(q, last)] = 0.0;
        for (int c = 0; c < last; ++c)
            for (int e = c + 1; e <= last; ++e)
                lower(via_.period_s[at(q, c)],
                      std::max(tables.run_s[tables.group(unit, c, e)], rest_.period_s[at(q, e)]));
        const auto arrive = [&](int before, int sender) {
            for (int c = 0; c < last; ++c) {
                const std::size_t arc = tables.arc(sender, unit, c);
                if (tables.hop_s[arc] < kInf)
                    lower(rest_.period_s[at(before, c)], std::max(tables.busy_s[arc], via_.period_s[at(q, c)]));
            }
        };
        for (const int before : nodes[q].before) arrive(before, nodes[before].unit);
        if (nodes[q].starts) arrive(count, tables.units);
    }
}

void ToGo::continue_with(const Tables &tables, const Node &node, int place) {
    const double idle_w = tables.idle_w[tables.kind_of[node.unit]];
    group_j_.assign(static_cast<std::size_t>(cuts_) * bands_, kInf);
    for (int c = 0; c < cuts_ - 1; ++c) {
        const std::size_t to = at(place, c) * bands_;
        double *group_j = &group_j_[static_cast<std::size_t>(c) * bands_];
        for (int e = c + 1; e < cuts_; ++e) {
            const std::size_t group = tables.group(node.unit, c, e), from = at(place, e) * bands_;
            const double run_s = tables.run_s[group];
            if (run_s == kInf || rest_.period_s[at(place, e)] == kInf) continue;
            for (int j = band(run_s); j < bands_; ++j) {
                const double own_j = idle_w * std::max(run_s, edges_s_[j]) + tables.dynamic_j[group];
                lower(via_.latency_s[to + j], tables.lead_s[group] + rest_.latency_s[from + j]);
                lower(via_.energy_j[to + j], std::max(own_j, rest_.energy_j[from + j]));
                lower(via_.memory_bytes[to + j], std::max(tables.memory_bytes[group], rest_.memory_bytes[from + j]));
                lower(group_j[j], own_j);
            }
        }
    }
}

// The least over e of max(group + received, rest) is at least max(via, least group + received): cheap, and nearly as
// good as a loop over e for every sender.
void ToGo::arrive_at(const Tables &tables, int before, int sender, int place, int unit) {
    for (int c = 0; c < cuts_ - 1; ++c) {
        const std::size_t arc = tables.arc(sender, unit, c);
        const std::size_t to = at(before, c) * bands_, from = at(place, c) * bands_;
        if (tables.hop_s[arc] == kInf || via_.period_s[at(place, c)] == kInf) continue;
        for (int j = band(tables.busy_s[arc]); j < bands_; ++j) {
            const double group_j = group_j_[static_cast<std::size_t>(c) * bands_ + j] + tables.recv_j[arc];
            lower(rest_.latency_s[to + j], tables.hop_s[arc] + via_.latency_s[from + j]);
            lower(rest_.energy_j[to + j], std::max(group_j, via_.energy_j[from + j]));
            lower(rest_.memory_bytes[to + j], via_.memory_bytes[from + j]);
        }
    }
}

}  // namespace shoal
