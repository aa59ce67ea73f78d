// A plain file as memory that outlives the process.
#pragma once

#include <cstddef>
#include <memory>

#include "mapping.h"

namespace tapbridge {

// The first `bytes` of the file, shared with everybody who maps it; all of its blocks are reserved first, so that no write can fail. Null, and a
// negative errno in `error`.
std::shared_ptr<Mapping> map_file(int descriptor, size_t bytes, int& error);

}  // namespace tapbridge
