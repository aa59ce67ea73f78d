// UDP generator and sink.
//
//     payload   [ sequence 8 | send time 8 (ns, CLOCK_MONOTONIC) | flow 2 | zeros ... ]      18 bytes at least, native byte order
//
// Sequence numbers run per flow from 0. A flow is a connected socket with a source port of its own, so all of them meet in one receiver.
// sendmmsg and recvmmsg move up to a burst per system call; all memory is allotted before the first datagram. The send time is read once a
// burst: within one the difference is below a microsecond per ten datagrams, and a clock read each would cost as much as the datagram's share
// of the system call.
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "traffic.h"

namespace traffic {
namespace {

constexpr int kReceiveBurst = 64;
// 2^30 datagrams of a flow: 128 MiB of bitmap, half an hour at 500,000 a second. Sequence numbers above are foreign.
constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 30;

struct Header {
  std::uint64_t sequence;
  std::int64_t sent_nanos;
  std::uint16_t flow;
};
constexpr std::size_t kSequenceAt = 0;
constexpr std::size_t kTimeAt = kSequenceAt + 8;
constexpr std::size_t kFlowAt = kTimeAt + 8;

void write_header(std::uint8_t* to, const Header& header) {
  memcpy(to + kSequenceAt, &header.sequence, 8);
  memcpy(to + kTimeAt, &header.sent_nanos, 8);
  memcpy(to + kFlowAt, &header.flow, 2);
}
Header read_header(const std::uint8_t* from) {
  Header header{};
  memcpy(&header.sequence, from + kSequenceAt, 8);
  memcpy(&header.sent_nanos, from + kTimeAt, 8);
  memcpy(&header.flow, from + kFlowAt, 2);
  return header;
}

// Delays in buckets of a 16th of their power of two (6 % wide), from 1 ns to 2^63 ns.
class Histogram {
 public:
  void add(std::int64_t nanos) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(nanos, 1));
    const int power = std::bit_width(value) - 1;
    const auto sixteenth = power >= 4 ? (value >> (power - 4)) & 15 : (value << (4 - power)) & 15;
    buckets_[static_cast<std::size_t>(power) * 16 + sixteenth]++;
    count_++;
    max_ = std::max(max_, static_cast<double>(nanos));
  }
  // Lower edge of the bucket that holds this share of all.
  double quantile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t index = 0; index < buckets_.size(); index++) {
      seen += buckets_[index];
      if (seen > wanted) return static_cast<double>(16 + index % 16) * static_cast<double>(std::uint64_t{1} << (index / 16)) / 16.0;
    }
    return max_;
  }
  double max() const { return max_; }

 private:
  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(64 * 16);
  std::uint64_t count_ = 0;
  double max_ = 0;
};

// What came of one flow.
class Flow {
 public:
  enum class Arrival { kFirst, kLate, kAgain };

  Arrival add(std::uint64_t sequence) {
    const std::size_t word = sequence / 64;
    if (word >= seen_.size()) seen_.resize(std::max(word + 1, seen_.size() * 2));
    const std::uint64_t bit = std::uint64_t{1} << (sequence % 64);
    if ((seen_[word] & bit) != 0) return Arrival::kAgain;
    seen_[word] |= bit;
    count_++;
    if (sequence < end_) return Arrival::kLate;
    end_ = sequence + 1;
    return Arrival::kFirst;
  }
  std::uint64_t missing() const { return end_ - count_; }

 private:
  // Room for a second at full rate before the first datagram comes.
  std::vector<std::uint64_t> seen_ = std::vector<std::uint64_t>(16 * 1024);
  std::uint64_t end_ = 0;
  std::uint64_t count_ = 0;
};

// One connected socket a flow.
int connect_flows(const UdpSend& options, std::vector<Descriptor>* sockets) {
  for (int flow = 0; flow < options.flows; flow++) {
    Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket.get() < 0) return -errno;
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) < 0) return -errno;
    sockets->push_back(std::move(socket));
  }
  return 0;
}

// Sleeps until a burst is due; without a rate every burst is.
void pace(const UdpSend& options, std::int64_t start, double handed_over) {
  if (options.frames_per_second <= 0) return;
  const auto due = start + static_cast<std::int64_t>(handed_over / options.frames_per_second * 1e9);
  const timespec until{.tv_sec = due / 1'000'000'000, .tv_nsec = due % 1'000'000'000};
  while (monotonic_nanos() < due && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

}  // namespace

int udp_send(const UdpSend& options, double* report) {
  std::vector<Descriptor> sockets;
  const int connected = connect_flows(options, &sockets);
  if (connected < 0) return connected;

  const auto burst = static_cast<std::size_t>(options.burst);
  const auto payload = static_cast<std::size_t>(options.payload_bytes);
  std::vector<std::uint8_t> memory(burst * payload);
  std::vector<iovec> segments(burst);
  std::vector<mmsghdr> messages(burst);
  for (std::size_t index = 0; index < burst; index++) {
    segments[index] = {.iov_base = memory.data() + index * payload, .iov_len = payload};
    messages[index].msg_hdr.msg_iov = &segments[index];
    messages[index].msg_hdr.msg_iovlen = 1;
  }
  std::vector<std::uint64_t> sequences(sockets.size());

  const std::int64_t cpu = thread_cpu_nanos();
  const std::int64_t start = monotonic_nanos();
  std::int64_t now = start;
  double sent = 0;
  double refused = 0;
  for (std::size_t flow = 0; now - start < options.duration_nanos; flow = (flow + 1) % sockets.size()) {
    pace(options, start, sent + refused);
    now = monotonic_nanos();
    std::size_t count = burst;
    if (options.frames > 0) {
      if (sent >= options.frames) break;
      count = std::min(count, static_cast<std::size_t>(options.frames - sent));
    }
    for (std::size_t index = 0; index < count; index++) {
      write_header(memory.data() + index * payload,
                   {.sequence = sequences[flow] + index, .sent_nanos = now, .flow = static_cast<std::uint16_t>(flow)});
    }
    const int taken = sendmmsg(sockets[flow].get(), messages.data(), static_cast<unsigned>(count), 0);
    if (taken > 0) {
      // Sequence numbers count what the kernel took: what it refuses was never offered to the bridge.
      sequences[flow] += static_cast<std::uint64_t>(taken);
      sent += taken;
    } else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED) {
      // ECONNREFUSED reports that the receiver has closed its socket: an answer to an earlier datagram.
      refused += 1;
    } else if (errno != EINTR) {
      return -errno;
    }
    now = monotonic_nanos();
  }
  report[kFrames] = sent;
  report[kBytes] = sent * static_cast<double>(payload);
  report[kMicros] = static_cast<double>(now - start) / 1e3;
  report[kRefused] = refused;
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

int udp_receive(const UdpReceive& options, double* report) {
  const auto payload = static_cast<std::size_t>(options.payload_bytes);
  // One byte more than a datagram of ours has, so that longer ones show.
  const std::size_t slot = payload + 1;
  std::vector<std::uint8_t> memory(kReceiveBurst * slot);
  std::vector<iovec> segments(kReceiveBurst);
  std::vector<mmsghdr> messages(kReceiveBurst);
  for (std::size_t index = 0; index < kReceiveBurst; index++) {
    segments[index] = {.iov_base = memory.data() + index * slot, .iov_len = slot};
    messages[index].msg_hdr.msg_iov = &segments[index];
    messages[index].msg_hdr.msg_iovlen = 1;
  }
  std::vector<Flow> flows(static_cast<std::size_t>(options.flows));
  Histogram delays;

  const std::int64_t begin = monotonic_nanos();
  const std::int64_t cpu = thread_cpu_nanos();
  std::int64_t first = -1;
  std::int64_t last = -1;
  double frames = 0;
  double duplicated = 0;
  double reordered = 0;
  double foreign = 0;
  for (;;) {
    const int count = recvmmsg(options.descriptor, messages.data(), kReceiveBurst, MSG_DONTWAIT, nullptr);
    if (count < 0) {
      if (errno == EINTR || errno == ECONNREFUSED) continue;
      if (errno != EAGAIN) return -errno;
      const int ready = wait_for(options.descriptor, POLLIN, first < 0 ? options.start_nanos : options.idle_nanos);
      if (ready < 0) return ready;
      if (ready == 0) break;
      continue;
    }
    const std::int64_t now = monotonic_nanos();
    for (int index = 0; index < count; index++) {
      const Header header = read_header(memory.data() + static_cast<std::size_t>(index) * slot);
      if (messages[static_cast<std::size_t>(index)].msg_len != payload || header.flow >= flows.size() ||
          header.sequence >= kMaxSequence || header.sent_nanos > now || header.sent_nanos < begin - options.limit_nanos) {
        foreign += 1;
        continue;
      }
      const Flow::Arrival arrival = flows[header.flow].add(header.sequence);
      if (arrival == Flow::Arrival::kAgain) {
        duplicated += 1;
        continue;
      }
      if (arrival == Flow::Arrival::kLate) reordered += 1;
      if (first < 0) first = now;
      last = now;
      frames += 1;
      delays.add(now - header.sent_nanos);
    }
    if (now - begin > options.limit_nanos) break;
  }
  double missing = 0;
  for (const Flow& flow : flows) missing += static_cast<double>(flow.missing());
  report[kFrames] = frames;
  report[kBytes] = frames * static_cast<double>(payload);
  report[kMicros] = static_cast<double>(last - first) / 1e3;
  report[kDuplicated] = duplicated;
  report[kReordered] = reordered;
  report[kMissing] = missing;
  report[kForeign] = foreign;
  report[kDelayMedian] = frames > 0 ? delays.quantile(0.5) : 0;
  report[kDelayP99] = frames > 0 ? delays.quantile(0.99) : 0;
  report[kDelayMax] = delays.max();
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

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
int udp_ask(const UdpAsk& options, double* report) {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) < 0) return -errno;
  const timeval limit{.tv_sec = options.timeout_nanos / 1'000'000'000, .tv_usec = options.timeout_nanos % 1'000'000'000 / 1000};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) return -errno;

  std::vector<std::uint8_t> question(static_cast<std::size_t>(options.payload_bytes));
  std::vector<std::uint8_t> answer(question.size());
  std::vector<std::int64_t> delays;
  delays.reserve(static_cast<std::size_t>(options.count));
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
    if (answered == sequence) delays.push_back(monotonic_nanos() - sent);
  }
  report[kFrames] = static_cast<double>(delays.size());
  report[kMissing] = options.count - static_cast<double>(delays.size());
  report[kMicros] = static_cast<double>(monotonic_nanos() - start) / 1e3;
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  if (!delays.empty()) {
    std::sort(delays.begin(), delays.end());
    report[kDelayMedian] = static_cast<double>(delays[delays.size() / 2]);
    report[kDelayP99] = static_cast<double>(delays[delays.size() * 99 / 100]);
    report[kDelayMax] = static_cast<double>(delays.back());
  }
  return 0;
}

}  // namespace traffic
