// AF_PACKET sockets bound to one interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tapbridge {

struct PacketRequest {
  std::string interface;
  int netns = -1;
  bool vnet_header = false;
  bool promiscuous = false;
  bool ignore_outgoing = false;
  // A socket of the same interface to share its frames with: each frame goes to one of the two, a flow always to the same. -1: none.
  int fanout_with = -1;
};

// A non-blocking descriptor or -errno.
int open_packet(const PacketRequest& request);
// 0 when the descriptor is a raw packet socket whose vnet header has exactly that size (0: none), else -errno.
int check_packet(int descriptor, int header_bytes);
// What the socket hears from now on, in place of a filter before: an eBPF program of type SOCKET_FILTER, or instructions of classic BPF
// (struct sock_filter, 8 bytes each). 0 or -errno: -EINVAL for what is no raw packet socket.
int set_filter(int socket, int program);
int set_classic_filter(int socket, const uint8_t* code, size_t bytes);

}  // namespace tapbridge
