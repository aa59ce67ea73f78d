// The virtio-net header before each frame.
#pragma once

#include <cstdint>

namespace tapbridge {

// include/uapi/linux/virtio_net.h, struct virtio_net_hdr_mrg_rxbuf; that header cannot be included: it has a member named `class`.
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
  uint16_t num_buffers;
};

constexpr int kVnetBytes = 12;
static_assert(sizeof(VnetHeader) == kVnetBytes);

constexpr uint8_t kNeedsChecksum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM

}  // namespace tapbridge
