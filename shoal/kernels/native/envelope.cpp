#include "envelope.hpp"

#include <algorithm>
#include <limits>

namespace shoal {

void Envelope::lift(const Tables &t, const double *dynamic_j, double floor_j, const Range &range, double *lifted) {
    // The line on top at the left end, the steepest of equals.
    double at_s = range.from_s, slope = 0.0, height = floor_j;
    for (int k = 0; k < t.kinds; ++k) {
        const double here_j = t.idle_w[k] * at_s + dynamic_j[k], top_j = slope * at_s + height;
        if (here_j > top_j || (here_j == top_j && t.idle_w[k] > slope)) slope = t.idle_w[k], height = dynamic_j[k];
    }
    corners_.assign(1, {at_s, slope * at_s + height});
    // Then the steeper line that crosses it first, and so on to the right end.
    for (bool more = true; more && at_s < range.to_s;) {
        double next_s = range.to_s;
        int next = -1;
        for (int k = 0; k < t.kinds; ++k) {
            if (t.idle_w[k] <= slope) continue;
            const double crossing_s = (height - dynamic_j[k]) / (t.idle_w[k] - slope);
            if (crossing_s < next_s || (next >= 0 && crossing_s == next_s)) next_s = crossing_s, next = k;
        }
        at_s = std::max(at_s, next_s);
        corners_.emplace_back(at_s, slope * at_s + height);
        more = next >= 0;
        if (more) slope = t.idle_w[next], height = dynamic_j[next];
    }
    for (int k = 0; k < t.kinds; ++k) {
        double least_j = std::numeric_limits<double>::infinity();
        for (const auto &[period_s, joules] : corners_)
            least_j = std::min(least_j, joules - t.idle_w[k] * period_s);
        lifted[k] = std::max(least_j, dynamic_j[k]);
    }
}

}  // namespace shoal
