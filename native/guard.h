// The guard: which frames from an uplink belong to the gateway and which to the host's stack, told by one eBPF map of bitmaps that
// TypeScript writes through a mapping (src/nat/port-guard.ts draws its layout; guard.cc has the theory of operation).
#pragma once

#include <cstddef>
#include <memory>

#include "mapping.h"

namespace tapbridge {

// Each returns a descriptor or -errno.
int open_guard();
// The program for a classifier at ingress (BPF_PROG_TYPE_SCHED_CLS, direct action).
int guard_program(int guard);
// Attached by a link (tcx, Linux 6.6): the attachment ends with the last descriptor of it. -1: the caller's namespace.
int attach_guard(int guard, int interface_index, int netns);

// The whole map, shared with the kernel and with everybody who maps it. Null, and a negative errno in `error`.
std::shared_ptr<Mapping> map_guard(int guard, int& error);

// Lets only the gateway's frames into a packet socket. 0 or -errno.
int filter_packet(int packet_socket, int guard);

}  // namespace tapbridge
