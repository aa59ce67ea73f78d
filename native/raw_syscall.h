// The calls of the loop without glibc's wrapper: in a process with threads that makes each of them a cancellation point, two locked
// instructions a call (nptl/cancellation.c), and nobody cancels a thread of Node. 7 % of the engine's time with small datagrams.
#pragma once

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace tapbridge {

inline ssize_t raw_read(int descriptor, void* into, size_t bytes) { return ::syscall(SYS_read, descriptor, into, bytes); }

inline ssize_t raw_write(int descriptor, const void* from, size_t bytes) { return ::syscall(SYS_write, descriptor, from, bytes); }

inline ssize_t raw_writev(int descriptor, const iovec* pieces, int count) { return ::syscall(SYS_writev, descriptor, pieces, count); }

// epoll_wait is no system call of its own on newer architectures; epoll_pwait is one on all.
inline int raw_epoll_look(int epoll, epoll_event* events, int room) {
  return static_cast<int>(::syscall(SYS_epoll_pwait, epoll, events, room, 0, nullptr, 0));
}

}  // namespace tapbridge
