#include "packet_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "descriptor.h"
#include "netns.h"
#include "vnet_header.h"

// include/uapi/linux/if_packet.h since Linux 6.4; older headers lack it.
#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
// Since Linux 5.11: a group has one hook of its own, to which what its sockets asked for by PACKET_IGNORE_OUTGOING means nothing.
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

namespace tapbridge {
namespace {

// A burst of 64 super-frames waits without loss. The kernel doubles the number for its bookkeeping (socket(7)).
constexpr int kBufferBytes = 8 << 20;

int set_option(int socket, int level, int option, int value) {
  return ::setsockopt(socket, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

// Beyond net.core.?mem_max with CAP_NET_ADMIN, else as far as that limit allows.
void size_buffer(int socket, int forced, int plain) {
  if (set_option(socket, SOL_SOCKET, forced, kBufferBytes) < 0) {
    set_option(socket, SOL_SOCKET, plain, kBufferBytes);
  }
}

int configure(int socket, const PacketRequest& request, int index) {
  struct Option {
    bool wanted;
    int option;
    int value;
  };
  const Option options[] = {
      {request.vnet_header, PACKET_VNET_HDR_SZ, kVnetBytes},
      {true, PACKET_AUXDATA, 1},  // carries the VLAN tag the kernel took out of the frame
      {request.ignore_outgoing, PACKET_IGNORE_OUTGOING, 1},
      {true, PACKET_QDISC_BYPASS, 1},
  };
  for (const Option& each : options) {
    const int result = each.wanted ? set_option(socket, SOL_PACKET, each.option, each.value) : 0;
    if (result < 0) {
      return result;
    }
  }
  if (request.promiscuous) {
    packet_mreq membership{};
    membership.mr_ifindex = index;
    membership.mr_type = PACKET_MR_PROMISC;
    if (::setsockopt(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0) {
      return -errno;
    }
  }
  size_buffer(socket, SO_RCVBUFFORCE, SO_RCVBUF);
  size_buffer(socket, SO_SNDBUFFORCE, SO_SNDBUF);
  return 0;
}

// Until it has joined its group a socket would hear every frame that another of the group hears too.
int set_deaf(int socket, bool deaf) {
  if (!deaf) {
    return set_option(socket, SOL_SOCKET, SO_DETACH_FILTER, 0);
  }
  sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  const sock_fprog program{1, nothing};
  return ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}

// Puts the socket into the group of `leader`, which is made when there is none yet. Frames are dealt by the same hash that deals them to the
// queues of a TAP, whatever their direction.
int join_fanout(int socket, int leader, bool ignore_outgoing) {
  const int kind = PACKET_FANOUT_HASH | (ignore_outgoing ? PACKET_FANOUT_FLAG_IGNORE_OUTGOING : 0);
  const int made = set_option(leader, SOL_PACKET, PACKET_FANOUT, (kind | PACKET_FANOUT_FLAG_UNIQUEID) << 16);
  if (made < 0 && made != -EALREADY) {
    return made;
  }
  int group = 0;
  socklen_t bytes = sizeof group;
  if (::getsockopt(leader, SOL_PACKET, PACKET_FANOUT, &group, &bytes) != 0) {
    return -errno;
  }
  return set_option(socket, SOL_PACKET, PACKET_FANOUT, (group & 0xffff) | kind << 16);
}

int check_raw(int descriptor) {
  int value = 0;
  socklen_t bytes = sizeof value;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &value, &bytes) != 0) {
    return errno == EBADF ? -EBADF : -EINVAL;
  }
  if (value != AF_PACKET) {
    return -EINVAL;
  }
  bytes = sizeof value;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &value, &bytes) == 0 && value == SOCK_RAW ? 0 : -EINVAL;
}

}  // namespace

int open_packet(const PacketRequest& request) {
  if (request.interface.empty()) {
    return -EINVAL;
  }
  if (request.interface.size() >= IFNAMSIZ) {
    return -ENAMETOOLONG;
  }
  const NetnsVisit visit(request.netns);
  if (visit.error() != 0) {
    return visit.error();
  }
  // Protocol 0 hears nothing: frames of other interfaces cannot slip in before bind names ours.
  Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) {
    return -errno;
  }
  ifreq query{};
  std::memcpy(query.ifr_name, request.interface.data(), request.interface.size());
  if (::ioctl(socket.get(), SIOCGIFINDEX, &query) != 0) {
    return -errno;
  }
  const int index = query.ifr_ifindex;
  int result = configure(socket.get(), request, index);
  if (result == 0 && request.fanout_with >= 0) {
    result = set_deaf(socket.get(), true);
  }
  if (result < 0) {
    return result;
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return -errno;
  }
  // Binding to an interface that is down leaves ENETDOWN waiting (packet_do_bind). Take it: the socket starts to hear when it comes up.
  int pending = 0;
  socklen_t bytes = sizeof pending;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &pending, &bytes);
  if (request.fanout_with >= 0) {
    result = join_fanout(socket.get(), request.fanout_with, request.ignore_outgoing);
    if (result == 0) {
      result = set_deaf(socket.get(), false);
    }
    if (result < 0) {
      return result;
    }
  }
  return socket.release();
}

int check_packet(int descriptor, int header_bytes) {
  const int kind = check_raw(descriptor);
  if (kind < 0) {
    return kind;
  }
  int value = 0;
  socklen_t bytes = sizeof value;
  if (::getsockopt(descriptor, SOL_PACKET, PACKET_VNET_HDR_SZ, &value, &bytes) != 0) {
    value = 0;  // a kernel without the option cannot have been asked for the header
  }
  return value == header_bytes ? 0 : -EINVAL;
}

int set_filter(int socket, int program) {
  const int kind = check_raw(socket);
  return kind < 0 ? kind : set_option(socket, SOL_SOCKET, SO_ATTACH_BPF, program);
}

int set_classic_filter(int socket, const uint8_t* code, size_t bytes) {
  if (bytes == 0 || bytes % sizeof(sock_filter) != 0 || bytes / sizeof(sock_filter) > BPF_MAXINSNS) {
    return -EINVAL;
  }
  const int kind = check_raw(socket);
  if (kind < 0) {
    return kind;
  }
  sock_filter instructions[BPF_MAXINSNS];
  std::memcpy(instructions, code, bytes);  // the bytes may lie anywhere, the structure wants alignment
  const sock_fprog program{static_cast<unsigned short>(bytes / sizeof(sock_filter)), instructions};
  return ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}

}  // namespace tapbridge
