#include "netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "clock.h"
#include "descriptor.h"
#include "netns.h"

namespace tapbridge {
namespace {

// The kernel fills dumps up to the reader's buffer, at most 32 KiB at a time (net/netlink/af_netlink.c, netlink_dump). Twice that.
constexpr size_t kDatagramBytes = 64 << 10;
// Notifications of a few hundred interfaces that change at once.
constexpr int kBufferBytes = 1 << 20;

int check_netlink(int descriptor) {
  int protocol = 0;
  int domain = 0;
  socklen_t bytes = sizeof(int);
  if (::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) != 0) {
    return errno == EBADF ? -EBADF : -EINVAL;
  }
  bytes = sizeof(int);
  if (domain != AF_NETLINK || ::getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &protocol, &bytes) != 0 || protocol != NETLINK_ROUTE) {
    return -EINVAL;
  }
  return 0;
}

// One datagram from the kernel into `into`; its whole length even when it was cut, or -errno. Other senders are passed over.
ssize_t receive_datagram(int descriptor, void* into, size_t bytes, int flags) {
  for (;;) {
    sockaddr_nl sender{};
    iovec target{into, bytes};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &target;
    message.msg_iovlen = 1;
    const ssize_t length = ::recvmsg(descriptor, &message, flags | MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0 && errno == EINTR) {
      continue;
    }
    if (length < 0) {
      return -errno;
    }
    if (sender.nl_pid == 0) {
      return length;
    }
    if ((flags & MSG_PEEK) != 0) {
      static_cast<void>(::recv(descriptor, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC));
    }
  }
}

int wait_readable(int descriptor, int64_t deadline) {
  for (;;) {
    const int64_t left = deadline - monotonic_nanos();
    if (left <= 0) {
      return -ETIMEDOUT;
    }
    pollfd poll{descriptor, POLLIN, 0};
    const int count = ::poll(&poll, 1, static_cast<int>(std::min<int64_t>((left - 1) / 1'000'000 + 1, 60'000)));
    if (count > 0) {
      return 0;
    }
    if (count < 0 && errno != EINTR) {
      return -errno;
    }
  }
}

}  // namespace

int open_netlink(int netns, uint32_t groups) {
  const NetnsVisit visit(netns);
  if (visit.error() != 0) {
    return visit.error();
  }
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket) {
    return -errno;
  }
  // The kernel's own words about an error come as attributes behind it.
  const int one = 1;
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof kBufferBytes) != 0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof kBufferBytes);
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return -errno;
  }
  return socket.release();
}

int netlink_request(int descriptor, const uint8_t* request, size_t request_bytes, uint8_t* reply, size_t reply_bytes, int64_t timeout_millis) {
  const int kind = check_netlink(descriptor);
  if (kind < 0) {
    return kind;
  }
  nlmsghdr asked;
  if (request_bytes < sizeof asked) {
    return -EINVAL;
  }
  std::memcpy(&asked, request, sizeof asked);
  if (asked.nlmsg_len < sizeof asked || asked.nlmsg_len > request_bytes || asked.nlmsg_seq == 0) {
    return -EINVAL;
  }
  // An acknowledgement that was asked for ends the answer; without one the first message that is not part of a list does.
  const bool acknowledged = (asked.nlmsg_flags & NLM_F_ACK) != 0;
  const std::unique_ptr<uint8_t[]> datagram(new (std::nothrow) uint8_t[kDatagramBytes]);
  if (datagram == nullptr) {
    return -ENOMEM;
  }

  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  while (::sendto(descriptor, request, request_bytes, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    if (errno != EINTR) {
      return -errno;
    }
  }

  const int64_t deadline = monotonic_nanos() + timeout_millis * 1'000'000;
  size_t gathered = 0;
  bool cut = false;
  for (;;) {
    const ssize_t length = receive_datagram(descriptor, datagram.get(), kDatagramBytes, 0);
    if (length == -EAGAIN) {
      const int result = wait_readable(descriptor, deadline);
      if (result < 0) {
        return result;
      }
      continue;
    }
    if (length < 0) {
      return static_cast<int>(length);
    }
    if (length > static_cast<ssize_t>(kDatagramBytes)) {
      return -EMSGSIZE;
    }
    size_t left = static_cast<size_t>(length);
    for (size_t at = 0; left >= sizeof(nlmsghdr);) {
      nlmsghdr header;
      std::memcpy(&header, datagram.get() + at, sizeof header);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) {
        break;
      }
      const size_t step = std::min(left, static_cast<size_t>(NLMSG_ALIGN(header.nlmsg_len)));
      if (header.nlmsg_seq == asked.nlmsg_seq) {
        const bool fits = !cut && NLMSG_ALIGN(header.nlmsg_len) <= reply_bytes - gathered;
        if (fits) {
          std::memcpy(reply + gathered, datagram.get() + at, header.nlmsg_len);
          std::memset(reply + gathered + header.nlmsg_len, 0, NLMSG_ALIGN(header.nlmsg_len) - header.nlmsg_len);
          gathered += NLMSG_ALIGN(header.nlmsg_len);
        }
        cut = cut || !fits;  // read on to the end all the same: the rest must not be taken for the next answer
        const bool last = header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR ||
                          ((header.nlmsg_flags & NLM_F_MULTI) == 0 && !acknowledged);
        if (last) {
          return cut ? -EMSGSIZE : static_cast<int>(gathered);
        }
      }
      at += step;
      left -= step;
    }
  }
}

int netlink_read(int descriptor, uint8_t* into, size_t bytes) {
  const int kind = check_netlink(descriptor);
  if (kind < 0) {
    return kind;
  }
  size_t gathered = 0;
  for (;;) {
    const ssize_t length = receive_datagram(descriptor, nullptr, 0, MSG_PEEK);
    if (length < 0) {
      // What was gathered first; the error is told by the next call, except that reading it has cleared ENOBUFS.
      return gathered > 0 && length != -ENOBUFS ? static_cast<int>(gathered) : length == -EAGAIN ? 0 : static_cast<int>(length);
    }
    const size_t room = NLMSG_ALIGN(static_cast<size_t>(length));
    if (room > bytes - gathered) {
      return gathered > 0 ? static_cast<int>(gathered) : -EMSGSIZE;
    }
    const ssize_t taken = receive_datagram(descriptor, into + gathered, bytes - gathered, 0);
    if (taken < 0) {
      return static_cast<int>(taken);
    }
    std::memset(into + gathered + taken, 0, room - static_cast<size_t>(taken));
    gathered += room;
  }
}

}  // namespace tapbridge
