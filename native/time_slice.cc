// How long an engine's thread keeps its core when others want it. A shorter slice has an earlier deadline, so the thread is let in sooner, as
// often as its share allows: frames wait less, and who consumes them runs between two bursts instead of after many (kernel/sched/fair.c, EEVDF).
#include "time_slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace tapbridge {
namespace {

// struct sched_attr of linux/sched/types.h in its first version (SCHED_ATTR_SIZE_VER0); glibc declares it since 2.41 only.
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};
static_assert(sizeof(SchedulingAttributes) == 48);

}  // namespace

int set_time_slice(int64_t nanos) {
  SchedulingAttributes attributes{};
  // 0 is the calling thread, not the process.
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) {
    return -errno;
  }
  if (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH) {
    return 0;  // somebody chose another policy for us
  }
  // Kernels before 6.12 take it and do nothing.
  attributes.runtime = static_cast<uint64_t>(nanos);
  return ::syscall(SYS_sched_setattr, 0, &attributes, 0) < 0 ? -errno : 0;
}

}  // namespace tapbridge
