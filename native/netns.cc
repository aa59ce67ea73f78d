#include "netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>

namespace tapbridge {
namespace {

// include/uapi/linux/magic.h
constexpr long kNsfsMagic = 0x6e736673;
// Where `ip netns` keeps names (iproute2, include/namespace.h: NETNS_RUN_DIR); /var/run is a link to /run.
constexpr const char* kRunDirectory = "/run/netns";
constexpr const char* kThisThread = "/proc/thread-self/ns/net";

bool on_nsfs(int descriptor) {
  struct statfs where{};
  return ::fstatfs(descriptor, &where) == 0 && static_cast<long>(where.f_type) == kNsfsMagic;
}

// As `ip netns add` does (iproute2 ip/ipnetns.c, netns_add): the directory becomes a shared mount, so that other mount namespaces see names
// come and go. Inside a user namespace this may be refused; the name is then only seen from here, which is no error.
void share_run_directory() {
  if (::mount("", kRunDirectory, "none", MS_SHARED | MS_REC, nullptr) == 0) {
    return;
  }
  if (errno == EINVAL && ::mount(kRunDirectory, kRunDirectory, "none", MS_BIND | MS_REC, nullptr) == 0) {
    static_cast<void>(::mount("", kRunDirectory, "none", MS_SHARED | MS_REC, nullptr));
  }
}

// Runs on a thread of its own, which ends right after: unshare changes the calling thread for good.
int unshare_and_bind(const std::string& path) {
  if (::unshare(CLONE_NEWNET) != 0) {
    return -errno;
  }
  Descriptor netns(::open(kThisThread, O_RDONLY | O_CLOEXEC));
  if (!netns) {
    return -errno;
  }
  if (!path.empty() && ::mount(kThisThread, path.c_str(), "none", MS_BIND, nullptr) != 0) {
    return -errno;
  }
  return netns.release();
}

int run_on_thread(const std::string& path) {
  int result = -EAGAIN;
  try {
    std::thread([&] { result = unshare_and_bind(path); }).join();
  } catch (const std::system_error&) {
    return -EAGAIN;
  }
  return result;
}

}  // namespace

NetnsVisit::NetnsVisit(int netns) {
  if (netns < 0) {
    return;
  }
  error_ = check_netns(netns);
  if (error_ != 0) {
    return;
  }
  Descriptor home(::open(kThisThread, O_RDONLY | O_CLOEXEC));
  if (!home) {
    error_ = -errno;
    return;
  }
  if (::setns(netns, CLONE_NEWNET) != 0) {
    error_ = -errno;
    return;
  }
  home_ = std::move(home);
}

NetnsVisit::~NetnsVisit() {
  if (home_ && ::setns(home_.get(), CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "tapbridge: cannot return to the own network namespace: %s\n", std::strerror(errno));
    std::abort();
  }
}

int check_netns(int descriptor) {
  if (::fcntl(descriptor, F_GETFD) < 0) {
    return -EBADF;
  }
  // nsfs first: the ioctl number means something else to other kinds of files.
  return on_nsfs(descriptor) && ::ioctl(descriptor, NS_GET_NSTYPE) == CLONE_NEWNET ? 0 : -EINVAL;
}

int open_netns(const std::string& path) {
  // O_NONBLOCK: the path may name a pipe, whose open would wait for a writer.
  Descriptor netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!netns) {
    return -errno;
  }
  const int kind = check_netns(netns.get());
  return kind < 0 ? kind : netns.release();
}

int create_netns(const std::string& path) {
  if (path.empty()) {
    return run_on_thread(path);
  }
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size()) {
    return -EINVAL;
  }
  const std::string parent = path.substr(0, slash);
  if (!parent.empty() && ::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
    return -errno;
  }
  if (parent == kRunDirectory || parent == "/var/run/netns") {
    share_run_directory();
  }
  {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    if (!file) {
      return -errno;
    }
  }
  const int result = run_on_thread(path);
  if (result < 0) {
    ::unlink(path.c_str());
  }
  return result;
}

int remove_netns(const std::string& path) {
  {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
    if (!file) {
      return -errno;
    }
    struct stat facts{};
    if (::fstat(file.get(), &facts) != 0) {
      return -errno;
    }
    // Either the bound namespace, or the empty file below it when the mount is gone already; anything else is not ours to delete.
    const bool bound = check_netns(file.get()) == 0;
    const bool leftover = S_ISREG(facts.st_mode) && !on_nsfs(file.get()) && facts.st_size == 0;
    if (!bound && !leftover) {
      return -EINVAL;
    }
    if (bound && ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      return -errno;  // EINVAL for /proc/PID/ns/net, which is no mount
    }
  }
  return ::unlink(path.c_str()) == 0 ? 0 : -errno;
}

int enter_netns(int descriptor) {
  const int kind = check_netns(descriptor);
  if (kind < 0) {
    return kind;
  }
  return ::setns(descriptor, CLONE_NEWNET) == 0 ? 0 : -errno;
}

}  // namespace tapbridge
