// When each datagram or frame of a sender is due.
//
// Without a rate: now, a burst a system call. With a rate they go in groups, as many as fall into 50 µs (one, below 20,000 a second), because
// a sleep costs about as much as sending ten of them; all of a group are due when it begins. A sender that comes late, having been held up by
// a full queue or by the scheduler, sends all that is due, and stamps it with the time it WAS due: otherwise whoever stalls the sender
// shortens the delays that are measured (coordinated omission).
#pragma once

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "traffic.h"

namespace traffic {

class Schedule {
 public:
  // `rate` a second, 0 for none; `burst` is the most in one system call.
  Schedule(double rate, std::size_t burst)
      : rate_(rate), burst_(burst), group_(rate > 0 ? std::clamp(std::ceil(rate * kGroupSeconds), 1.0, static_cast<double>(burst)) : 1) {
    if (rate_ <= 0) return;
    slack_ = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, 1);
  }
  ~Schedule() {
    if (slack_ >= 0) prctl(PR_SET_TIMERSLACK, slack_);
  }
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  void start(std::int64_t nanos) { start_ = nanos; }

  // Sleeps until number `next` is due, or `end` is reached; then how many are due.
  std::size_t wait(double next, std::int64_t end) {
    now_ = monotonic_nanos();
    if (rate_ <= 0) return burst_;
    const std::int64_t due = std::min(due_of(next), end);
    const timespec until{.tv_sec = due / 1'000'000'000, .tv_nsec = due % 1'000'000'000};
    while (now_ < due) {
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
      now_ = monotonic_nanos();
    }
    const double groups = std::floor(static_cast<double>(now_ - start_) * rate_ / 1e9 / group_) + 1;
    return static_cast<std::size_t>(std::clamp(groups * group_ - next, 1.0, static_cast<double>(burst_)));
  }
  // The stamp of number `index`: when it was due, without a rate the moment `wait` returned.
  std::int64_t stamp(double index) const { return rate_ > 0 ? std::min(due_of(index), now_) : now_; }
  std::int64_t now() const { return now_; }

 private:
  static constexpr double kGroupSeconds = 50e-6;

  std::int64_t due_of(double index) const {
    return start_ + static_cast<std::int64_t>(std::floor(index / group_) * group_ / rate_ * 1e9);
  }

  double rate_;
  std::size_t burst_;
  double group_;
  int slack_ = -1;
  std::int64_t start_ = 0;
  std::int64_t now_ = 0;
};

}  // namespace traffic
