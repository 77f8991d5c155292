#include "bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

void lower(double &to, double by) { to = std::min(to, by); }

double largest_group(const Tables &tables) {
    double most = 0.0;
    const std::size_t groups = static_cast<std::size_t>(tables.units) * tables.cuts * tables.cuts;
    for (std::size_t group = 0; group < groups; ++group)
        if (tables.run_s[group] < kInf) most = std::max(most, tables.memory_bytes[group]);
    return most;
}

}  // namespace

Bands::Bands(double low, double high, int count) : edges_{0.0} {
    if (low > 0.0 && low < high && high < kInf) {
        edges_[0] = low;  // exactly: nothing is below it
        for (int j = 1; j < count; ++j)
            edges_.push_back(low * std::pow(high / low, j / static_cast<double>(count)));
    }
    edges_.push_back(kInf);
}

int Bands::of(double figure) const {
    const auto above = std::upper_bound(edges_.begin() + 1, edges_.end() - 1, figure);
    return static_cast<int>(above - edges_.begin()) - 1;
}

ToGo::ToGo(const Tables &tables, const std::vector<Node> &nodes, int periods, int memories, Clock &clock,
           bool may_stop)
    : cuts_(tables.cuts) {
    const int count = static_cast<int>(nodes.size());
    extremes(tables, nodes);
    periods_ = Bands(rest_.period_s[at(count, 0)], tables.longest_s, periods);
    memories_ = Bands(rest_.memory_bytes[at(count, 0)], largest_group(tables), memories);
    cells_ = static_cast<std::size_t>(periods_.count()) * memories_.count();
    for (auto *kind : {&rest_, &via_}) {
        kind->latency_s.assign(kind->period_s.size() * cells_, kInf);
        kind->energy_j.assign(kind->period_s.size() * cells_, kInf);
    }
    for (int q = count - 1; q >= 0; --q) {
        clock.work(static_cast<std::int64_t>(cuts_) * cuts_, may_stop);
        std::fill_n(&rest_.latency_s[first_cell(q, cuts_ - 1)], cells_, 0.0);
        std::fill_n(&rest_.energy_j[first_cell(q, cuts_ - 1)], cells_, 0.0);
        continue_with(tables, nodes[q], q);
        for (const int before : nodes[q].before) arrive_at(tables, before, nodes[before].unit, q, nodes[q].unit);
        if (nodes[q].starts) arrive_at(tables, count, tables.units, q, nodes[q].unit);
    }
}

void ToGo::extremes(const Tables &tables, const std::vector<Node> &nodes) {
    const int count = static_cast<int>(nodes.size()), last = cuts_ - 1;
    for (auto *table : {&rest_.period_s, &rest_.memory_bytes}) table->assign(at(count + 1, 0), kInf);
    for (auto *table : {&via_.period_s, &via_.memory_bytes}) table->assign(at(count, 0), kInf);
    for (int q = count - 1; q >= 0; --q) {
        const int unit = nodes[q].unit;
        rest_.period_s[at(q, last)] = rest_.memory_bytes[at(q, last)] = 0.0;
        for (int c = 0; c < last; ++c)
            for (int e = c + 1; e <= last; ++e) {
                const std::size_t group = tables.group(unit, c, e);
                if (tables.run_s[group] == kInf) continue;
                lower(via_.period_s[at(q, c)], std::max(tables.run_s[group], rest_.period_s[at(q, e)]));
                lower(via_.memory_bytes[at(q, c)],
                      std::max(tables.memory_bytes[group], rest_.memory_bytes[at(q, e)]));
            }
        const auto arrive = [&](int before, int sender) {
            for (int c = 0; c < last; ++c) {
                const std::size_t arc = tables.arc(sender, unit, c);
                if (tables.hop_s[arc] == kInf) continue;
                lower(rest_.period_s[at(before, c)], std::max(tables.busy_s[arc], via_.period_s[at(q, c)]));
                lower(rest_.memory_bytes[at(before, c)], via_.memory_bytes[at(q, c)]);
            }
        };
        for (const int before : nodes[q].before) arrive(before, nodes[before].unit);
        if (nodes[q].starts) arrive(count, tables.units);
    }
}

void ToGo::continue_with(const Tables &tables, const Node &node, int place) {
    const double idle_w = tables.idle_w[tables.kind_of[node.unit]];
    group_j_.assign(static_cast<std::size_t>(cuts_) * cells_, kInf);
    for (int c = 0; c < cuts_ - 1; ++c) {
        double *latency_s = &via_.latency_s[first_cell(place, c)], *energy_j = &via_.energy_j[first_cell(place, c)];
        double *group_j = &group_j_[static_cast<std::size_t>(c) * cells_];
        for (int e = c + 1; e < cuts_; ++e) {
            const std::size_t group = tables.group(node.unit, c, e);
            const double run_s = tables.run_s[group], lead_s = tables.lead_s[group];
            if (run_s == kInf || rest_.period_s[at(place, e)] == kInf) continue;
            const double *more_s = &rest_.latency_s[first_cell(place, e)],
                         *more_j = &rest_.energy_j[first_cell(place, e)];
            const int memory = memories_.of(tables.memory_bytes[group]);
            for (int j = periods_.of(run_s); j < periods_.count(); ++j) {
                const double own_j = idle_w * std::max(run_s, periods_.from(j)) + tables.dynamic_j[group];
                for (int i = cell(j, memory); i < cell(j + 1, 0); ++i) {
                    lower(latency_s[i], lead_s + more_s[i]);
                    lower(energy_j[i], std::max(own_j, more_j[i]));
                    lower(group_j[i], own_j);
                }
            }
        }
    }
}

// The least over e of max(group + received, rest) is at least max(via, least group + received): cheap, and nearly
// as good as a loop over e for every sender.
void ToGo::arrive_at(const Tables &tables, int before, int sender, int place, int unit) {
    for (int c = 0; c < cuts_ - 1; ++c) {
        const std::size_t arc = tables.arc(sender, unit, c), to = first_cell(before, c),
                          from = first_cell(place, c);
        if (tables.hop_s[arc] == kInf || via_.period_s[at(place, c)] == kInf) continue;
        const double *group_j = &group_j_[static_cast<std::size_t>(c) * cells_];
        for (auto i = static_cast<std::size_t>(cell(periods_.of(tables.busy_s[arc]), 0)); i < cells_; ++i) {
            lower(rest_.latency_s[to + i], tables.hop_s[arc] + via_.latency_s[from + i]);
            lower(rest_.energy_j[to + i], std::max(group_j[i] + tables.recv_j[arc], via_.energy_j[from + i]));
        }
    }
}

}  // namespace shoal
