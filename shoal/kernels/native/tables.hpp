// What a sweep reads: costs of every group of pieces, and the nodes it goes through. Views, nothing is copied.
// The same values as `ChainTables` and `ChainNode` in Python, which say what each means.
#pragma once

#include <cstddef>
#include <vector>

namespace shoal {

enum Goal { kLatency = 0, kPeriod = 1, kEnergy = 2, kMemory = 3, kGoals = 4 };

struct Tables {
    int units = 0;   // as a sender, `units` stands for the client
    int cuts = 0;    // the last of them is the model's output
    int kinds = 0;   // distinct idle powers, ascending
    int shared = 0;  // devices with several units
    const double *run_s = nullptr, *lead_s = nullptr, *dynamic_j = nullptr, *memory_bytes = nullptr;  // (u, c, e)
    const double *hop_s = nullptr, *busy_s = nullptr, *recv_j = nullptr, *send_j = nullptr;  // (sender, u, c)
    const double *idle_w = nullptr, *limit_bytes = nullptr;
    std::vector<int> kind_of, shared_of;  // of each unit; shared_of -1: the unit has its device to itself
    double longest_s = 0.0;

    std::size_t group(int unit, int first, int last) const {
        return (static_cast<std::size_t>(unit) * cuts + first) * cuts + last;
    }
    std::size_t arc(int sender, int unit, int cut) const {
        return (static_cast<std::size_t>(sender) * units + unit) * cuts + cut;
    }
};

struct Node {
    int unit = 0;
    bool starts = false;          // may come first
    std::vector<int> before;      // nodes this one may follow, all of them earlier in the list
    std::vector<int> within;      // earlier ones with the same last unit, or one like it, and one unit less used
    std::vector<char> gathering;  // per shared device: whether what it has gathered still matters
};

}  // namespace shoal
