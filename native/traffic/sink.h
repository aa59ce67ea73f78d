// The receiving end of datagrams and frames. See sink.cc.
#pragma once

#include <cstddef>
#include <cstdint>

namespace traffic {

struct Sink {
  int descriptor = -1;
  int header_bytes = 0;  // before the payload: 0 of a datagram, 14 of a frame
  int flows = 1;
  int payload_bytes = 18;
  std::int64_t start_nanos = 0;  // how long to wait for the first probe
  std::int64_t idle_nanos = 0;   // silence that ends the trial
  std::int64_t limit_nanos = 0;  // longest trial
  int token = 0;
  bool integrity = false;
};

// `report` has kCells, `delays` kDelayBuckets cells, all zeroed. Returns 0 or -errno.
int sink_receive(const Sink& options, double* report, double* delays);

}  // namespace traffic
