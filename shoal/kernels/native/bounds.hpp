// What finishing a partial plan costs at least: exact for each goal by itself, by a backward programme.
#pragma once

#include <vector>

#include "clock.hpp"
#include "tables.hpp"

namespace shoal {

// Ranges of a figure that no plan can be below at first or above at last: edge[0] <= x, edge[i] <= x < edge[i + 1].
class Bands {
  public:
    Bands() = default;
    Bands(double low, double high, int count);  // by equal factors
    int count() const { return static_cast<int>(edges_.size()) - 1; }
    double from(int band) const { return edges_[static_cast<std::size_t>(band)]; }
    double to(int band) const { return edges_[static_cast<std::size_t>(band) + 1]; }
    int of(double figure) const;  // the first and the last have no outer end

  private:
    std::vector<double> edges_;
};

// The least cost to the end, from (node, cut), and that of all that continues from a cut *with* a node's unit:
//     via(q, c)  = min over e > c of  group(u, c, e) (+) rest(q, e),  u the unit of q
//     rest(q, c) = min over followers q' of  arc(u, u', c) (+) via(q', c);  0 at the last cut
// where (+) adds for latency and takes the larger for period, memory and energy. inf: there is no way.
//
// Goals compete: the least latency comes with a long period and much memory, and the other way round. So latency
// and energy are bounded once for each cell, a band of the plan's final period T and a band of its final memory M:
// if T lies in [T_j, T_j+1) and M in [M_i, M_i+1), no group and no transfer takes longer than T_j+1, no group takes
// more than M_i+1 bytes, and a group of a device with idle power p costs at least p * T_j + its joules.
class ToGo {
  public:
    ToGo(const Tables &tables, const std::vector<Node> &nodes, int periods, int memories, Clock &clock,
         bool may_stop);

    // Least costs from one place on; latency and energy by cell.
    struct Costs {
        double period_s, memory_bytes;
        const double *latency_s, *energy_j;
    };
    Costs rest(int node, int cut) const { return costs(rest_, node, cut); }
    Costs via(int node, int cut) const { return costs(via_, node, cut); }

    const Bands &periods() const { return periods_; }
    const Bands &memories() const { return memories_; }
    int cell(int period, int memory) const { return period * memories_.count() + memory; }

  private:
    struct Kind {
        std::vector<double> period_s, memory_bytes, latency_s, energy_j;
    };
    std::size_t at(int node, int cut) const { return static_cast<std::size_t>(node) * cuts_ + cut; }
    std::size_t first_cell(int node, int cut) const { return at(node, cut) * cells_; }
    Costs costs(const Kind &kind, int node, int cut) const {
        const std::size_t place = at(node, cut);
        return {kind.period_s[place], kind.memory_bytes[place], &kind.latency_s[place * cells_],
                &kind.energy_j[place * cells_]};
    }
    void extremes(const Tables &tables, const std::vector<Node> &nodes);
    void continue_with(const Tables &tables, const Node &node, int place);
    void arrive_at(const Tables &tables, int before, int sender, int place, int unit);

    int cuts_;
    std::size_t cells_ = 1;
    Bands periods_, memories_;
    Kind rest_, via_;              // the last node of `rest_` is the client: before any other
    std::vector<double> group_j_;  // (cut, cell) least energy of a group that may start there
};

}  // namespace shoal
