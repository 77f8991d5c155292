// Threads that wait for rows to work on.
#pragma once

#include <cstdint>
#include <functional>

namespace shoal::lowbit {

// Calls work(begin, end) on stretches of `rows` that together are all, shared by the caller and `threads` − 1 others at
// most. Whoever is free takes the next stretch, so that where a core is busy with something else the caller does all of
// it; it waits only for stretches that have been begun.
void shared_out(std::int64_t rows, int threads, const std::function<void(std::int64_t begin, std::int64_t end)> &work);

}  // namespace shoal::lowbit
