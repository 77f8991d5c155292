#include "climb.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <limits>

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

using Groups = std::vector<Group>;  // `plan` unused

class Climb {
  public:
    explicit Climb(const Question &question) : question_(question), t_(question.tables), known_({}) {
        next_.assign((question.nodes.size() + 1) * t_.units, -1);
        for (int q = 0; q < static_cast<int>(question.nodes.size()); ++q) {
            const Node &node = question.nodes[q];
            for (const int before : node.before) next_[static_cast<std::size_t>(before + 1) * t_.units + node.unit] = q;
            if (node.starts) next_[node.unit] = q;
        }
    }

    void take(const Groups &groups) {
        ++tried;
        Values values;
        if (!score(groups, values) || known_.beats(values, hint_)) return;
        known_.add(values, static_cast<std::int64_t>(plans_.size()));
        plans_.push_back(groups);
        values_.push_back(values);
    }
    void spread(const Groups &groups) {
        // Move each border.
        for (std::size_t i = 0; i + 1 < groups.size(); ++i)
            for (const int by : {-4, -2, -1, 1, 2, 4}) {
                Groups moved = groups;
                moved[i].last_cut += by;
                const int first = i ? moved[i - 1].last_cut : 0;
                if (moved[i].last_cut > first && moved[i].last_cut < moved[i + 1].last_cut) take(moved);
            }
        if (!wide) return;
        // Leave out a unit.
        for (std::size_t i = 0; groups.size() > 1 && i < groups.size(); ++i) {
            Groups moved = groups;
            moved.erase(moved.begin() + i);
            moved.back().last_cut = t_.cuts - 1;
            take(moved);
            if (i > 0 && i + 1 < groups.size()) {
                moved = groups;
                moved[i - 1].last_cut = moved[i].last_cut;
                moved.erase(moved.begin() + i);
                take(moved);
            }
        }
        // Exchange units, or take another.
        for (std::size_t i = 0; i < groups.size(); ++i)
            for (int unit = 0; unit < t_.units; ++unit) {
                if (unit == groups[i].unit) continue;
                Groups moved = groups;
                bool used = false;
                for (std::size_t j = 0; j < groups.size(); ++j)
                    if (groups[j].unit == unit) { used = true; if (j < i) goto skip; moved[j].unit = groups[i].unit; }
                moved[i].unit = unit;
                take(moved);
                if (!used) for (int size : {1, 3}) {
                    moved = groups;  // insert before group i
                    const int first = i ? moved[i - 1].last_cut : 0;
                    if (first + size < moved[i].last_cut) { moved.insert(moved.begin() + i, Group{0, first + size, unit}); take(moved); }
                    moved = groups;  // after group i
                    if (moved[i].last_cut - size > first) { Group extra{0, moved[i].last_cut, unit}; moved[i].last_cut -= size; moved.insert(moved.begin() + i + 1, extra); take(moved); }
                }
                skip:;
            }
    }
    Answer run(const std::vector<Groups> &from) {
        const auto began = std::chrono::steady_clock::now();
        for (const Groups &groups : from) take(groups);
        std::size_t done = 0;
        bool finished = true;
        for (; done < plans_.size(); ++done) {
            if (std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() > question_.time_limit_s) { finished = false; break; }
            const Values v = values_[done];
            // dominated meanwhile? a strictly better plan answers
            bool alive = true; Values none; none.fill(kInf);
            if (known_.least_period(v, none) < v[kPeriod]) alive = false;
            if (alive) { Groups g = plans_[done]; spread(g); }
        }
        Answer answer;
        answer.finished = finished;
        for (const Plan &plan : known_.plans()) {
            const int number = static_cast<int>(answer.values.size());
            answer.values.push_back(plan.values);
            for (const Group &g : plans_[plan.label]) answer.groups.push_back({number, g.last_cut, g.unit});
        }
        return answer;
    }
    long tried = 0;
    bool wide = true;

  private:
    bool score(const Groups &groups, Values &values) const {
        int node = -1, sender = t_.units, first = 0;
        double latency = 0, period = 0, memory_most = 0;
        double dyn[64]; for (int k = 0; k < t_.kinds; ++k) dyn[k] = -kInf;
        for (const Group &g : groups) {
            node = next_[static_cast<std::size_t>(node + 1) * t_.units + g.unit];
            if (node < 0) return false;
            const std::size_t group = t_.group(g.unit, first, g.last_cut), arc = t_.arc(sender, g.unit, first);
            if (t_.run_s[group] == kInf || t_.hop_s[arc] == kInf) return false;
            latency += t_.hop_s[arc] + t_.lead_s[group];
            period = std::max({period, t_.busy_s[arc], t_.run_s[group]});
            memory_most = std::max(memory_most, t_.memory_bytes[group]);
            double &d = dyn[t_.kind_of[g.unit]];
            d = std::max(d, t_.dynamic_j[group] + t_.recv_j[arc]);
            sender = g.unit, first = g.last_cut;
        }
        double joules = 0;
        for (int k = 0; k < t_.kinds; ++k) joules = std::max(joules, t_.idle_w[k] * period + dyn[k]);
        values = {};
        if (question_.wanted[0]) values[0] = latency;
        if (question_.wanted[1]) values[1] = period;
        if (question_.wanted[2]) values[2] = joules;
        if (question_.wanted[3]) values[3] = memory_most;
        return true;
    }
    const Question &question_;
    const Tables &t_;
    Known known_;
    Values hint_{kInf, kInf, kInf, kInf};
    std::vector<int> next_;
    std::vector<Groups> plans_;
    std::vector<Values> values_;
};

}  // namespace

Answer climb(const Question &question, const std::vector<Group> &groups) {
    std::vector<Groups> from;
    for (const Group &group : groups) {
        if (group.plan >= static_cast<int>(from.size())) from.resize(group.plan + 1);
        from[group.plan].push_back(group);
    }
    Climb c(question);
    c.wide = question.epsilon > 0;
    Answer a = c.run(from);
    if (getenv("ST")) fprintf(stderr, "climb tried %ld\n", c.tried);
    return a;
}

}  // namespace shoal
