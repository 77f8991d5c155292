#include "sweep.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "bounds.hpp"
#include "clock.hpp"
#include "envelope.hpp"
#include "figures.hpp"
#include "shelf.hpp"

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kBands = 12;  // of the final period: more of them rule out more and cost more
constexpr Values kNobody{kInf, kInf, kInf, kInf};

int bands_of(const Wanted &wanted) { return wanted[kPeriod] || wanted[kEnergy] ? kBands : 1; }

// A label is a partial plan; these are the ones that end at one (node, cut).
struct Front {
    std::vector<double> figures;    // a row each
    std::vector<double> least;      // of each figure
    std::vector<std::int64_t> ids;  // in the history
};

// The last group of a label.
struct Step {
    std::int64_t parent;  // the label before; -1: this is the first group
    std::int32_t last_cut, unit;
};

// A label of a front that may continue with the node at hand.
struct Open {
    std::size_t row;
    double cap_s;  // with a longer period a known plan is at least as good
    Values hint;   // a known plan that beat one of its extensions
};

struct Source {
    int sender, cut;
    const Front *front;
    std::vector<Open> open;
    double cap_s;  // the largest of theirs
    Values hint;
};

class Sweep {
  public:
    Sweep(const Question &question, Clock &clock);
    void run();
    Answer answer();

  private:
    void visit(int place);
    void gather(int place, const Front &front, int sender, int cut);
    void arrive(int place, int last_cut);
    void offer(const Source &source, Open &label, int place, int last_cut);
    bool hopeful(const ToGo::Costs &rest, const double *figures, double hop_s, double busy_s, Range &range, Values &hint);
    Values least(const ToGo::Costs &rest, const double *figures, double hop_s, double period_s, int low, int high) const;
    void keys(int place, const ToGo::Costs &rest, const Range &range, double *low, double *high);
    void matter(int place, const double *figures, double *keys) const;
    Front best(int place, int last_cut);
    void forget(int place);

    const double *row(const std::vector<double> &rows, std::size_t number) const { return &rows[number * width_]; }
    std::int64_t record(std::int64_t parent, int last_cut, int unit) {
        history_.push_back({parent, last_cut, unit});
        return static_cast<std::int64_t>(history_.size()) - 1;
    }
    void work(std::size_t steps) { clock_.work(static_cast<std::int64_t>(steps), !known_.empty()); }

    const Question &question_;
    const Tables &t_;
    const Wanted &wanted_;
    Clock &clock_;
    const ToGo to_go_;
    Known known_;
    const std::size_t width_;
    std::vector<std::vector<Front>> fronts_;  // (node, cut)
    std::vector<int> readers_;                // nodes that have yet to read a node's fronts
    std::vector<Step> history_;
    Front origin_;                 // the label before the first group
    std::vector<Source> sources_;  // of the node at hand
    Values hint_ = kNobody;
    // Candidates at the cut at hand: their figures, what they make needless and what makes them needless.
    std::vector<double> figures_, low_, high_;
    std::vector<std::int64_t> parents_;
    std::vector<double> label_;  // the extension at hand
    Shelf shelf_;
    Envelope envelope_;
};

Sweep::Sweep(const Question &question, Clock &clock)
    : question_(question), t_(question.tables), wanted_(question.wanted), clock_(clock),
      to_go_(question.tables, question.nodes, bands_of(question.wanted), clock, !question.known.empty()), known_(question.known),
      width_(static_cast<std::size_t>(width(question.tables))), fronts_(question.nodes.size()),
      readers_(question.nodes.size(), 0), label_(width_), shelf_(static_cast<int>(width_)) {
    for (const Node &node : question.nodes)
        for (const auto *read : {&node.before, &node.within})
            for (const int place : *read) ++readers_[place];
    origin_ = {beginning(t_), beginning(t_), {-1}};
}

void Sweep::run() {
    for (int place = 0; place < static_cast<int>(question_.nodes.size()); ++place) visit(place);
}

Answer Sweep::answer() {
    Answer answer;
    for (const Plan &plan : known_.plans()) {
        if (plan.label < 0) continue;
        const int number = static_cast<int>(answer.values.size());
        const auto first = static_cast<std::ptrdiff_t>(answer.groups.size());
        answer.values.push_back(plan.values);
        for (std::int64_t label = plan.label; label >= 0; label = history_[label].parent)
            answer.groups.push_back({number, history_[label].last_cut, history_[label].unit});
        std::reverse(answer.groups.begin() + first, answer.groups.end());
    }
    return answer;
}

void Sweep::visit(int place) {
    const Node &node = question_.nodes[place];
    sources_.clear();
    if (node.starts) gather(place, origin_, t_.units, 0);
    for (const int before : node.before)
        for (int cut = 1; cut < t_.cuts - 1; ++cut) gather(place, fronts_[before][cut], question_.nodes[before].unit, cut);
    fronts_[place].resize(static_cast<std::size_t>(t_.cuts));
    for (int last_cut = 1; last_cut < t_.cuts; ++last_cut) arrive(place, last_cut);
    forget(place);
}

// Keep the labels of a front that may continue with the node's unit, by what continuing costs at least; all of them
// at once if even the least of their figures have no hope.
void Sweep::gather(int place, const Front &front, int sender, int cut) {
    const std::size_t arc = t_.arc(sender, question_.nodes[place].unit, cut);
    const double hop_s = t_.hop_s[arc], busy_s = t_.busy_s[arc];
    const ToGo::Costs via = to_go_.via(place, cut);
    if (front.ids.empty() || hop_s == kInf || via.period_s == kInf) return;
    work(front.ids.size());
    Range range{0.0, t_.longest_s};
    if (!hopeful(via, front.least.data(), hop_s, busy_s, range, hint_)) return;
    Source source{sender, cut, &front, {}, 0.0, hint_};
    for (std::size_t number = 0; number < front.ids.size(); ++number) {
        range = {0.0, t_.longest_s};
        if (!hopeful(via, row(front.figures, number), hop_s, busy_s, range, hint_)) continue;
        source.open.push_back({number, range.to_s, hint_});
        source.cap_s = std::max(source.cap_s, range.to_s);
    }
    if (!source.open.empty()) sources_.push_back(std::move(source));
}

// All labels that reach (node, cut), of which the best become its front.
void Sweep::arrive(int place, int last_cut) {
    const int unit = question_.nodes[place].unit;
    const ToGo::Costs rest = to_go_.rest(place, last_cut);
    figures_.clear(), low_.clear(), high_.clear(), parents_.clear();
    if (rest.period_s == kInf) return;
    for (Source &source : sources_) {
        if (source.cut >= last_cut) continue;
        const double run_s = t_.run_s[t_.group(unit, source.cut, last_cut)];
        if (run_s == kInf || run_s > source.cap_s) continue;
        work(1 + source.open.size());
        if (source.open.size() > 1) {
            label_ = source.front->least;
            Range range{0.0, source.cap_s};
            if (!extend(t_, source.sender, unit, source.cut, last_cut, label_.data())) continue;
            if (!hopeful(rest, label_.data(), 0.0, 0.0, range, source.hint)) continue;
        }
        for (Open &label : source.open)
            if (run_s <= label.cap_s) offer(source, label, place, last_cut);
    }
    if (last_cut < t_.cuts - 1) fronts_[place][last_cut] = best(place, last_cut);
}

// Take one extension among the candidates, or among the known plans if it is complete.
void Sweep::offer(const Source &source, Open &open, int place, int last_cut) {
    const int unit = question_.nodes[place].unit;
    const ToGo::Costs rest = to_go_.rest(place, last_cut);
    std::copy_n(row(source.front->figures, open.row), width_, label_.begin());
    if (!extend(t_, source.sender, unit, source.cut, last_cut, label_.data())) return;
    Range range{0.0, open.cap_s};
    if (!hopeful(rest, label_.data(), 0.0, 0.0, range, open.hint)) return;
    const std::int64_t parent = source.front->ids[open.row];
    if (last_cut == t_.cuts - 1) {
        const Values values = least(rest, label_.data(), 0.0, label_[kPeriodS], 0, 0);
        if (!known_.beats(values, open.hint)) known_.add(values, record(parent, last_cut, unit));
        return;
    }
    low_.resize(low_.size() + width_), high_.resize(high_.size() + width_);
    keys(place, rest, range, &low_[low_.size() - width_], &high_[high_.size() - width_]);
    figures_.insert(figures_.end(), label_.begin(), label_.end());
    parents_.push_back(parent);
}

// Whether a label may still become a plan that no known one beats, and with what final periods. It has these figures
// and still to come at least `hop_s`, `busy_s` and `rest`. `range.to_s` comes in as the longest period of interest.
bool Sweep::hopeful(const ToGo::Costs &rest, const double *figures, double hop_s, double busy_s, Range &range, Values &hint) {
    const double period_s = std::max({figures[kPeriodS], busy_s, rest.period_s});
    if (period_s > range.to_s) return false;
    int low = to_go_.band(period_s), high = to_go_.band(range.to_s);
    if (rest.latency_s[high] == kInf) return false;
    // All bands of the period at once: one look settles it for most labels.
    if (dominates(hint, least(rest, figures, hop_s, period_s, low, high))) return false;
    // Then one by one, from below and from above, until one has hope.
    double least_s = kInf;
    const auto alive = [&](int band) {
        if (rest.latency_s[band] == kInf) return false;
        const Values values = least(rest, figures, hop_s, std::max(period_s, to_go_.from_s(band)), band, band);
        least_s = known_.least_period(values, hint);
        return least_s > values[kPeriod];
    };
    while (low <= high && !alive(low)) ++low;
    if (low > high) return false;
    double cap_s = least_s;
    for (; high > low && !alive(high); --high) {
    }
    if (high > low) cap_s = least_s;
    range.from_s = std::max(period_s, to_go_.from_s(low));
    range.to_s = std::min({range.to_s, to_go_.to_s(high), wanted_[kPeriod] ? cap_s : kInf});
    return true;
}

// What every wanted goal is at least in the end if the period is no shorter and lies in these bands; 0 of the others.
Values Sweep::least(const ToGo::Costs &rest, const double *figures, double hop_s, double period_s, int low, int high) const {
    Values values{};
    if (wanted_[kLatency]) values[kLatency] = figures[kLatencyS] + hop_s + rest.latency_s[high];
    if (wanted_[kPeriod]) values[kPeriod] = period_s;
    if (wanted_[kMemory]) values[kMemory] = std::max(figures[kLargestBytes], rest.memory_bytes[high]);
    if (wanted_[kEnergy])
        values[kEnergy] = std::max(*std::min_element(rest.energy_j + low, rest.energy_j + high + 1),
                                   hungriest(t_, figures, period_s));
    return values;
}

// What decides between labels at one cut: one makes another needless if its low keys are at most the other's high
// ones. High keys are figures raised as far as no final value changes that a known plan does not beat.
void Sweep::keys(int place, const ToGo::Costs &rest, const Range &range, double *low, double *high) {
    const int first = to_go_.band(range.from_s), last = to_go_.band(range.to_s);
    const Values hope = least(rest, label_.data(), 0.0, range.from_s, first, last);
    if (question_.epsilon > 0.0) {
        std::fill_n(low, width_, 0.0);
        for (int goal = 0; goal < kGoals; ++goal)
            if (wanted_[goal]) low[goal] = std::floor(std::log(std::max(hope[goal], 1e-300)) / std::log1p(question_.epsilon));
        std::copy_n(low, width_, high);
        return;
    }
    matter(place, label_.data(), low);
    std::copy_n(low, width_, high);
    if (wanted_[kPeriod] || wanted_[kEnergy]) high[kPeriodS] = range.from_s;
    high[kLargestBytes] = hope[kMemory];
    if (!wanted_[kEnergy]) return;
    const double floor_j = *std::min_element(rest.energy_j + first, rest.energy_j + last + 1);
    envelope_.lift(t_, &label_[kKinds], floor_j, range, high + kKinds);
}

// A label's figures as far as they matter at a node; 0 in the place of others.
void Sweep::matter(int place, const double *figures, double *keys) const {
    const int shared = kKinds + t_.kinds;
    std::fill_n(keys, width_, 0.0);
    if (wanted_[kLatency]) keys[kLatencyS] = figures[kLatencyS];
    if (wanted_[kPeriod] || wanted_[kEnergy]) keys[kPeriodS] = figures[kPeriodS];
    if (wanted_[kMemory]) keys[kLargestBytes] = figures[kLargestBytes];
    if (wanted_[kEnergy]) std::copy_n(figures + kKinds, t_.kinds, keys + kKinds);
    for (int s = 0; s < t_.shared; ++s)
        if (question_.nodes[place].gathering[s]) std::copy_n(figures + shared + 2 * s, 2, keys + shared + 2 * s);
}

// The candidates no other makes needless, as a front. In ascending order only an earlier one can.
Front Sweep::best(int place, int last_cut) {
    std::vector<std::size_t> order(parents_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const double *one = row(high_, a), *other = row(high_, b);
        const auto [mine, theirs] = std::mismatch(one, one + width_, other);
        return mine == one + width_ ? a < b : *mine < *theirs;
    });
    Front front;
    front.least.assign(width_, kInf);
    shelf_.clear();
    // What a label with one unit less has reached makes one with more needless too: it can go on in the same way.
    if (question_.epsilon == 0.0 && !order.empty())
        for (const int other : question_.nodes[place].within)
            for (std::size_t number = 0; number < fronts_[other][last_cut].ids.size(); ++number) {
                matter(place, row(fronts_[other][last_cut].figures, number), label_.data());
                shelf_.add(label_.data());
            }
    for (const std::size_t candidate : order) {
        work(1 + shelf_.rows() / 32);
        if (shelf_.covers(row(high_, candidate))) continue;
        shelf_.add(row(low_, candidate));
        const double *figures = row(figures_, candidate);
        front.figures.insert(front.figures.end(), figures, figures + width_);
        for (std::size_t k = 0; k < width_; ++k) front.least[k] = std::min(front.least[k], figures[k]);
        front.ids.push_back(record(parents_[candidate], last_cut, question_.nodes[place].unit));
    }
    return front;
}

// Let go of fronts nobody will read any more.
void Sweep::forget(int place) {
    for (const auto *read : {&question_.nodes[place].before, &question_.nodes[place].within})
        for (const int other : *read)
            if (--readers_[other] == 0) fronts_[other] = {};
    if (readers_[place] == 0) fronts_[place] = {};
}

}  // namespace

Answer sweep(const Question &question) {
    Clock clock(question.time_limit_s, question.interrupted);
    try {
        Sweep sweep(question, clock);
        Answer answer;
        try {
            sweep.run();
            answer = sweep.answer();
            answer.finished = true;
        } catch (const Stopped &) {
            answer = sweep.answer();
        }
        return answer;
    } catch (const Stopped &) {  // before it began
        return {};
    }
}

}  // namespace shoal
