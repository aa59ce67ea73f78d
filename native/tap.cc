#include "tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "descriptor.h"
#include "netns.h"
#include "vnet_header.h"

namespace tapbridge {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
// include/linux/miscdevice.h: MISC_MAJOR, TUN_MINOR
constexpr unsigned kMiscMajor = 10;
constexpr unsigned kTunMinor = 200;

// The tty layer shares the ioctl letter 'T', so a stranger's descriptor must not be asked.
int check_is_tun(int descriptor) {
  struct stat facts{};
  if (::fstat(descriptor, &facts) != 0) {
    return -errno;
  }
  return S_ISCHR(facts.st_mode) && facts.st_rdev == makedev(kMiscMajor, kTunMinor) ? 0 : -EINVAL;
}

// What TUNGETIFF says of a TAP: name and flags. 0 or -errno.
int query_tap(int descriptor, ifreq& answer) {
  const int kind = check_is_tun(descriptor);
  if (kind < 0) {
    return kind;
  }
  answer = ifreq{};
  return ::ioctl(descriptor, TUNGETIFF, &answer) == 0 ? 0 : -errno;
}

// Interface index of a name in the calling thread's namespace, or -errno (-ENODEV).
int index_of(const std::string& name) {
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) {
    return -errno;
  }
  ifreq query{};
  std::memcpy(query.ifr_name, name.data(), name.size());
  return ::ioctl(socket.get(), SIOCGIFINDEX, &query) == 0 ? query.ifr_ifindex : -errno;
}

int configure(int tap, const TapRequest& request) {
  if (request.vnet_header) {
    int bytes = kVnetBytes;
    if (::ioctl(tap, TUNSETVNETHDRSZ, &bytes) != 0) {
      return -errno;
    }
  }
  if (::ioctl(tap, TUNSETOFFLOAD, static_cast<unsigned long>(request.offloads)) != 0) {
    return -errno;
  }
  // Last, so that a TAP which could not be set up disappears with its descriptor.
  if ((request.persistent || !request.create) && ::ioctl(tap, TUNSETPERSIST, request.persistent ? 1UL : 0UL) != 0) {
    return -errno;
  }
  return 0;
}

}  // namespace

int open_tap(const TapRequest& request) {
  if (request.name.empty()) {
    return -EINVAL;
  }
  if (request.name.size() >= IFNAMSIZ) {
    return -ENAMETOOLONG;
  }
  if (!request.vnet_header && request.offloads != 0) {
    return -EINVAL;
  }
  const NetnsVisit visit(request.netns);
  if (visit.error() != 0) {
    return visit.error();
  }
  int before = 0;
  if (!request.create) {
    before = index_of(request.name);
    if (before < 0) {
      return before;
    }
  }
  // The descriptor belongs to the namespace in which it is opened (drivers/net/tun.c, tun_chr_open).
  Descriptor tap(::open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!tap) {
    return -errno;
  }
  ifreq query{};
  std::memcpy(query.ifr_name, request.name.data(), request.name.size());
  const int flags = IFF_TAP | IFF_NO_PI | (request.vnet_header ? IFF_VNET_HDR : 0) | (request.create ? IFF_TUN_EXCL : 0) |
                    (request.multi_queue ? IFF_MULTI_QUEUE : 0);
  query.ifr_flags = static_cast<short>(flags);
  if (::ioctl(tap.get(), TUNSETIFF, &query) != 0) {
    // With IFF_TUN_EXCL the kernel says EBUSY for "a device of this name exists" (tun_set_iff).
    return request.create && errno == EBUSY ? -EEXIST : -errno;
  }
  // TUNSETIFF makes what it does not find. If the interface ended since it was looked up, this one is new: let it go again.
  if (!request.create && index_of(request.name) != before) {
    return -ENODEV;
  }
  const int result = configure(tap.get(), request);
  return result < 0 ? result : tap.release();
}

int tap_name(int descriptor, std::string& name) {
  ifreq answer;
  const int result = query_tap(descriptor, answer);
  if (result < 0) {
    return result;
  }
  name.assign(answer.ifr_name, ::strnlen(answer.ifr_name, IFNAMSIZ));
  return 0;
}

int set_tap_persistent(int descriptor, bool persistent) {
  const int kind = check_is_tun(descriptor);
  if (kind < 0) {
    return kind;
  }
  return ::ioctl(descriptor, TUNSETPERSIST, persistent ? 1UL : 0UL) == 0 ? 0 : -errno;
}

int tap_netns(int descriptor) {
  const int kind = check_is_tun(descriptor);
  if (kind < 0) {
    return kind;
  }
  const int netns = ::ioctl(descriptor, TUNGETDEVNETNS);
  return netns >= 0 ? netns : -errno;
}

int check_tap(int descriptor, int header_bytes) {
  ifreq answer;
  const int result = query_tap(descriptor, answer);
  if (result < 0) {
    return result;
  }
  const int flags = static_cast<unsigned short>(answer.ifr_flags);
  if ((flags & IFF_TAP) == 0 || (flags & IFF_NO_PI) == 0) {
    return -EINVAL;
  }
  int bytes = 0;
  if ((flags & IFF_VNET_HDR) != 0 && ::ioctl(descriptor, TUNGETVNETHDRSZ, &bytes) != 0) {
    return -errno;
  }
  return bytes == header_bytes ? 0 : -EINVAL;
}

}  // namespace tapbridge
