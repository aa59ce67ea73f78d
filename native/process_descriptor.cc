#include "process_descriptor.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "descriptor.h"

namespace tapbridge {

int process_descriptor(int pid, int descriptor) {
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (process.get() < 0) {
    return -errno;
  }
  const int taken = static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), descriptor, 0));
  return taken < 0 ? -errno : taken;
}

}  // namespace tapbridge
