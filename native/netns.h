// Network namespaces: opening, making, removing, and standing in one for a moment.
#pragma once

#include <string>

#include "descriptor.h"

namespace tapbridge {

// The calling thread stands in a namespace as long as this lives. -1 stays where it is.
// When the way back is barred the process aborts: a thread of the host left inside a container would configure the wrong network.
class NetnsVisit {
 public:
  explicit NetnsVisit(int netns);
  NetnsVisit(const NetnsVisit&) = delete;
  NetnsVisit& operator=(const NetnsVisit&) = delete;
  ~NetnsVisit();

  // 0, or -errno when the namespace could not be entered.
  int error() const { return error_; }

 private:
  Descriptor home_;
  int error_ = 0;
};

// 0 when the descriptor is a network namespace, else -EBADF or -EINVAL.
int check_netns(int descriptor);
// Each returns a descriptor of the namespace or -errno.
int open_netns(const std::string& path);
int create_netns(const std::string& path);
// 0 or -errno.
int remove_netns(const std::string& path);
int enter_netns(int descriptor);

}  // namespace tapbridge
