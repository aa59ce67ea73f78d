// A server that answers and a client that waits: each question follows the answer to the one before.
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <vector>

#include "histogram.h"
#include "traffic.h"
#include "udp.h"

namespace traffic {

// Sends each datagram back to where it came from, one at a time: a server that sleeps between two questions.
int udp_echo(const UdpEcho& options, double* report) {
  std::vector<std::uint8_t> memory(2048);
  const std::int64_t cpu = thread_cpu_nanos();
  double answered = 0;
  for (;;) {
    const int ready = wait_for(options.descriptor, POLLIN, answered > 0 ? options.idle_nanos : options.start_nanos);
    if (ready < 0) return ready;
    if (ready == 0) break;
    sockaddr_in from{};
    socklen_t from_bytes = sizeof from;
    const ssize_t count =
        recvfrom(options.descriptor, memory.data(), memory.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN || errno == ECONNREFUSED) continue;
      return -errno;
    }
    if (sendto(options.descriptor, memory.data(), static_cast<std::size_t>(count), 0, reinterpret_cast<sockaddr*>(&from), from_bytes) < 0) {
      return -errno;
    }
    answered += 1;
  }
  report[kFrames] = answered;
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

// Questions, each after the answer to the one before. The sequence number tells an answer from a late one.
int udp_ask(const UdpAsk& options, double* report, double* delays) {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) < 0) return -errno;
  const timeval limit{.tv_sec = options.timeout_nanos / 1'000'000'000, .tv_usec = options.timeout_nanos % 1'000'000'000 / 1000};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) return -errno;

  std::vector<std::uint8_t> question(static_cast<std::size_t>(options.payload_bytes));
  std::vector<std::uint8_t> answer(question.size());
  DelayHistogram histogram(delays);
  double answers = 0;
  const std::int64_t cpu = thread_cpu_nanos();
  const std::int64_t start = monotonic_nanos();
  for (std::uint64_t sequence = 0; sequence < static_cast<std::uint64_t>(options.count); sequence++) {
    memcpy(question.data(), &sequence, sizeof sequence);
    const std::int64_t sent = monotonic_nanos();
    if (send(socket.get(), question.data(), question.size(), 0) < 0) return -errno;
    std::uint64_t answered = sequence + 1;
    while (answered != sequence) {
      const ssize_t count = recv(socket.get(), answer.data(), answer.size(), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) break;
      if (count < 0) return -errno;
      if (count == static_cast<ssize_t>(answer.size())) memcpy(&answered, answer.data(), sizeof answered);
    }
    if (answered != sequence) continue;
    histogram.add(monotonic_nanos() - sent);
    answers += 1;
  }
  report[kFrames] = answers;
  report[kMissing] = options.count - answers;
  report[kMicros] = static_cast<double>(monotonic_nanos() - start) / 1e3;
  report[kDelayMedian] = histogram.quantile(0.5);
  report[kDelayP99] = histogram.quantile(0.99);
  report[kDelayMax] = histogram.max();
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

}  // namespace traffic
