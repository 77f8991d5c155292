// When to stop: time is over, or the user has had enough.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace shoal {

struct Stopped {};  // thrown by Clock, caught before it leaves a kernel

class Clock {
  public:
    // `interrupted` is asked about ten times a second.
    Clock(double limit_s, const std::function<bool()> &interrupted)
        : interrupted_(interrupted), began_(Now::now()), limit_s_(limit_s) {}

    // Account for work done, in units of some ten nanoseconds; looks at the time only now and then.
    void work(std::int64_t steps, bool may_stop) {
        done_ += steps;
        if (done_ < kSteps) return;
        done_ = 0;
        const double passed_s = std::chrono::duration<double>(Now::now() - began_).count();
        if (passed_s > asked_s_ + kEachS) {
            asked_s_ = passed_s;
            if (interrupted_()) throw Stopped{};
        }
        if (may_stop && passed_s > limit_s_) throw Stopped{};
    }

  private:
    using Now = std::chrono::steady_clock;
    static constexpr std::int64_t kSteps = 1 << 13;
    static constexpr double kEachS = 0.1;
    const std::function<bool()> &interrupted_;
    Now::time_point began_;
    double limit_s_, asked_s_ = 0.0;
    std::int64_t done_ = kSteps;  // look at once: there may be no time at all
};

}  // namespace shoal
