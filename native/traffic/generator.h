// The sending loop that datagrams and frames share: probes on a schedule, a burst a system call, all memory made before the trial.
#pragma once

#include <errno.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "histogram.h"
#include "messages.h"
#include "probe.h"
#include "schedule.h"
#include "traffic.h"

namespace traffic {

struct Load {
  int flows = 1;  // take turns, probe by probe; sequence numbers run in each
  int payload_bytes = 18;
  int burst = 64;
  std::int64_t duration_nanos = 0;
  double frames = 0;             // 0: until the duration is over
  double frames_per_second = 0;  // 0: as fast as the kernel takes them
  int token = 0;
  bool integrity = false;
};

// Sends `load` over `fd`. The payload stands `header_bytes` into each slot; `prepare(index, number, flow)` writes what is before it or in the
// message, for the `number`th probe. The report's delays are those of the sender behind its schedule. Returns 0 or -errno.
template <typename Prepare>
int send_probes(int fd, Messages& messages, std::size_t header_bytes, const Load& load, Prepare prepare, double* report) {
  const auto flows = static_cast<std::uint64_t>(load.flows);
  const auto payload = static_cast<std::size_t>(load.payload_bytes);
  const auto token = static_cast<std::uint16_t>(load.token);
  Schedule schedule(load.frames_per_second, static_cast<std::size_t>(load.burst));
  DelayCounts late;

  const std::int64_t cpu = thread_cpu_nanos();
  const std::int64_t start = monotonic_nanos();
  const std::int64_t end = start + load.duration_nanos;
  schedule.start(start);
  std::uint64_t sent = 0;
  double refused = 0;
  double calls = 0;
  for (;;) {
    const double next = static_cast<double>(sent) + refused;
    if (load.frames > 0 && static_cast<double>(sent) >= load.frames) break;
    std::size_t count = schedule.wait(next, end);
    if (schedule.now() >= end) break;
    if (load.frames > 0) count = static_cast<std::size_t>(std::min(static_cast<double>(count), load.frames - static_cast<double>(sent)));
    for (std::size_t index = 0; index < count; index++) {
      // Numbers count what the kernel took: what it refuses was never offered to the bridge.
      const std::uint64_t number = sent + index;
      const Probe probe{.token = token,
                        .flow = static_cast<std::uint16_t>(number % flows),
                        .sequence = static_cast<std::uint32_t>(number / flows),
                        .sent_nanos = schedule.stamp(next + static_cast<double>(index))};
      write_probe(messages.slot(index) + header_bytes, probe);
      if (load.integrity) write_filling(messages.slot(index) + header_bytes, payload, probe);
      prepare(index, number, probe.flow);
      if (load.frames_per_second > 0) late.histogram.add(schedule.now() - probe.sent_nanos);
    }
    const int taken = messages.send(fd, count);
    calls += 1;
    if (taken > 0) {
      sent += static_cast<std::uint64_t>(taken);
    } else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED) {
      // ECONNREFUSED reports that the receiver has closed its socket: an answer to an earlier datagram.
      refused += 1;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  report[kFrames] = static_cast<double>(sent);
  report[kBytes] = static_cast<double>(sent * payload);
  report[kMicros] = static_cast<double>(monotonic_nanos() - start) / 1e3;
  report[kRefused] = refused;
  report[kDelayMedian] = late.histogram.quantile(0.5);
  report[kDelayP99] = late.histogram.quantile(0.99);
  report[kDelayMax] = late.histogram.max();
  report[kCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  report[kSystemCalls] = calls;
  return 0;
}

}  // namespace traffic
