#include "vlan_tag.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cstring>

#include "vnet_header.h"

namespace tapbridge {
namespace {

constexpr int kAddressBytes = 2 * ETH_ALEN;

}  // namespace

int restore_tag(const msghdr& message, uint8_t* frame, int64_t length, bool vnet_header) {
  for (const cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(each))) {
    if (each->cmsg_level != SOL_PACKET || each->cmsg_type != PACKET_AUXDATA || each->cmsg_len < CMSG_LEN(sizeof(tpacket_auxdata))) {
      continue;
    }
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(each), sizeof aux);
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0 || length < kAddressBytes) {
      return 0;
    }
    uint8_t* const start = frame - kVnetBytes;
    std::memmove(start - kTagBytes, start, kVnetBytes + kAddressBytes);
    const uint16_t tag[2] = {htons((aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid : ETH_P_8021Q), htons(aux.tp_vlan_tci)};
    std::memcpy(frame + kAddressBytes - kTagBytes, tag, kTagBytes);
    if (vnet_header) {
      VnetHeader header;
      std::memcpy(&header, start - kTagBytes, sizeof header);
      if ((header.flags & kNeedsChecksum) != 0) {
        header.csum_start = static_cast<uint16_t>(header.csum_start + kTagBytes);
      }
      if (header.hdr_len != 0) {
        header.hdr_len = static_cast<uint16_t>(header.hdr_len + kTagBytes);
      }
      std::memcpy(start - kTagBytes, &header, sizeof header);
    }
    return kTagBytes;
  }
  return 0;
}

}  // namespace tapbridge
