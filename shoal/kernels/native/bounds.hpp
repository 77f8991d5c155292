// What finishing a partial plan costs at least: exact for each goal by itself, by a backward programme.
#pragma once

#include <vector>

#include "clock.hpp"
#include "tables.hpp"

namespace shoal {

// The least cost to the end, from (node, cut), and that of all that continues from a cut *with* a node's unit:
//     via(q, c)  = min over e > c of  group(u, c, e) (+) rest(q, e),  u the unit of q
//     rest(q, c) = min over followers q' of  arc(u, u', c) (+) via(q', c);  0 at the last cut
// where (+) adds for latency and takes the larger for period, memory and energy. inf: there is no way.
//
// Goals compete: the least latency comes with a long period, the least period with a long latency. So latency, energy
// and memory are bounded once for each band of the plan's final period T: if T lies in [T_j, T_j+1) no group and no
// transfer takes longer than T_j+1, and a group of a device with idle power p costs at least p * T_j + its joules.
class ToGo {
  public:
    ToGo(const Tables &tables, const std::vector<Node> &nodes, int bands, Clock &clock, bool may_stop);

    // Least costs from one place on, for bands of T: `latency_s[j]` and so on.
    struct Costs {
        double period_s;
        const double *latency_s, *energy_j, *memory_bytes;
    };
    Costs rest(int node, int cut) const { return costs(rest_, node, cut); }
    Costs via(int node, int cut) const { return costs(via_, node, cut); }

    int bands() const { return bands_; }
    double from_s(int band) const { return edges_s_[band]; }
    double to_s(int band) const { return edges_s_[band + 1]; }
    int band(double period_s) const;  // the one in which a period lies; the first and the last have no outer end

  private:
    struct Kind {
        std::vector<double> period_s, latency_s, energy_j, memory_bytes;
    };
    std::size_t at(int node, int cut) const { return static_cast<std::size_t>(node) * cuts_ + cut; }
    Costs costs(const Kind &kind, int node, int cut) const {
        const std::size_t place = at(node, cut), first = place * bands_;
        return {kind.period_s[place], &kind.latency_s[first], &kind.energy_j[first], &kind.memory_bytes[first]};
    }
    void fill(Kind &kind, std::size_t places) const;
    void periods(const Tables &tables, const std::vector<Node> &nodes);
    void continue_with(const Tables &tables, const Node &node, int place);
    void arrive_at(const Tables &tables, int before, int sender, int place, int unit);

    int cuts_, bands_;
    std::vector<double> edges_s_;  // bands + 1
    Kind rest_, via_;              // the last node of `rest_` is the client: before any other
    std::vector<double> group_j_;  // (cut, band) least energy of a group that may start there
};

}  // namespace shoal
