// The figures of a partial plan, and what one more group does to them.
#pragma once

#include <algorithm>
#include <vector>

#include "tables.hpp"

namespace shoal {

// Places in a row of figures. After them: for each kind (idle power) the largest joules, then for each shared
// device the joules and the bytes it has gathered.
enum Figure { kLatencyS = 0, kPeriodS = 1, kLargestBytes = 2, kKinds = 3 };

inline int width(const Tables &t) { return kKinds + t.kinds + 2 * t.shared; }

// Figures of nothing: a kind not used yet must never be the hungriest.
inline std::vector<double> beginning(const Tables &t) {
    std::vector<double> figures(static_cast<std::size_t>(width(t)), 0.0);
    for (int k = 0; k < t.kinds; ++k) figures[kKinds + k] = -t.idle_w[k] * t.longest_s;
    return figures;
}

// Pieces first..last on a unit after those of `sender`; false: a shared device's memory does not suffice.
inline bool extend(const Tables &t, int sender, int unit, int first, int last, double *figures) {
    const std::size_t group = t.group(unit, first, last), arc = t.arc(sender, unit, first);
    double *kinds = figures + kKinds, *gathered = kinds + t.kinds;
    double bytes = t.memory_bytes[group], joules = t.dynamic_j[group] + t.recv_j[arc];
    figures[kLatencyS] += t.hop_s[arc] + t.lead_s[group];
    figures[kPeriodS] = std::max({figures[kPeriodS], t.busy_s[arc], t.run_s[group]});
    const int from_shared = sender == t.units ? -1 : t.shared_of[sender];
    if (from_shared >= 0) {
        double &kind = kinds[t.kind_of[sender]];
        gathered[2 * from_shared] += t.send_j[arc];
        kind = std::max(kind, gathered[2 * from_shared]);
    }
    const int shared = t.shared_of[unit];
    if (shared >= 0) {
        joules = gathered[2 * shared] += joules;
        bytes = gathered[2 * shared + 1] += bytes;
        if (bytes > t.limit_bytes[shared]) return false;
    }
    double &kind = kinds[t.kind_of[unit]];
    kind = std::max(kind, joules);
    figures[kLargestBytes] = std::max(figures[kLargestBytes], bytes);
    return true;
}

// The hungriest device's joules if the final period is `period_s`.
inline double hungriest(const Tables &t, const double *figures, double period_s) {
    double most = 0.0;
    for (int k = 0; k < t.kinds; ++k) most = std::max(most, t.idle_w[k] * period_s + figures[kKinds + k]);
    return most;
}

}  // namespace shoal
