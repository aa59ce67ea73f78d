// What one JavaScript environment (the main thread's or a worker's) has opened. Destroyed, and everything in it closed, when that ends.
#pragma once

#include <cerrno>
#include <set>

#include "descriptor.h"

namespace tapbridge {

class Environment {
 public:
  Environment() = default;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    for (const int each : open_) {
      ::close(each);
    }
  }

  // Takes what a call that opens something returned, a descriptor or -errno, and passes it on.
  int keep(int opened) {
    if (opened >= 0) {
      Descriptor guard(opened);  // closed again if the set has no room
      open_.insert(opened);
      guard.release();
    }
    return opened;
  }

  // Hands a descriptor over to the caller; empty for what was not opened here: a wrong number must not close somebody else's file.
  Descriptor release(int descriptor) { return Descriptor(open_.erase(descriptor) == 0 ? -1 : descriptor); }

 private:
  std::set<int> open_;
};

}  // namespace tapbridge
