// Which partial plans may still become plans that no known one beats.
#pragma once

#include <vector>

#include "bounds.hpp"
#include "envelope.hpp"
#include "known.hpp"
#include "sweep.hpp"

namespace shoal {

class Hopes {
  public:
    Hopes(const Question &question, Clock &clock);

    const ToGo &to_go() const { return to_go_; }
    Known &known() { return known_; }

    // Whether a label may still become a plan that no known one beats, and with what final periods. It has these
    // figures and still to come at least `hop_s`, `busy_s` and `rest`. `range.to_s` comes in as the longest period
    // of interest. `hint`: see Known.
    bool hopeful(const ToGo::Costs &rest, const double *figures, double hop_s, double busy_s, Range &range,
                 Values &hint);

    // What every wanted goal is at least in the end if the period is no shorter than `period_s` and lies in the
    // bands `low` to `high`; 0 of the others.
    Values least(const ToGo::Costs &rest, const double *figures, double hop_s, double period_s, int low,
                 int high) const;

    // The least energy still to come if the period lies in these bands.
    double least_j(const ToGo::Costs &rest, int low, int high) const;

  private:
    bool alive_in(int band, const ToGo::Costs &rest, const double *figures, double hop_s, double period_s,
                  Values &hint);
    double longest();

    const Tables &t_;
    const Wanted &wanted_;
    Known known_;
    const ToGo to_go_;
    std::vector<Values> hints_;  // by cell: what beat the last label there
    std::vector<Values> cells_;  // the least values in those cells where the label at hand has hope
};

}  // namespace shoal
