#include "waker.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

namespace tapbridge {
namespace {

struct Table {
  std::mutex lock;
  std::vector<int> live;
};

// Never destroyed: a worker may still close its waker while the process runs its exit handlers.
Table& table() {
  static Table* const instance = new Table;
  return *instance;
}

}  // namespace

Waker::~Waker() { close(); }

int Waker::open() {
  Descriptor made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made) {
    return -errno;
  }
  try {
    const std::lock_guard hold(table().lock);
    table().live.push_back(made.get());
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  eventfd_ = std::move(made);
  return 0;
}

void Waker::close() {
  if (!eventfd_) {
    return;
  }
  const std::lock_guard hold(table().lock);
  std::erase(table().live, eventfd_.get());
  eventfd_.reset();
}

void Waker::drain() {
  uint64_t count = 0;
  while (::read(eventfd_.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
}

int Waker::ring(int number) {
  const std::lock_guard hold(table().lock);
  const auto& live = table().live;
  if (std::find(live.begin(), live.end(), number) == live.end()) {
    return -EBADF;
  }
  const uint64_t one = 1;
  while (::write(number, &one, sizeof one) < 0) {
    if (errno == EAGAIN) {
      return 0;  // the counter is full: it rings already
    }
    if (errno != EINTR) {
      return -errno;
    }
  }
  return 0;
}

}  // namespace tapbridge
