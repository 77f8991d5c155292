#include "pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace shoal::lowbit {
namespace {

constexpr std::int64_t kStretch = 32;  // rows, of which the kernels for many tokens take so many at once
constexpr std::int64_t kShares = 8;    // stretches for each thread

struct Job {
    const std::function<void(std::int64_t, std::int64_t)> &work;  // lasts until `done` is `rows`
    const std::int64_t rows, stretch;
    std::atomic<std::int64_t> next{0}, done{0};
    std::atomic<int> seats;  // for helpers

    Job(const std::function<void(std::int64_t, std::int64_t)> &what, std::int64_t of, std::int64_t each, int helpers)
        : work(what), rows(of), stretch(each), seats(helpers) {}

    void help() {
        for (std::int64_t begin = next.fetch_add(stretch); begin < rows; begin = next.fetch_add(stretch)) {
            const std::int64_t end = std::min(rows, begin + stretch);
            work(begin, end);
            done.fetch_add(end - begin);
        }
    }
};

// Helpers see the newest job; of older ones the callers do what is left.
class Pool {
  public:
    void run(const std::shared_ptr<Job> &job, int helpers) {
        {
            const std::lock_guard held(lock_);
            for (; there_ < helpers; ++there_) std::thread([this] { wait(); }).detach();
            job_ = job, ++number_;
        }
        helpers == 1 ? wake_.notify_one() : wake_.notify_all();
        job->help();
        while (job->done < job->rows) std::this_thread::yield();
    }

  private:
    void wait() {
        for (std::uint64_t seen = 0;;) {
            std::shared_ptr<Job> job;
            {
                std::unique_lock held(lock_);
                wake_.wait(held, [&] { return number_ != seen; });
                job = job_, seen = number_;
            }
            if (job->seats.fetch_sub(1) > 0) job->help();
        }
    }

    std::mutex lock_;
    std::condition_variable wake_;
    std::shared_ptr<Job> job_;
    std::uint64_t number_ = 0;
    int there_ = 0;
};

// That of this process: threads are not there after a fork. Never destroyed, as they may wait until the very end.
Pool &pool() {
    static std::mutex lock;
    static Pool *made = nullptr;
    static pid_t owner = 0;
    const std::lock_guard held(lock);
    if (owner != getpid()) made = new Pool, owner = getpid();
    return *made;
}

}  // namespace

void shared_out(std::int64_t rows, int threads, const std::function<void(std::int64_t, std::int64_t)> &work) {
    const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const std::int64_t most = (rows + kStretch - 1) / kStretch;
    const int together = static_cast<int>(std::min<std::int64_t>(most, std::min(threads, cores)));
    if (together < 2) return work(0, rows);
    const std::int64_t share = (rows / (together * kShares) + kStretch - 1) / kStretch;
    const auto job = std::make_shared<Job>(work, rows, std::max<std::int64_t>(1, share) * kStretch, together - 1);
    pool().run(job, together - 1);
}

}  // namespace shoal::lowbit
