// The sink of datagrams and frames. It reads what has come, up to a burst a system call, and sleeps when there is nothing; the receive time is
// read once a burst, after the call, so a delay ends when the program has its datagram.
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>

#include <algorithm>
#include <vector>

#include "arrivals.h"
#include "histogram.h"
#include "messages.h"
#include "probe.h"
#include "sink.h"
#include "traffic.h"

namespace traffic {
namespace {

constexpr std::size_t kBurst = 64;
// For all flows together, allotted before the trial: 67 million datagrams.
constexpr std::size_t kArrivalBits = std::size_t{8} << 23;

// What came when the socket's buffer was full: lost by this end, not by the bridge.
double dropped_by_socket(int fd) {
  std::uint32_t cells[SK_MEMINFO_VARS]{};
  socklen_t length = sizeof cells;
  return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, cells, &length) == 0 ? cells[SK_MEMINFO_DROPS] : 0;
}

}  // namespace

int sink_receive(const Sink& options, double* report, double* delays) {
  const auto payload = static_cast<std::size_t>(options.payload_bytes);
  const auto header = static_cast<std::size_t>(options.header_bytes);
  const auto token = static_cast<std::uint16_t>(options.token);
  // One byte more than ours have, so that longer ones show.
  Messages messages(kBurst, header + payload + 1);
  std::vector<Arrivals> flows(static_cast<std::size_t>(options.flows), Arrivals(kArrivalBits / static_cast<std::size_t>(options.flows)));
  DelayHistogram histogram(delays);

  const std::int64_t begin = monotonic_nanos();
  const std::int64_t cpu = thread_cpu_nanos();
  std::int64_t first = -1;
  std::int64_t last = -1;
  bool heard = false;
  double frames = 0;
  double duplicated = 0;
  double reordered = 0;
  double foreign = 0;
  double corrupt = 0;
  double calls = 0;
  for (;;) {
    const int count = messages.receive(options.descriptor);
    calls += 1;
    if (count < 0) {
      if (errno == EINTR || errno == ECONNREFUSED) continue;
      if (errno != EAGAIN) return -errno;
      const int ready = wait_for(options.descriptor, POLLIN, !heard ? options.start_nanos : options.idle_nanos);
      if (ready < 0) return ready;
      if (ready == 0) break;
      continue;
    }
    const std::int64_t now = monotonic_nanos();
    heard = true;
    for (std::size_t index = 0; index < static_cast<std::size_t>(count); index++) {
      const std::uint8_t* const bytes = messages.slot(index) + header;
      const std::size_t length = messages.length(index);
      Probe probe{};
      const Reading reading = length < header + kProbeBytes ? Reading::kForeign : read_probe(bytes, token, &probe);
      const bool expected = probe.flow < flows.size() && probe.sequence < Arrivals::kMaxSequence;
      if (reading == Reading::kForeign || (reading == Reading::kOurs && !expected)) {
        foreign += 1;
        continue;
      }
      if (reading == Reading::kCorrupt || length != header + payload ||
          (options.integrity && !filling_is_intact(bytes, payload, probe))) {
        corrupt += 1;
        continue;
      }
      const Arrivals::Arrival arrival = flows[probe.flow].add(probe.sequence);
      if (arrival == Arrivals::Arrival::kAgain) {
        duplicated += 1;
        continue;
      }
      if (arrival == Arrivals::Arrival::kLate) reordered += 1;
      if (first < 0) first = now;
      last = now;
      frames += 1;
      histogram.add(now - probe.sent_nanos);
    }
    if (now - begin > options.limit_nanos) break;
  }
  for (const Arrivals& flow : flows) report[kMissing] += static_cast<double>(flow.missing());
  report[kFrames] = frames;
  report[kBytes] = frames * static_cast<double>(payload);
  report[kMicros] = static_cast<double>(last - first) / 1e3;
  report[kDuplicated] = duplicated;
  report[kReordered] = reordered;
  report[kForeign] = foreign;
  report[kCorrupt] = corrupt;
  report[kDropped] = dropped_by_socket(options.descriptor);
  report[kDelayMedian] = histogram.quantile(0.5);
  report[kDelayP99] = histogram.quantile(0.99);
  report[kDelayMax] = histogram.max();
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  report[kSystemCalls] = calls;
  return 0;
}

}  // namespace traffic
