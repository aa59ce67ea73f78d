#pragma once

#include <cstdint>
#include <string>

namespace tapbridge {

// One echo request to an IPv4 address from the calling thread's namespace; blocks. Round trip in nanoseconds or -errno.
int64_t icmp_echo(const std::string& address, uint16_t sequence, int payload_bytes, int64_t timeout_millis);

}  // namespace tapbridge
