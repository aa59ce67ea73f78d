#pragma once

#include <cstdint>

namespace tapbridge {

// The calling thread's turn on its core, nanoseconds; 0 or -errno.
int set_time_slice(int64_t nanos);

}  // namespace tapbridge
