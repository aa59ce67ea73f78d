#include "icmp_echo.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "clock.h"
#include "descriptor.h"

namespace tapbridge {
namespace {

constexpr size_t kMaxMessage = 65535;

// RFC 1071.
uint16_t checksum(const uint8_t* bytes, size_t length) {
  uint32_t sum = 0;
  for (size_t at = 0; at + 1 < length; at += 2) {
    uint16_t word;
    std::memcpy(&word, bytes + at, sizeof word);
    sum += word;
  }
  if (length % 2 != 0) {
    uint16_t word = 0;
    std::memcpy(&word, bytes + length - 1, 1);
    sum += word;
  }
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~(sum + (sum >> 16)));
}

int64_t nanos_of(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

// The clock of SO_TIMESTAMPNS.
int64_t real_nanos() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanos_of(now);
}

bool stamp_arrivals(int socket) {
  const int on = 1;
  return ::setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0;
}

// The kernel patches its code when the first socket wants stamps and when the last one goes (net_enable_timestamp, net/core/dev.c), which
// interrupts every core. A socket that stays keeps that out of what is measured.
void keep_stamping() {
  thread_local const Descriptor keeper(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  thread_local const bool stamping = keeper && stamp_arrivals(keeper.get());
  static_cast<void>(stamping);
}

// When the kernel received the message; now, should it not say.
int64_t arrival_nanos(const msghdr& message) {
  const cmsghdr* const first = CMSG_FIRSTHDR(&message);
  if (first == nullptr || first->cmsg_level != SOL_SOCKET || first->cmsg_type != SCM_TIMESTAMPNS) {
    return real_nanos();
  }
  timespec arrival{};
  std::memcpy(&arrival, CMSG_DATA(first), sizeof arrival);
  return nanos_of(arrival);
}

}  // namespace

int64_t icmp_echo(const std::string& address, uint16_t sequence, int payload_bytes, int64_t timeout_millis) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  if (::inet_pton(AF_INET, address.c_str(), &target.sin_addr) != 1) {
    return -EINVAL;
  }
  // A raw socket needs CAP_NET_RAW; a datagram socket only net.ipv4.ping_group_range, and then the kernel chooses the identifier.
  bool raw = true;
  Descriptor socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
  if (!socket && errno == EPERM) {
    raw = false;
    socket.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
  }
  if (!socket) {
    return -errno;
  }
  // Connected, so that only this host is heard and its ICMP errors come back as errno.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    return -errno;
  }
  const std::unique_ptr<uint8_t[]> buffer(new (std::nothrow) uint8_t[kMaxMessage]());
  if (buffer == nullptr) {
    return -ENOMEM;
  }
  // One for the life of the thread, as ping(8) has one for its own: a gateway on the way tracks the identifier, not the echo.
  static thread_local uint16_t identifier = 0;
  if (identifier == 0 && ::getrandom(&identifier, sizeof identifier, 0) != sizeof identifier) {
    return -errno;
  }
  icmphdr request{};
  request.type = ICMP_ECHO;
  request.un.echo.id = identifier;
  request.un.echo.sequence = htons(sequence);
  const size_t length = sizeof request + static_cast<size_t>(payload_bytes);
  for (int at = 0; at < payload_bytes; at++) {
    buffer[sizeof request + static_cast<size_t>(at)] = static_cast<uint8_t>(at);
  }
  std::memcpy(buffer.get(), &request, sizeof request);
  request.checksum = checksum(buffer.get(), length);
  std::memcpy(buffer.get(), &request, sizeof request);

  keep_stamping();
  // As ping does: the answer counts when the kernel had it (SO_TIMESTAMPNS), not when this process was awake again. Waking a process on
  // another core costs as much as the whole way of the frame, and is the asker's affair, not that of what lies between.
  if (!stamp_arrivals(socket.get())) {
    return -errno;
  }
  const int64_t deadline = monotonic_nanos() + timeout_millis * 1'000'000;
  const int64_t start = real_nanos();
  if (::send(socket.get(), buffer.get(), length, 0) < 0) {
    return -errno;
  }
  for (;;) {
    iovec room{buffer.get(), kMaxMessage};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
    msghdr message{};
    message.msg_iov = &room;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t count = ::recvmsg(socket.get(), &message, 0);
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
      return -errno;
    }
    if (count > 0) {
      const size_t at = raw ? size_t{buffer[0] & 0x0fU} * 4 : 0;
      icmphdr reply;
      if (static_cast<size_t>(count) >= at + sizeof reply) {
        std::memcpy(&reply, buffer.get() + at, sizeof reply);
        if (reply.type == ICMP_ECHOREPLY && reply.un.echo.sequence == request.un.echo.sequence && (!raw || reply.un.echo.id == identifier)) {
          return std::max<int64_t>(0, arrival_nanos(message) - start);
        }
      }
    }
    // Looked at after each message too: a host that sends others for ever must not hold the caller.
    const int64_t now = monotonic_nanos();
    if (now >= deadline) {
      return -ETIMEDOUT;
    }
    if (count < 0) {
      pollfd poll{socket.get(), POLLIN, 0};
      static_cast<void>(::poll(&poll, 1, static_cast<int>(std::min<int64_t>((deadline - now - 1) / 1'000'000 + 1, 60'000))));
    }
  }
}

}  // namespace tapbridge
