// Raw-frame generator and the sockets its frames are counted with. See frames.cc.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>

#include "generator.h"

namespace traffic {

// Addresses that are used in turn, counting up; 48 bits each.
struct MacRange {
  std::uint64_t first = 0;
  std::uint64_t count = 1;
};
struct FrameSend {
  std::string interface;
  MacRange source;
  MacRange destination;
  Load load;
};

// Local experimental EtherType 1 (IEEE 802): no stack answers it.
constexpr std::uint16_t kEtherType = 0x88b5;
constexpr std::size_t kEthernetHeaderBytes = 14;

// `report` has kCells cells, zeroed. Returns 0 or -errno.
int frame_send(const FrameSend& options, double* report);
// A socket that gets our frames from `interface`, whatever their destination. Returns the descriptor or -errno.
int frame_bind(const std::string& interface);

// Sets frameSend and frameBind.
void define_frames(Napi::Env env, Napi::Object exports);

}  // namespace traffic
