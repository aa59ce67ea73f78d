// TCP bulk transfer, as iperf3 does it: 128 KiB a write, the receiver reads. The rate counts payload at the receiver.
//
//     sender    socket 0 ──▶ [ phase 4 | pattern from that phase ... ] ──▶ socket 0    receiver
//     1 thread  socket 1 ──▶ [ phase 4 | pattern from that phase ... ] ──▶ socket 1    1 thread
//
// The pattern repeats a block whose length is prime, and each stream begins at another phase of it: bytes that are lost, doubled, swapped or
// of another stream shift or mix the pattern, whatever the size of what happened to them. So the receiver learns a stream's order from a few
// bytes at the ends of each read, at a cost that does not show, and with `check_all` every byte by memcmp.
//
// One stream is written and read by calls that block, several by calls that do not behind one epoll: for one, epoll would cost a system call
// a read and give nothing. Threads of their own would hide what a stream costs behind the cores there are.
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace traffic {
namespace {

constexpr std::size_t kWriteBytes = 128 * 1024;
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kBlockBytes = 65'521;
constexpr std::size_t kPhaseBytes = 4;
// Compared at both ends of a read.
constexpr std::size_t kSampleBytes = 64;
// A partner that hangs shall not hang the trial.
constexpr std::int64_t kStallNanos = 10'000'000'000;

// The pattern, long enough for any write or read from any phase.
class Pattern {
 public:
  Pattern() {
    std::uint32_t state = 0x2545'f491;
    for (std::size_t at = 0; at < kBlockBytes; at++) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      bytes_[at] = static_cast<std::uint8_t>(state >> 24);
    }
    for (std::size_t at = kBlockBytes; at < bytes_.size(); at++) bytes_[at] = bytes_[at - kBlockBytes];
  }
  const std::uint8_t* at(std::uint64_t position) const { return bytes_.data() + position % kBlockBytes; }

 private:
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(kBlockBytes + kReadBytes);
};

const Pattern& pattern() {
  static const Pattern shared;
  return shared;
}

int set_congestion(int fd, const std::string& name) {
  if (name.empty()) return 0;
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) < 0 ? -errno : 0;
}

void report_kernel(int fd, double* row) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return;
  row[kStreamRetransmits] = info.tcpi_total_retrans;
  // All ones as long as there was no sample.
  row[kStreamMinRttMicros] = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt;
}

// Which of several sockets can be written or read; of one it is always said, because its calls block.
class Ready {
 public:
  // -errno when it cannot be made.
  int open(const std::vector<int>& sockets, std::uint32_t events) {
    count_ = sockets.size();
    for (const int fd : sockets) {
      const int flags = fcntl(fd, F_GETFL);
      const int wanted = count_ > 1 ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
      if (flags < 0 || fcntl(fd, F_SETFL, wanted) < 0) return -errno;
    }
    if (count_ == 1) return 0;
    epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
    if (epoll_.get() < 0) return -errno;
    for (std::size_t index = 0; index < count_; index++) {
      epoll_event event{.events = events, .data = {.u64 = index}};
      if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, sockets[index], &event) < 0) return -errno;
    }
    return 0;
  }
  // Streams that are ready, 0 after the timeout, or -errno.
  int wait(std::int64_t timeout_nanos) {
    if (count_ == 1) return 1;
    const int most = static_cast<int>(std::min(count_, events_.size()));
    for (;;) {
      const int ready = epoll_wait(epoll_.get(), events_.data(), most, static_cast<int>(timeout_nanos / 1'000'000));
      if (ready >= 0) return ready;
      if (errno != EINTR) return -errno;
    }
  }
  std::size_t stream(int index) const { return count_ == 1 ? 0 : events_[static_cast<std::size_t>(index)].data.u64; }
  void remove(int fd) {
    if (count_ > 1) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }

 private:
  std::size_t count_ = 0;
  Descriptor epoll_;
  std::array<epoll_event, kMaxStreams> events_{};
};

// Waits until the receiver has read everything and closed. Only then all acknowledgements are there, and what was sent again is known.
int await_close(int fd) {
  std::uint8_t byte = 0;
  for (;;) {
    const int ready = wait_for(fd, POLLIN, kStallNanos);
    if (ready <= 0) return ready < 0 ? ready : -ETIMEDOUT;
    const ssize_t count = recv(fd, &byte, 1, MSG_DONTWAIT);
    if (count == 0) return 0;
    if (count > 0) return -EPROTO;
    if (errno != EINTR && errno != EAGAIN) return -errno;
  }
}

// The receiving end of one stream.
class Inlet {
 public:
  // What a read brought; position and phase move on.
  void take(const std::uint8_t* bytes, std::size_t count, bool check_all) {
    while (header_ < kPhaseBytes && count > 0) {
      phase_ |= std::uint32_t{*bytes} << (8 * header_);
      header_++;
      bytes++;
      count--;
    }
    if (count == 0) return;
    if (wrong_at_ < 0) check(bytes, count, check_all);
    position_ += count;
  }
  std::uint64_t position() const { return position_; }
  double wrong_at() const { return wrong_at_; }

 private:
  void check(const std::uint8_t* bytes, std::size_t count, bool check_all) {
    const std::uint8_t* expected = pattern().at(phase_ + position_);
    const std::size_t sample = check_all ? count : std::min(count, kSampleBytes);
    const std::size_t tail = count - sample;
    if (memcmp(bytes, expected, sample) == 0 && memcmp(bytes + tail, expected + tail, sample) == 0) return;
    std::size_t at = 0;
    while (at < count && bytes[at] == expected[at]) at++;
    wrong_at_ = static_cast<double>(position_ + at);
  }

  std::size_t header_ = 0;
  std::uint32_t phase_ = 0;
  std::uint64_t position_ = 0;
  double wrong_at_ = -1;
};

// The sending end of one stream.
struct Outlet {
  std::uint64_t phase = 0;
  double sent = 0;
  bool done = false;
};

}  // namespace

int limit_blocking(int fd, std::int64_t nanos) {
  const timeval limit{.tv_sec = nanos / 1'000'000'000, .tv_usec = nanos % 1'000'000'000 / 1000};
  const bool set = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
  return set ? 0 : -errno;
}

int tcp_listen(const sockaddr_in& address, const std::string& congestion) {
  const int fd = bind_socket(SOCK_STREAM, address);
  if (fd < 0) return fd;
  Descriptor socket(fd);
  // What is accepted inherits the congestion control.
  const int chosen = set_congestion(fd, congestion);
  if (chosen < 0) return chosen;
  if (listen(fd, SOMAXCONN) < 0) return -errno;
  return socket.release();
}

int tcp_connect(const sockaddr_in& target, const std::string& congestion) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  const int chosen = set_congestion(socket.get(), congestion);
  if (chosen < 0) return chosen;
  const int limited = limit_blocking(socket.get(), kStallNanos);
  if (limited < 0) return limited;
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) < 0) return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
  return socket.release();
}

int tcp_accept(int listener, std::int64_t timeout_nanos) {
  const int pending = wait_for(listener, POLLIN, timeout_nanos);
  if (pending <= 0) return pending < 0 ? pending : -ETIMEDOUT;
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int tcp_send(const TcpSend& options, double* report) {
  const std::size_t count = options.sockets.size();
  std::vector<Outlet> outlets(count);
  Ready ready;
  const int opened = ready.open(options.sockets, EPOLLOUT);
  if (opened < 0) return opened;

  const std::int64_t cpu = thread_cpu_nanos();
  const std::int64_t start = monotonic_nanos();
  for (std::size_t index = 0; index < count; index++) {
    const int limited = limit_blocking(options.sockets[index], kStallNanos);
    if (limited < 0) return limited;
    // Far apart, and others in the next trial.
    const auto phase = static_cast<std::uint32_t>((static_cast<std::uint64_t>(start) + index * (kBlockBytes / kMaxStreams)) % kBlockBytes);
    outlets[index].phase = phase;
    const std::array<std::uint8_t, kPhaseBytes> header = {static_cast<std::uint8_t>(phase), static_cast<std::uint8_t>(phase >> 8),
                                                          static_cast<std::uint8_t>(phase >> 16), static_cast<std::uint8_t>(phase >> 24)};
    const ssize_t taken = send(options.sockets[index], header.data(), header.size(), MSG_NOSIGNAL | MSG_MORE);
    if (taken != static_cast<ssize_t>(header.size())) return taken < 0 ? -errno : -EPROTO;
  }

  std::size_t left = count;
  std::int64_t now = start;
  while (left > 0 && now - start < options.duration_nanos) {
    const int many = ready.wait(kStallNanos);
    if (many <= 0) return many < 0 ? many : -ETIMEDOUT;
    for (int index = 0; index < many; index++) {
      Outlet& outlet = outlets[ready.stream(index)];
      const int fd = options.sockets[ready.stream(index)];
      const std::size_t want =
          options.bytes > 0 ? static_cast<std::size_t>(std::min<double>(kWriteBytes, options.bytes - outlet.sent)) : kWriteBytes;
      const ssize_t taken = send(fd, pattern().at(outlet.phase + static_cast<std::uint64_t>(outlet.sent)), want, MSG_NOSIGNAL);
      if (taken < 0) {
        if (errno == EINTR || (errno == EAGAIN && count > 1)) continue;
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
      }
      outlet.sent += static_cast<double>(taken);
      if (options.bytes > 0 && outlet.sent >= options.bytes) {
        ready.remove(fd);
        if (shutdown(fd, SHUT_WR) < 0) return -errno;
        outlet.done = true;
        left--;
      }
    }
    now = monotonic_nanos();
  }
  report[kTcpMicros] = static_cast<double>(now - start) / 1e3;
  report[kTcpCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  for (std::size_t index = 0; index < count; index++) {
    if (!outlets[index].done && shutdown(options.sockets[index], SHUT_WR) < 0) return -errno;
  }
  for (std::size_t index = 0; index < count; index++) {
    const int closed = await_close(options.sockets[index]);
    if (closed < 0) return closed;
    double* row = report + kTcpCells + index * kStreamCells;
    row[kStreamBytes] = outlets[index].sent;
    row[kStreamWrongAt] = -1;
    report_kernel(options.sockets[index], row);
    report[kTcpBytes] += outlets[index].sent;
  }
  return 0;
}

int tcp_receive(const TcpReceive& options, double* report) {
  const std::size_t count = options.sockets.size();
  std::vector<Inlet> inlets(count);
  std::vector<std::uint8_t> memory(kReadBytes);
  Ready ready;
  const int opened = ready.open(options.sockets, EPOLLIN);
  if (opened < 0) return opened;
  for (const int fd : options.sockets) {
    const int limited = limit_blocking(fd, options.idle_nanos);
    if (limited < 0) return limited;
  }

  const std::int64_t cpu = thread_cpu_nanos();
  std::int64_t first = -1;
  std::int64_t last = -1;
  for (std::size_t left = count; left > 0;) {
    const int many = ready.wait(options.idle_nanos);
    if (many <= 0) return many < 0 ? many : -ETIMEDOUT;
    for (int index = 0; index < many; index++) {
      const std::size_t stream = ready.stream(index);
      const int fd = options.sockets[stream];
      const ssize_t bytes = recv(fd, memory.data(), memory.size(), 0);
      if (bytes < 0) {
        if (errno == EINTR || (errno == EAGAIN && count > 1)) continue;
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
      }
      if (bytes == 0) {
        ready.remove(fd);
        if (shutdown(fd, SHUT_WR) < 0) return -errno;
        left--;
        continue;
      }
      last = monotonic_nanos();
      if (first < 0) first = last;
      inlets[stream].take(memory.data(), static_cast<std::size_t>(bytes), options.check_all);
    }
  }
  report[kTcpMicros] = static_cast<double>(last - first) / 1e3;
  report[kTcpCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  for (std::size_t index = 0; index < count; index++) {
    double* row = report + kTcpCells + index * kStreamCells;
    report_kernel(options.sockets[index], row);
    row[kStreamBytes] = static_cast<double>(inlets[index].position());
    row[kStreamWrongAt] = inlets[index].wrong_at();
    report[kTcpBytes] += row[kStreamBytes];
  }
  return 0;
}

}  // namespace traffic
