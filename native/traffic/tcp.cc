// TCP bulk transfer of one stream, as iperf3 does it: 128 KiB a write, the receiver reads and forgets. The rate counts payload at the receiver.
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>

#include <algorithm>
#include <vector>

#include "traffic.h"

namespace traffic {
namespace {

constexpr std::size_t kWriteBytes = 128 * 1024;
constexpr std::size_t kReadBytes = 256 * 1024;

double retransmits_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_total_retrans : 0;
}

}  // namespace

int tcp_send(const TcpSend& options, double* report) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) < 0) return -errno;
  // A receiver that hangs shall not hang the trial.
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0) return -errno;

  const std::vector<std::uint8_t> block(kWriteBytes, 0x5a);
  const std::int64_t cpu = thread_cpu_nanos();
  const std::int64_t start = monotonic_nanos();
  double sent = 0;
  while (monotonic_nanos() - start < options.duration_nanos && (options.bytes <= 0 || sent < options.bytes)) {
    const std::size_t want =
        options.bytes > 0 ? static_cast<std::size_t>(std::min<double>(kWriteBytes, options.bytes - sent)) : kWriteBytes;
    const ssize_t taken = send(socket.get(), block.data(), want, MSG_NOSIGNAL);
    if (taken < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    sent += static_cast<double>(taken);
  }
  report[kBytes] = sent;
  report[kMicros] = static_cast<double>(monotonic_nanos() - start) / 1e3;
  report[kRetransmits] = retransmits_of(socket.get());
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

int tcp_receive(const TcpReceive& options, double* report) {
  const int pending = wait_for(options.listener, POLLIN, options.start_nanos);
  if (pending <= 0) return pending < 0 ? pending : -ETIMEDOUT;
  Descriptor socket(accept4(options.listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (socket.get() < 0) return -errno;

  std::vector<std::uint8_t> memory(kReadBytes);
  const std::int64_t cpu = thread_cpu_nanos();
  std::int64_t first = -1;
  std::int64_t last = -1;
  double received = 0;
  const timeval idle{.tv_sec = options.idle_nanos / 1'000'000'000, .tv_usec = options.idle_nanos % 1'000'000'000 / 1000};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle) < 0) return -errno;
  for (;;) {
    const ssize_t count = recv(socket.get(), memory.data(), memory.size(), 0);
    if (count == 0) break;
    if (count < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    last = monotonic_nanos();
    if (first < 0) first = last;
    received += static_cast<double>(count);
  }
  report[kBytes] = received;
  report[kMicros] = static_cast<double>(last - first) / 1e3;
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

}  // namespace traffic
