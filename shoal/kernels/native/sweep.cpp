#include "sweep.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "clock.hpp"
#include "envelope.hpp"
#include "figures.hpp"
#include "hopes.hpp"
#include "shelf.hpp"

namespace shoal {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

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

// A label that has just reached a cut.
struct Arrival {
    double latency_s;
    std::size_t number;  // row of its figures
    std::int64_t parent;
    Range range;  // of final periods with which it has hope
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
    void offer(const Source &source, Open &open, int unit, int last_cut, const ToGo::Costs &rest);
    void complete(int unit, const ToGo::Costs &rest);
    Front best(int place, int last_cut);
    void shelve_others(int place, int last_cut);
    void matter(int place, const double *figures, double *keys) const;
    void raise(const ToGo::Costs &rest, const Range &range, const double *figures, double *keys);
    void boxes(const ToGo::Costs &rest, const Range &range, const double *figures, double *keys) const;
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
    Hopes hopes_;
    Known &known_;
    const ToGo &to_go_;
    const std::size_t width_;
    std::vector<std::vector<Front>> fronts_;  // (node, cut)
    std::vector<int> readers_;                // nodes that have yet to read a node's fronts
    std::vector<Step> history_;
    Front origin_;                 // the label before the first group
    std::vector<Source> sources_;  // of the node at hand
    Values hint_ = kNobody;
    std::vector<Arrival> arrivals_;           // at the cut at hand
    std::vector<double> figures_;             // of them
    std::vector<double> label_, low_, high_;  // the one at hand: its figures, what matters of them, the same raised
    Shelf shelf_;
    Envelope envelope_;
};

Sweep::Sweep(const Question &question, Clock &clock)
    : question_(question),
      t_(question.tables),
      wanted_(question.wanted),
      clock_(clock),
      hopes_(question, clock),
      known_(hopes_.known()),
      to_go_(hopes_.to_go()),
      width_(static_cast<std::size_t>(width(question.tables))),
      fronts_(question.nodes.size()),
      readers_(question.nodes.size(), 0),
      label_(width_),
      low_(width_),
      high_(width_),
      shelf_(static_cast<int>(width_)) {
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
        for (int cut = 1; cut < t_.cuts - 1; ++cut)
            gather(place, fronts_[before][cut], question_.nodes[before].unit, cut);
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
    if (!hopes_.hopeful(via, front.least.data(), hop_s, busy_s, range, hint_)) return;
    Source source{sender, cut, &front, {}, 0.0, hint_};
    for (std::size_t number = 0; number < front.ids.size(); ++number) {
        range = {0.0, t_.longest_s};
        if (!hopes_.hopeful(via, row(front.figures, number), hop_s, busy_s, range, hint_)) continue;
        source.open.push_back({number, range.to_s, hint_});
        source.cap_s = std::max(source.cap_s, range.to_s);
    }
    if (!source.open.empty()) sources_.push_back(std::move(source));
}

// All labels that reach (node, cut), of which the best become its front.
void Sweep::arrive(int place, int last_cut) {
    const int unit = question_.nodes[place].unit;
    const ToGo::Costs rest = to_go_.rest(place, last_cut);
    arrivals_.clear(), figures_.clear();
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
            if (!hopes_.hopeful(rest, label_.data(), 0.0, 0.0, range, source.hint)) continue;
        }
        for (Open &open : source.open)
            if (run_s <= open.cap_s) offer(source, open, unit, last_cut, rest);
    }
    if (last_cut < t_.cuts - 1)
        fronts_[place][last_cut] = best(place, last_cut);
    else
        complete(unit, rest);
}

// Take one extension among the arrivals if it has hope.
void Sweep::offer(const Source &source, Open &open, int unit, int last_cut, const ToGo::Costs &rest) {
    std::copy_n(row(source.front->figures, open.row), width_, label_.begin());
    if (!extend(t_, source.sender, unit, source.cut, last_cut, label_.data())) return;
    Range range{0.0, open.cap_s};
    if (!hopes_.hopeful(rest, label_.data(), 0.0, 0.0, range, open.hint)) return;
    arrivals_.push_back({label_[kLatencyS], arrivals_.size(), source.front->ids[open.row], range});
    figures_.insert(figures_.end(), label_.begin(), label_.end());
}

// Arrivals at the last cut are plans.
void Sweep::complete(int unit, const ToGo::Costs &rest) {
    for (const Arrival &arrival : arrivals_) {
        const double *figures = row(figures_, arrival.number);
        const Values values = hopes_.least(rest, figures, 0.0, figures[kPeriodS], 0, 0);
        if (!known_.beats(values, hint_)) known_.add(values, record(arrival.parent, t_.cuts - 1, unit));
    }
}

// The arrivals no other makes needless, as a front. In ascending order only an earlier one can.
Front Sweep::best(int place, int last_cut) {
    const ToGo::Costs rest = to_go_.rest(place, last_cut);
    const bool exact = question_.epsilon == 0.0;
    std::sort(arrivals_.begin(), arrivals_.end(), [&](const Arrival &a, const Arrival &b) {
        if (a.latency_s != b.latency_s) return a.latency_s < b.latency_s;
        const double *one = row(figures_, a.number), *other = row(figures_, b.number);
        const auto [mine, theirs] = std::mismatch(one, one + width_, other);
        return mine == one + width_ ? a.number < b.number : *mine < *theirs;
    });
    Front front;
    front.least.assign(width_, kInf);
    shelf_.clear();
    if (exact && !arrivals_.empty()) shelve_others(place, last_cut);
    for (const Arrival &arrival : arrivals_) {
        const double *figures = row(figures_, arrival.number);
        work(1 + shelf_.rows() / 32);
        if (exact) {
            matter(place, figures, low_.data());
            raise(rest, arrival.range, figures, high_.data());
        } else {
            boxes(rest, arrival.range, figures, low_.data());
            high_ = low_;
        }
        if (shelf_.covers(high_.data())) continue;
        shelf_.add(low_.data());
        front.figures.insert(front.figures.end(), figures, figures + width_);
        for (std::size_t k = 0; k < width_; ++k) front.least[k] = std::min(front.least[k], figures[k]);
        front.ids.push_back(record(arrival.parent, last_cut, question_.nodes[place].unit));
    }
    return front;
}

// What a label with one unit less has reached makes one with more needless too: it can go on in the same way.
void Sweep::shelve_others(int place, int last_cut) {
    for (const int other : question_.nodes[place].within) {
        const Front &front = fronts_[other][last_cut];
        for (std::size_t number = 0; number < front.ids.size(); ++number) {
            matter(place, row(front.figures, number), low_.data());
            shelf_.add(low_.data());
        }
    }
}

// A label's figures as far as they matter at a node; 0 in the place of others. A label makes another needless if
// these are at most the other's, or at most the other's raised ones.
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

// Raise what matters, in `low_`, as far as no final value changes that a known plan does not beat.
void Sweep::raise(const ToGo::Costs &rest, const Range &range, const double *figures, double *keys) {
    std::copy_n(low_.begin(), width_, keys);
    if (wanted_[kPeriod] || wanted_[kEnergy]) keys[kPeriodS] = range.from_s;
    if (wanted_[kMemory]) keys[kLargestBytes] = std::max(keys[kLargestBytes], rest.memory_bytes);
    if (!wanted_[kEnergy]) return;
    const double floor_j = hopes_.least_j(rest, to_go_.periods().of(range.from_s), to_go_.periods().of(range.to_s));
    envelope_.lift(t_, figures + kKinds, floor_j, range, keys + kKinds);
}

// The box of a label's hopes, in which one label is enough.
void Sweep::boxes(const ToGo::Costs &rest, const Range &range, const double *figures, double *keys) const {
    const Bands &periods = to_go_.periods();
    const Values hope =
        hopes_.least(rest, figures, 0.0, range.from_s, periods.of(range.from_s), periods.of(range.to_s));
    std::fill_n(keys, width_, 0.0);
    for (std::size_t goal = 0; goal < kGoals; ++goal)
        if (wanted_[goal])
            keys[goal] = std::floor(std::log(std::max(hope[goal], 1e-300)) / std::log1p(question_.epsilon));
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
