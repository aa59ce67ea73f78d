// Capabilities of this process, and starting it anew with fewer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tapbridge {

struct PrivilegeLimits {
  // Bit n: capability n may stay.
  uint64_t capabilities = 0;
  // A group the new program is a member of, too; -1: none.
  int64_t group = -1;
};

// Replaces this process by the same program with these arguments (the first is its name) and the same environment, whose threads can never have more
// than the limits. Of the descriptors only the standard streams stay open. Returns only when that fails: -errno, after which the calling thread may
// have lost capabilities already.
int restart_limited(const PrivilegeLimits& limits, std::vector<std::string> arguments);

}  // namespace tapbridge
