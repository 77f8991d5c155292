#include "sweep.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "bounds.hpp"

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kOther = 3;  // figures before the kinds: latency, period, largest memory

struct Stopped {};  // out of time or interrupted; never leaves this file

// Tells when to stop; looks at the clock only now and then.
class Clock {
  public:
    Clock(double limit_s, const std::function<bool()> &interrupted)
        : interrupted_(interrupted), began_(Now::now()), limit_s_(limit_s) {}

    void work(std::int64_t steps, bool may_stop) {
        done_ += steps;
        if (done_ < kSteps) return;
        done_ = 0;
        const double passed_s = std::chrono::duration<double>(Now::now() - began_).count();
        if (may_stop && passed_s > limit_s_) throw Stopped{};
        if (passed_s > asked_s_ + 0.1) {
            asked_s_ = passed_s;
            if (interrupted_()) throw Stopped{};
        }
    }

  private:
    using Now = std::chrono::steady_clock;
    static constexpr std::int64_t kSteps = 1 << 14;
    const std::function<bool()> &interrupted_;
    Now::time_point began_;
    double limit_s_, asked_s_ = 0.0;
    std::int64_t done_ = 0;
};

// Partial plans that end at one (node, cut): `width` figures each, and what they continue.
struct Front {
    std::vector<double> figures;
    std::vector<std::int64_t> ids;  // in the history
    std::vector<double> low;        // least of each figure
};

struct Step {
    std::int64_t parent;  // -1: the first group
    std::int32_t cut, unit;
};

int bands_of(const Question &question) {
    if(getenv("BANDS")) return atoi(getenv("BANDS"));
    return question.wanted[kPeriod] || question.wanted[kEnergy] ? 12 : 1;
}

// Rows of keys, eight side by side, so that one question is put to eight rows at once.
class Shelf {
  public:
    explicit Shelf(int keys) : keys_(keys) {}

    void clear() { rows_ = 0, lows_.clear(), least_.clear(); }

    void add(const double *keys) {
        const std::size_t place = rows_++ % kSide, stride = static_cast<std::size_t>(keys_) * kSide;
        if (place == 0) lows_.resize(lows_.size() + stride, kInf), least_.resize(least_.size() + keys_, kInf);
        double *low = &lows_[lows_.size() - stride], *least = &least_[least_.size() - keys_];
        for (int k = 0; k < keys_; ++k) {
            low[static_cast<std::size_t>(k) * kSide + place] = keys[k];
            least[k] = std::min(least[k], keys[k]);
        }
    }

    // Whether a row is at most as large in every key; for rows that come in the order of key 0 the first need not be asked.
    bool covers(const double *keys) const {
        const std::size_t blocks = least_.size() / keys_;
        for (std::size_t block = 0; block < blocks; ++block) {
            const double *least = &least_[block * keys_];
            int k = 1;
            while (k < keys_ && least[k] <= keys[k]) ++k;
            if (k == keys_ && covered_by(&lows_[block * keys_ * kSide], keys)) return true;
        }
        return false;
    }

  private:
    static constexpr std::size_t kSide = 8;

    bool covered_by(const double *low, const double *keys) const {
        std::int64_t within[kSide];
        std::fill_n(within, kSide, 1);
        for (int k = 1; k < keys_; ++k) {
            for (std::size_t i = 0; i < kSide; ++i) within[i] &= low[static_cast<std::size_t>(k) * kSide + i] <= keys[k];
        }
        return std::accumulate(within, within + kSide, std::int64_t{0}) > 0;
    }

    int keys_;
    std::size_t rows_ = 0;
    std::vector<double> lows_, least_;  // blocks of (key, row); of each block the least of every key
};

class Sweep {
  public:
    explicit Sweep(const Question &question);
    Answer run();

  private:
    // Labels of one front that may continue with the node at hand, before it is known how far.
    struct Source {
        int sender, cut;
        const Front *front;
        std::vector<std::int32_t> rows;
        std::vector<Values> hints;  // of each row: a known plan that beat its last extension
        Values hint;
        std::vector<double> cap_s;  // of each row: with a longer period a known plan is at least as good
        double longest_s;           // the largest of them
        const double *low;          // least of each figure over the rows
    };

    // Final periods with which a label may become a plan that no known one beats.
    struct Range {
        double from_s, to_s;
    };

    void visit(int place);
    void gather(int place, int before, const Front &front, int sender, int cut);
    void extend(int place, int last_cut);
    bool extended(int place, const Source &source, const double *from, int last_cut, double *to) const;
    bool hopeful(const ToGo::Costs &costs, const double *figures, double hop_s, double busy_s, Range &range, Values &hint);
    Values hope(const ToGo::Costs &costs, const double *figures, double hop_s, double period_s, int first, int last) const;
    double joules(const double *figures, double period_s) const;
    void offer(Source &source, int row, int last_cut, int place);
    Front thin(int place, int cut);
    void keys(int place, const ToGo::Costs &costs, const Range &range, double *low, double *high);
    void lift(const double *dynamic_j, double floor_j, const Range &range, double *lifted);
    void finish(int place);
    std::int64_t record(std::int64_t parent, int cut, int unit) {
        history_.push_back({parent, cut, unit});
        return static_cast<std::int64_t>(history_.size()) - 1;
    }

    const Question &question_;
    const Tables &t_;
    const ToGo to_go_;
    Known known_;
    Values hint_{kInf, kInf, kInf, kInf};
    Clock clock_;
    int width_, keys_;
    std::vector<std::vector<Front>> fronts_;  // (node, cut)
    std::vector<int> readers_;                // nodes yet to read a node's fronts
    std::vector<Step> history_;
    Front origin_;
    std::vector<Source> sources_;
    // Candidates at the cut at hand.
    std::vector<double> figures_, low_, high_, scratch_;
    std::vector<std::int64_t> parents_;
    Shelf shelf_;
    std::vector<std::pair<double, double>> corners_;  // (period, joules)
};

Sweep::Sweep(const Question &question)
    : question_(question), t_(question.tables),
      to_go_(question.tables, question.nodes, bands_of(question)), known_(question.known),
      clock_(question.time_limit_s, question.interrupted), width_(kOther + t_.kinds + 2 * t_.shared),
      keys_(width_), fronts_(question.nodes.size()), readers_(question.nodes.size(), 0), shelf_(keys_) {
    for (const Node &node : question.nodes)
        for (const int before : node.before) ++readers_[before];
    origin_.figures.assign(width_, 0.0);
    // A kind not used yet must never be the hungriest.
    for (int k = 0; k < t_.kinds; ++k) origin_.figures[kOther + k] = -t_.idle_w[k] * t_.longest_s;
    origin_.low = origin_.figures;
    origin_.ids = {-1};
    scratch_.resize(width_);
}

Answer Sweep::run() {
    Answer answer;
    try {
        for (int place = 0; place < static_cast<int>(question_.nodes.size()); ++place) visit(place);
        answer.finished = true;
    } catch (const Stopped &) {
    }
    for (const Plan &plan : known_.plans()) {
        if (plan.label < 0) continue;
        const int number = static_cast<int>(answer.values.size());
        const std::size_t first = answer.groups.size();
        answer.values.push_back(plan.values);
        for (std::int64_t label = plan.label; label >= 0; label = history_[label].parent)
            answer.groups.push_back({number, history_[label].cut, history_[label].unit});
        std::reverse(answer.groups.begin() + static_cast<std::ptrdiff_t>(first), answer.groups.end());
    }
    return answer;
}

void Sweep::visit(int place) {
    const Node &node = question_.nodes[place];
    sources_.clear();
    if (node.starts) gather(place, -1, origin_, t_.units, 0);
    for (const int before : node.before)
        for (int cut = 1; cut < t_.cuts - 1; ++cut) gather(place, before, fronts_[before][cut], question_.nodes[before].unit, cut);
    fronts_[place].resize(t_.cuts);
    for (int last_cut = 1; last_cut < t_.cuts; ++last_cut) extend(place, last_cut);
    finish(place);
}

// Keep the labels of a front that may continue with the node's unit, by what continuing costs at least.
void Sweep::gather(int place, int before, const Front &front, int sender, int cut) {
    const std::size_t arc = t_.arc(sender, question_.nodes[place].unit, cut);
    if (front.ids.empty() || t_.hop_s[arc] == kInf || to_go_.via(place, cut).period_s == kInf) return;
    const ToGo::Costs costs = to_go_.via(place, cut);
    const double hop_s = t_.hop_s[arc], busy_s = t_.busy_s[arc];
    Range range{0.0, t_.longest_s};
    clock_.work(1, !known_.empty());
    if (!hopeful(costs, front.low.data(), hop_s, busy_s, range, hint_)) return;
    Source source{sender, cut, &front, {}, {}, hint_, {}, 0.0, front.low.data()};
    const int count = static_cast<int>(front.ids.size());
    for (int row = 0; row < count; ++row) {
        range = {0.0, t_.longest_s};
        if (!hopeful(costs, &front.figures[static_cast<std::size_t>(row) * width_], hop_s, busy_s, range, hint_)) continue;
        source.rows.push_back(row);
        source.hints.push_back(hint_);
        source.cap_s.push_back(range.to_s);
        source.longest_s = std::max(source.longest_s, source.cap_s.back());
    }
    clock_.work(count, !known_.empty());
    if (!source.rows.empty()) sources_.push_back(std::move(source));
    (void)before;
}

// All labels that reach (node, cut), of which the best become its front.
void Sweep::extend(int place, int last_cut) {
    if (to_go_.rest(place, last_cut).period_s == kInf) return;
    const int unit = question_.nodes[place].unit;
    figures_.clear(), low_.clear(), high_.clear(), parents_.clear();
    for (Source &source : sources_) {
        if (source.cut >= last_cut) continue;
        const double run_s = t_.run_s[t_.group(unit, source.cut, last_cut)];
        if (run_s == kInf || (question_.wanted[kPeriod] && run_s >= source.longest_s)) continue;
        if (source.rows.size() > 1) {
            clock_.work(1, !known_.empty());
            if (!extended(place, source, source.low, last_cut, scratch_.data())) continue;
            Range range{0.0, source.longest_s};
            if (!hopeful(to_go_.rest(place, last_cut), scratch_.data(), 0.0, 0.0, range, source.hint)) continue;
        }
        clock_.work(static_cast<std::int64_t>(source.rows.size()), !known_.empty());
        for (std::size_t i = 0; i < source.rows.size(); ++i)
            if (!(question_.wanted[kPeriod] && run_s >= source.cap_s[i])) offer(source, static_cast<int>(i), last_cut, place);
    }
    if (last_cut < t_.cuts - 1) fronts_[place][last_cut] = thin(place, last_cut);
}

// Extend one label, or the least figures of several; false: the device's memory does not suffice.
bool Sweep::extended(int place, const Source &source, const double *from, int last_cut, double *to) const {
    const int unit = question_.nodes[place].unit;
    const std::size_t group = t_.group(unit, source.cut, last_cut), arc = t_.arc(source.sender, unit, source.cut);
    std::copy_n(from, width_, to);
    to[0] += t_.hop_s[arc] + t_.lead_s[group];
    to[1] = std::max({to[1], t_.busy_s[arc], t_.run_s[group]});
    double memory = t_.memory_bytes[group], joules = t_.dynamic_j[group] + t_.recv_j[arc];
    double *gathered = to + kOther + t_.kinds;  // by shared device: joules, bytes
    const int from_shared = source.sender == t_.units ? -1 : t_.shared_of[source.sender];
    if (from_shared >= 0) {
        gathered[2 * from_shared] += t_.send_j[arc];
        double &kind = to[kOther + t_.kind_of[source.sender]];
        kind = std::max(kind, gathered[2 * from_shared]);
    }
    const int shared = t_.shared_of[unit];
    if (shared >= 0) {
        joules = gathered[2 * shared] += joules;
        memory = gathered[2 * shared + 1] += memory;
        if (memory > t_.limit_bytes[shared]) return false;
    }
    to[2] = std::max(to[2], memory);
    double &kind = to[kOther + t_.kind_of[unit]];
    kind = std::max(kind, joules);
    return true;
}

// Whether a label may still become a plan that no known one beats, and with what final periods. The label has these
// figures, then at least `hop_s`, `busy_s` and `costs`. `range.to_s` comes in as the longest period worth looking at.
bool Sweep::hopeful(const ToGo::Costs &costs, const double *figures, double hop_s, double busy_s, Range &range, Values &hint) {
    const double period_s = std::max({figures[1], busy_s, costs.period_s});
    if (period_s > range.to_s) return false;
    const int first = to_go_.band(period_s), last = to_go_.band(range.to_s);
    // All bands at once: most have no hope, and few questions are asked.
    if (known_.beats(hope(costs, figures, hop_s, period_s, first, last), hint)) return false;
    // Then the bands one by one, from below and from above, until one has hope.
    const auto alive = [&](int j, double &least_s) {
        if (costs.latency_s[j] == kInf) return false;
        const Values values = hope(costs, figures, hop_s, std::max(period_s, to_go_.from_s(j)), j, j);
        least_s = known_.least_period(values, hint);
        return least_s > values[kPeriod];
    };
    int low = first, high = last;
    double lowest_s = kInf, least_s = kInf;
    while (low <= high && !alive(low, lowest_s)) ++low;
    if (low > high) return false;
    while (high > low && !alive(high, least_s)) --high;
    if (high == low) least_s = lowest_s;
    range.from_s = std::max(period_s, to_go_.from_s(low));
    range.to_s = std::min({range.to_s, to_go_.to_s(high), question_.wanted[kPeriod] ? least_s : kInf});
    return true;
}

// What every wanted goal is at least in the end if the period is at least that and lies in these bands; 0 of the others.
Values Sweep::hope(const ToGo::Costs &costs, const double *figures, double hop_s, double period_s, int first, int last) const {
    Values values{};
    if (question_.wanted[kLatency]) values[kLatency] = figures[0] + hop_s + costs.latency_s[last];
    if (question_.wanted[kPeriod]) values[kPeriod] = period_s;
    if (question_.wanted[kMemory]) values[kMemory] = std::max(figures[2], costs.memory_bytes[last]);
    if (question_.wanted[kEnergy]) values[kEnergy] = std::max(*std::min_element(costs.energy_j + first, costs.energy_j + last + 1), joules(figures, period_s));
    return values;
}

double Sweep::joules(const double *figures, double period_s) const {
    double most = 0.0;
    for (int k = 0; k < t_.kinds; ++k) most = std::max(most, t_.idle_w[k] * period_s + figures[kOther + k]);
    return most;
}

// Take one extension among the candidates, or among the known plans if it is complete.
void Sweep::offer(Source &source, int i, int last_cut, int place) {
    const std::size_t row = static_cast<std::size_t>(source.rows[i]);
    if (!extended(place, source, &source.front->figures[row * width_], last_cut, scratch_.data())) return;
    Range range{0.0, source.cap_s[i]};
    const ToGo::Costs costs = to_go_.rest(place, last_cut);
    if (!hopeful(costs, scratch_.data(), 0.0, 0.0, range, source.hints[i])) return;
    if (last_cut == t_.cuts - 1) {
        const int band = to_go_.band(scratch_[1]);
        known_.add(hope(costs, scratch_.data(), 0.0, scratch_[1], band, band), record(source.front->ids[row], last_cut, question_.nodes[place].unit));
        return;
    }
    const std::size_t end = low_.size();
    low_.resize(end + keys_), high_.resize(end + keys_);
    figures_.insert(figures_.end(), scratch_.begin(), scratch_.end());
    parents_.push_back(source.front->ids[row]);
    keys(place, costs, range, &low_[end], &high_[end]);
}

// What decides between labels at one cut: one makes another needless if its `low` keys are at most the other's
// `high` ones. High keys are figures raised as far as the plan's final values do not change.
void Sweep::keys(int place, const ToGo::Costs &costs, const Range &range, double *low, double *high) {
    const double *figures = scratch_.data();
    std::fill_n(low, keys_, 0.0);
    const int first = to_go_.band(range.from_s), last = to_go_.band(range.to_s);
    const Values least = hope(costs, figures, 0.0, range.from_s, first, last);
    if (question_.epsilon > 0.0) {
        for (int goal = 0; goal < kGoals; ++goal)
            if (question_.wanted[goal])
                low[goal] = std::floor(std::log(std::max(least[goal], 1e-300)) / std::log1p(question_.epsilon));
        std::copy_n(low, keys_, high);
        return;
    }
    const bool timed = question_.wanted[kPeriod] || question_.wanted[kEnergy];
    if (question_.wanted[kLatency]) low[0] = figures[0];
    if (timed) low[1] = figures[1];
    if (question_.wanted[kMemory]) low[2] = figures[2];
    const Node &node = question_.nodes[place];
    const double *gathered = figures + kOther + t_.kinds;
    for (int s = 0; s < t_.shared; ++s)
        if (node.gathering[s]) std::copy_n(gathered + 2 * s, 2, low + kOther + t_.kinds + 2 * s);
    std::copy_n(low, keys_, high);
    if (timed) high[1] = range.from_s;
    high[2] = least[kMemory];
    if (!question_.wanted[kEnergy]) return;
    std::copy_n(figures + kOther, t_.kinds, low + kOther);
    lift(figures + kOther, *std::min_element(costs.energy_j + first, costs.energy_j + last + 1), range, high + kOther);
}

// As a function of the final period T a label's energy is f(T) = max(floor, max_k idle_k * T + dynamic_k), and only
// T between `low_s` and `high_s` matters. The largest dynamic_k that leaves f as it is there is the least of
// f(T) - idle_k * T, reached at an end or at a corner of f. Another label with dynamic energies at most as large as
// these lies nowhere above f, so devices that are not the hungriest do not keep labels apart.
void Sweep::lift(const double *dynamic_j, double floor_j, const Range &range, double *lifted) {
    const double low_s = range.from_s, high_s = range.to_s;
    // Walk along f from its left end: the line on top, then the one that crosses it next, ...
    corners_.clear();
    double at_s = low_s, slope = 0.0, height = floor_j;
    const auto higher = [&](double s, double h) {
        const double here = s * at_s + h, there = slope * at_s + height;
        return here > there || (here == there && s > slope);
    };
    for (int k = 0; k < t_.kinds; ++k)
        if (higher(t_.idle_w[k], dynamic_j[k])) slope = t_.idle_w[k], height = dynamic_j[k];
    corners_.push_back({at_s, slope * at_s + height});
    while (at_s < high_s) {
        double next_s = high_s, next_slope = slope, next_height = height;
        for (int k = 0; k < t_.kinds; ++k) {
            if (t_.idle_w[k] <= slope) continue;
            const double crossing_s = (height - dynamic_j[k]) / (t_.idle_w[k] - slope);
            if (crossing_s < next_s || (crossing_s == next_s && t_.idle_w[k] > next_slope && next_slope > slope))
                next_s = crossing_s, next_slope = t_.idle_w[k], next_height = dynamic_j[k];
        }
        at_s = std::max(at_s, next_s);
        corners_.push_back({at_s, slope * at_s + height});
        if (next_slope == slope) break;
        slope = next_slope, height = next_height;
    }
    for (int k = 0; k < t_.kinds; ++k) {
        double least = kInf;
        for (const auto &[period_s, joules] : corners_) least = std::min(least, joules - t_.idle_w[k] * period_s);
        lifted[k] = std::max(least, dynamic_j[k]);
    }
}

// The candidates no other makes needless, as a front.
Front Sweep::thin(int place, int cut) {
    Front front;
    const std::size_t count = parents_.size();
    if (count == 0) return front;
    std::vector<std::uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        const double *one = &high_[static_cast<std::size_t>(a) * keys_], *other = &high_[static_cast<std::size_t>(b) * keys_];
        for (int k = 0; k < keys_; ++k)
            if (one[k] != other[k]) return one[k] < other[k];
        return a < b;
    });
    std::vector<std::uint32_t> kept;
    shelf_.clear();
    for (const std::uint32_t candidate : order) {
        const std::size_t row = static_cast<std::size_t>(candidate) * keys_;
        if (shelf_.covers(&high_[row])) continue;
        shelf_.add(&low_[row]);
        kept.push_back(candidate);
        clock_.work(1 + static_cast<std::int64_t>(kept.size()) / 32, !known_.empty());
    }
    front.low.assign(width_, kInf);
    for (const std::uint32_t candidate : kept) {
        const double *figures = &figures_[static_cast<std::size_t>(candidate) * width_];
        front.figures.insert(front.figures.end(), figures, figures + width_);
        for (int k = 0; k < width_; ++k) front.low[k] = std::min(front.low[k], figures[k]);
        front.ids.push_back(record(parents_[candidate], cut, question_.nodes[place].unit));
    }
    return front;
}

// Fronts nobody reads any more are let go.
void Sweep::finish(int place) {
    for (const int before : question_.nodes[place].before)
        if (--readers_[before] == 0) fronts_[before] = {};
    if (readers_[place] == 0) fronts_[place] = {};
}

}  // namespace

Answer sweep(const Question &question) { return Sweep(question).run(); }

}  // namespace shoal
