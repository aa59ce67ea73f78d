// UDP generator. Flows take turns datagram by datagram, and yet a whole burst is one system call: one flow is a connected socket, several are
// one unconnected socket whose messages name their source address (IP_PKTINFO). The addresses need not be the host's (IP_TRANSPARENT, so
// CAP_NET_ADMIN or CAP_NET_RAW): nobody answers. Where sources are looked at, the messages differ by their destination address instead. An unconnected socket looks up a route per datagram, so rates of one flow and of several are
// comparable among drivers, not with each other.
#include "udp.h"

#include <errno.h>
#include <string.h>

#include <array>
#include <vector>

namespace traffic {
namespace {

using Control = std::array<std::uint8_t, CMSG_SPACE(sizeof(in_pktinfo))>;

bool by_destination(const UdpSend& options) { return options.source.sin_addr.s_addr == htonl(INADDR_ANY); }

int open_sender(const UdpSend& options, Descriptor* out) {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  const int on = 1;
  int failed = 0;
  if (options.load.flows == 1) {
    failed = connect(socket.get(), reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target);
  } else if (!by_destination(options)) {
    failed = setsockopt(socket.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on);
  }
  if (failed < 0) return -errno;
  *out = std::move(socket);
  return 0;
}

// The control message that makes `address` the source.
void name_source(msghdr* header, in_addr address) {
  cmsghdr* const message = CMSG_FIRSTHDR(header);
  message->cmsg_level = SOL_IP;
  message->cmsg_type = IP_PKTINFO;
  message->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_spec_dst = address;
  memcpy(CMSG_DATA(message), &info, sizeof info);
}

}  // namespace

int udp_send(const UdpSend& options, double* report) {
  Descriptor socket;
  const int opened = open_sender(options, &socket);
  if (opened < 0) return opened;

  const auto burst = static_cast<std::size_t>(options.load.burst);
  const bool unconnected = options.load.flows > 1;
  Messages messages(burst, static_cast<std::size_t>(options.load.payload_bytes));
  const bool toward_many = unconnected && by_destination(options);
  std::vector<Control> controls(unconnected && !toward_many ? burst : 0);
  std::vector<sockaddr_in> targets(unconnected ? burst : 0, options.target);
  for (std::size_t index = 0; index < targets.size(); index++) {
    msghdr& header = messages.header(index);
    header.msg_name = &targets[index];
    header.msg_namelen = sizeof targets[index];
    if (toward_many) continue;
    header.msg_control = controls[index].data();
    header.msg_controllen = controls[index].size();
  }
  const std::uint32_t source = ntohl(options.source.sin_addr.s_addr);
  const std::uint32_t target = ntohl(options.target.sin_addr.s_addr);
  const auto prepare = [&](std::size_t index, std::uint64_t, std::uint16_t flow) {
    if (toward_many) targets[index].sin_addr.s_addr = htonl(target + flow);
    else if (unconnected) name_source(&messages.header(index), {.s_addr = htonl(source + flow)});
  };
  return send_probes(socket.get(), messages, 0, options.load, prepare, report);
}

}  // namespace traffic
