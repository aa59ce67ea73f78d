// The 802.1Q tag of frames from packet sockets, which the kernel takes out and tells beside the frame.
#pragma once

#include <sys/socket.h>

#include <cstdint>

namespace tapbridge {

constexpr int kTagBytes = 4;

// Puts the tag back that PACKET_AUXDATA of `message` tells of, and returns by how many bytes the frame starts earlier: kTagBytes or 0. Before
// `frame` lie the vnet header and kTagBytes to spare; with `vnet_header` that header is moved on with what it points at.
int restore_tag(const msghdr& message, uint8_t* frame, int64_t length, bool vnet_header);

}  // namespace tapbridge
