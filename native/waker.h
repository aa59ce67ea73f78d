// An eventfd that ends the sleep of one BurstIo.
//
// Any thread of the process may ring it, knowing only its number, also at the moment its owner closes it. A bare write(2) could then hit
// a descriptor that was given the same number a moment later. So the live numbers stand in one table of the process (the only state that
// is not per environment), and its lock is held while ringing. Ringing happens per command, never per frame.
#pragma once

#include "descriptor.h"

namespace tapbridge {

class Waker {
 public:
  Waker() = default;
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  ~Waker();

  // 0 or -errno.
  int open();
  void close();
  int number() const { return eventfd_.get(); }
  // Owner only: silences the eventfd.
  void drain();

  // 0, or -EBADF for a number that is no live waker.
  static int ring(int number);

 private:
  Descriptor eventfd_;
};

}  // namespace tapbridge
