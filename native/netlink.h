// NETLINK_ROUTE sockets: raw messages in and out; TypeScript writes and reads what is in them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tapbridge {

// A descriptor or -errno.
int open_netlink(int netns, uint32_t groups);
// Bytes of the answer or -errno.
int netlink_request(int descriptor, const uint8_t* request, size_t request_bytes, uint8_t* reply, size_t reply_bytes, int64_t timeout_millis);
// Bytes of the notifications or -errno.
int netlink_read(int descriptor, uint8_t* into, size_t bytes);

}  // namespace tapbridge
