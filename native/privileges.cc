// Theory of operation
//
// Capabilities, the bounding set and no_new_privs belong to a thread, not to a process, and Node has a dozen threads before the first line of
// a program runs. execve(2) ends all of them but the caller and keeps the process (its id, parent, standard streams, environment, namespaces):
// what the caller gave up, no thread of the new program has.
//
//     group ─▶ bounding set ─▶ no_new_privs ─▶ permitted = inheritable = ambient = the limits ─▶ execve(the same file)
//
// - For root the new program's permitted set is made of the bounding set; where that cannot be changed (no CAP_SETPCAP, as in some user
//   namespaces) no_new_privs keeps it at what the caller had (security/commoncap.c, cap_bprm_creds_from_file).
// - For another user the ambient set carries the capabilities over.
//
// The other way is a signal to each thread, as libcap's libpsx does. It cannot reach threads that block all signals, and Node's inspector has one.
#include "privileges.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

namespace tapbridge {
namespace {

constexpr int kMostGroups = 65536;  // NGROUPS_MAX
constexpr const char* kSelf = "/proc/self/exe";

// The group becomes a supplementary one: a file's owner may give it to a group of his without CAP_CHOWN.
int join_group(gid_t group) {
  const int count = ::getgroups(0, nullptr);
  if (count < 0 || count >= kMostGroups) {
    return count < 0 ? -errno : -EINVAL;
  }
  std::vector<gid_t> groups(static_cast<size_t>(count) + 1);
  if (::getgroups(count, groups.data()) != count) {
    return -errno;
  }
  groups[static_cast<size_t>(count)] = group;
  // Not the C library's, which signals all threads to do the same: they end in a moment.
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0 ? 0 : -errno;
}

// The kernel answers EINVAL behind its last capability. Without CAP_SETPCAP the set stays as it is.
void limit_bounding_set(uint64_t capabilities) {
  for (int each = 0; each < 64 && ::prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; each++) {
    if ((capabilities >> each & 1) == 0) {
      static_cast<void>(::prctl(PR_CAPBSET_DROP, each, 0, 0, 0));
    }
  }
}

int limit_own_sets(uint64_t capabilities) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, sets) != 0) {
    return -errno;
  }
  for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
    const uint32_t kept = sets[word].permitted & static_cast<uint32_t>(capabilities >> (32 * word));
    sets[word] = {kept, kept, kept};
  }
  if (::syscall(SYS_capset, &header, sets) != 0) {
    return -errno;
  }
  // Refused by a securebit (no_cap_ambient_raise): then root's own rule is what carries them over.
  static_cast<void>(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  for (int each = 0; each < 64; each++) {
    if ((capabilities >> each & 1) != 0 && (sets[each / 32].permitted >> (each % 32) & 1) != 0) {
      static_cast<void>(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, each, 0, 0));
    }
  }
  return 0;
}

// The path behind /proc/self/exe, so that ps shows the program's name; a file that was replaced meanwhile only opens through the link.
std::string own_file() {
  char path[PATH_MAX];
  const ssize_t bytes = ::readlink(kSelf, path, sizeof path);
  const std::string found(path, bytes > 0 ? static_cast<size_t>(bytes) : 0);
  return !found.empty() && found.size() < sizeof path && ::access(found.c_str(), X_OK) == 0 ? found : kSelf;
}

// Node marks every descriptor it inherits FD_CLOEXEC (uv_disable_stdio_inheritance), these too.
void keep_standard_streams() {
  for (int each = STDIN_FILENO; each <= STDERR_FILENO; each++) {
    const int flags = ::fcntl(each, F_GETFD);
    if (flags >= 0) {
      static_cast<void>(::fcntl(each, F_SETFD, flags & ~FD_CLOEXEC));
    }
  }
}

}  // namespace

int restart_limited(const PrivilegeLimits& limits, std::vector<std::string> arguments) {
  std::vector<char*> words;
  for (std::string& each : arguments) {
    words.push_back(each.data());
  }
  words.push_back(nullptr);
  const std::string file = own_file();
  // Without the right to (CAP_SETGID) whoever gives a file away finds out whether it needs it.
  if (limits.group >= 0) {
    static_cast<void>(join_group(static_cast<gid_t>(limits.group)));
  }
  limit_bounding_set(limits.capabilities);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return -errno;
  }
  const int result = limit_own_sets(limits.capabilities);
  if (result < 0) {
    return result;
  }
  keep_standard_streams();
  ::execve(file.c_str(), words.data(), environ);
  return -errno;
}

}  // namespace tapbridge
