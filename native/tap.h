// TAP interfaces through /dev/net/tun.
#pragma once

#include <string>

namespace tapbridge {

struct TapRequest {
  std::string name;
  int netns = -1;
  bool vnet_header = false;
  unsigned offloads = 0;
  bool persistent = false;
  bool create = false;
  // Several descriptors of one interface, a queue each: `create` makes the first, `attach` each further one.
  bool multi_queue = false;
};

// A non-blocking descriptor or -errno.
int open_tap(const TapRequest& request);
// 0 and the name, or -errno.
int tap_name(int descriptor, std::string& name);
int set_tap_persistent(int descriptor, bool persistent);
// A descriptor of the network namespace the interface is in now, wherever it was moved to, or -errno.
int tap_netns(int descriptor);
// 0 when the descriptor is an attached TAP without packet information whose vnet header has exactly that size (0: none), else -errno.
int check_tap(int descriptor, int header_bytes);

}  // namespace tapbridge
