// Generator and sink of the bench: blocking calls for a process of their own. Numbers in, numbers out: every call returns a result >= 0
// or -errno and leaves what it measured in a Float64Array.
#pragma once

#include <napi.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace traffic {

// Cells of a report; src/lab/traffic.ts names them the same way.
enum Cell : std::size_t {
  kFrames = 0,       // datagrams sent, or received for the first time
  kBytes,            // payload bytes
  kMicros,           // from the first to the last of them
  kRefused,          // sends the kernel refused (ENOBUFS, EAGAIN)
  kDuplicated,       // datagrams received more than once
  kReordered,        // datagrams behind a later one of their flow
  kMissing,          // sequence numbers below the highest of their flow that never came
  kForeign,          // datagrams that are not of this trial
  kDelayMedian,      // nanoseconds from send call to receive call, one way or both; of a sender, behind its schedule
  kDelayP99,
  kDelayMax,
  kCpuMicros,        // user and system time of the calling thread
  kCorrupt,          // datagrams of this trial that are not as they were sent
  kDropped,          // datagrams the receiving socket had no room for
  kSystemCalls,      // that sent or received
  kCells
};

// Owner of one file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

inline std::int64_t nanos(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}
inline std::int64_t monotonic_nanos() { return nanos(CLOCK_MONOTONIC); }
inline std::int64_t thread_cpu_nanos() { return nanos(CLOCK_THREAD_CPUTIME_ID); }

// An IPv4 address and port; -EINVAL for text that is none.
int parse_address(const std::string& address, double port, sockaddr_in* out);
// Asks for room for a burst.
void grow_receive_buffer(int fd);
// A socket of `type` bound to address and port, with a receive buffer for a burst. Returns the descriptor or -errno.
int bind_socket(int type, const sockaddr_in& address);
// Waits for `events`; 1 when they came, 0 after the timeout, or -errno.
int wait_for(int fd, short events, std::int64_t timeout_nanos);

}  // namespace traffic
