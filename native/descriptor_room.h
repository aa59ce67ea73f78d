// Room in the process's table of descriptors, made before it is needed.
//
// The kernel doubles the table when a number does not fit, and the call that asked waits for a grace period when the process has threads (fs/file.c,
// expand_fdtable): 5 to 20 ms at the 64th, 128th, 256th ... descriptor, in the middle of attaching a port. Here it is a thread that waits; whoever ends the object before waits for it.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>

#include "descriptor.h"

namespace tapbridge {

class DescriptorRoom {
 public:
  DescriptorRoom() = default;
  DescriptorRoom(const DescriptorRoom&) = delete;
  DescriptorRoom& operator=(const DescriptorRoom&) = delete;

  ~DescriptorRoom() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  // For numbers below `count`, or as many as the process may have. Where it fails, the kernel makes room when it is needed.
  void make(int64_t count) {
    rlimit limit{};
    Descriptor low(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (thread_.joinable() || !low || ::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == 0) {
      return;
    }
    const int last = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(count), limit.rlim_cur) - 1);
    try {
      thread_ = std::thread([last, low = std::move(low)] { const Descriptor high(::fcntl(low.get(), F_DUPFD_CLOEXEC, last)); });
    } catch (const std::system_error&) {
    }
  }

 private:
  std::thread thread_;
};

}  // namespace tapbridge
