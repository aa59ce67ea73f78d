// Bursts of frames: read from a port, the datagrams of a flow gathered and merged into one super-frame, acknowledgements left out when that is
// asked for, sent to the other port. Everything else passes as it came.
#pragma once

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace probe {

constexpr std::size_t kSlot = 66 * 1024;
constexpr std::size_t kSlotAlignment = 64;
// Of a group that one recvmmsg reads. An odd number of cache lines: the heads of a group shall not fall into the same cache sets.
constexpr std::size_t kGroupSlot = 1027 * kSlotAlignment;
constexpr int kGroup = 32;
// Where groups lie, as large as in our engine: of small frames one group fits, of large ones several, each behind what came before.
constexpr std::size_t kGroupArea = 2 << 20;
constexpr int kSendGroup = 64;

constexpr std::size_t kVnet = 12;
constexpr std::size_t kEthernet = 14;
constexpr std::size_t kIpv4 = kVnet + kEthernet;
constexpr std::size_t kUdp = kIpv4 + 20;
constexpr std::size_t kPayload = kUdp + 8;
constexpr int kMaxMerged = 64;
constexpr std::size_t kMaxIpv4 = 65'535;

struct Port {
  int descriptor = -1;
  bool packet = false;
  std::size_t last_bytes = 1;  // of the frame read last
};

struct Frame {
  std::uint8_t* start;  // of its virtio-net header
  std::size_t bytes;    // with it
};

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline unsigned word(const std::uint8_t* at) { return static_cast<unsigned>(at[0]) << 8 | at[1]; }
inline void set_word(std::uint8_t* at, unsigned value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
inline unsigned folded(unsigned sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
inline unsigned sum_of(const std::uint8_t* at, int words) {
  unsigned sum = 0;
  for (int index = 0; index < words; index++) sum += word(at + 2 * index);
  return sum;
}

// A whole IPv4 datagram that is no super-frame. The engine checks lengths and checksums, too; here the generator is trusted.
inline bool mergeable(const Frame& frame) {
  const std::uint8_t* at = frame.start + kVnet;
  return frame.bytes > kPayload && frame.start[1] == 0 && word(at + 12) == 0x0800 && at[14] == 0x45 && at[23] == 17 &&
         (word(at + 20) & 0x3fff) == 0;
}
inline bool same_flow(const Frame& one, const Frame& other) {
  return one.bytes == other.bytes && std::memcmp(one.start + kVnet, other.start + kVnet, kEthernet) == 0 &&
         std::memcmp(one.start + kIpv4 + 12, other.start + kIpv4 + 12, 12) == 0;
}

// Brings the datagrams of each flow in a burst together, so that flows that take turns can be merged, too; each keeps its order.
class Gatherer {
 public:
  void gather(std::vector<Frame>& frames) {
    if (frames.size() < 3) return;
    firsts_.assign(kPlaces, -1);
    next_.assign(frames.size(), -1);
    last_.assign(frames.size(), -1);
    heads_.clear();
    for (int index = 0; index < static_cast<int>(frames.size()); index++) add(frames, index);
    gathered_.clear();
    for (const int head : heads_) {
      for (int index = head; index >= 0; index = next_[static_cast<std::size_t>(index)]) gathered_.push_back(frames[static_cast<std::size_t>(index)]);
    }
    frames.swap(gathered_);
  }

 private:
  static constexpr std::size_t kPlaces = 1024;

  void add(const std::vector<Frame>& frames, int index) {
    const Frame& frame = frames[static_cast<std::size_t>(index)];
    if (mergeable(frame)) {
      const std::uint8_t* at = frame.start + kUdp;
      // Flows may differ in their source, or in their destination alone.
      int& first = firsts_[(word(at) * 31 + word(at + 2) + word(at - 6) + word(at - 2)) % kPlaces];
      if (first >= 0 && same_flow(frames[static_cast<std::size_t>(first)], frame)) {
        int& last = last_[static_cast<std::size_t>(first)];
        next_[static_cast<std::size_t>(last)] = index;
        last = index;
        return;
      }
      first = index;
    }
    last_[static_cast<std::size_t>(index)] = index;
    heads_.push_back(index);
  }

  std::vector<int> firsts_, next_, last_, heads_;
  std::vector<Frame> gathered_;
};

// How many frames from this one on make one super-frame; 1: it goes as it is.
inline int run_at(const std::vector<Frame>& frames, std::size_t index) {
  const Frame& first = frames[index];
  if (!mergeable(first)) return 1;
  const std::size_t room = (kMaxIpv4 - (kPayload - kIpv4)) / (first.bytes - kPayload);
  const std::size_t most = std::min({std::size_t{kMaxMerged}, room, frames.size() - index});
  std::size_t members = 1;
  while (members < most && mergeable(frames[index + members]) && same_flow(first, frames[index + members])) members++;
  return static_cast<int>(members);
}

// Headers of a UDP_L4 super-frame of so many datagrams like the first.
inline void write_headers(std::uint8_t* to, const Frame& first, int datagrams) {
  const auto payload = static_cast<unsigned>(first.bytes - kPayload);
  const unsigned udp_bytes = 8 + payload * static_cast<unsigned>(datagrams);
  std::memcpy(to, first.start, kPayload);
  const std::uint16_t fields[] = {kPayload - kVnet, static_cast<std::uint16_t>(payload), kUdp - kVnet, 6};
  to[0] = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
  to[1] = 5;  // VIRTIO_NET_HDR_GSO_UDP_L4
  std::memcpy(to + 2, fields, sizeof fields);
  set_word(to + kIpv4 + 2, 20 + udp_bytes);
  set_word(to + kIpv4 + 10, 0);
  set_word(to + kIpv4 + 10, ~folded(sum_of(to + kIpv4, 10)));
  set_word(to + kUdp + 4, udp_bytes);
  set_word(to + kUdp + 6, folded(17 + udp_bytes + sum_of(to + kIpv4 + 12, 4)));
}

// An IPv4 TCP segment without payload whose flags are ACK and nothing else.
inline bool pure_ack(const Frame& frame) {
  const std::uint8_t* ip = frame.start + kIpv4;
  if (frame.bytes < kUdp + 20 || word(ip - 2) != 0x0800 || ip[0] != 0x45 || ip[9] != 6 || ip[33] != 0x10) return false;
  return word(ip + 2) == 20U + static_cast<unsigned>(ip[32] >> 4) * 4;
}
inline bool same_connection(const Frame& one, const Frame& other) {
  return std::memcmp(one.start + kIpv4 + 12, other.start + kIpv4 + 12, 12) == 0;
}

inline std::uint64_t acks_seen = 0;
inline std::uint64_t acks_left_out = 0;

// Leaves out an acknowledgement when the next frame is one of the same connection: it says all the first one did (and more, as they are cumulative).
inline void filter_acks(std::vector<Frame>& frames) {
  std::size_t kept = 0;
  for (std::size_t index = 0; index < frames.size(); index++) {
    const bool ack = pure_ack(frames[index]);
    acks_seen += ack ? 1 : 0;
    if (ack && index + 1 < frames.size() && pure_ack(frames[index + 1]) && same_connection(frames[index], frames[index + 1])) {
      acks_left_out++;
    } else {
      frames[kept++] = frames[index];
    }
  }
  frames.resize(kept);
}

// A write for each frame or super-frame to a TAP, a sendmmsg for many to a packet socket.
class Sender {
 public:
  explicit Sender(bool merge) : merge_(merge), headers_(kSendGroup), parts_(kSendGroup) {}

  // What a port does not take is lost, as on a wire: an interface that is down yet, a receiver without memory.
  void send(const Port& port, const std::vector<Frame>& frames) {
    int waiting = 0;
    for (std::size_t index = 0; index < frames.size();) {
      const auto place = static_cast<std::size_t>(waiting);
      const int members = merge_ ? run_at(frames, index) : 1;
      const std::size_t count = describe(place, &frames[index], members);
      if (!port.packet) {
        if (writev(port.descriptor, parts_[place].data(), static_cast<int>(count)) < 0 && errno == EBADFD) fail("writev");
      } else {
        messages_[place].msg_hdr = {};
        messages_[place].msg_hdr.msg_iov = parts_[place].data();
        messages_[place].msg_hdr.msg_iovlen = count;
        if (++waiting == kSendGroup) {
          flush(port, waiting);
          waiting = 0;
        }
      }
      index += static_cast<std::size_t>(members);
    }
    flush(port, waiting);
  }

 private:
  // Where the bytes lie of a frame, or of a super-frame made of several. Returns the number of parts.
  std::size_t describe(std::size_t place, const Frame* first, int members) {
    auto& parts = parts_[place];
    if (members == 1) {
      parts[0] = {first->start, first->bytes};
      return 1;
    }
    auto& headers = headers_[place];
    write_headers(headers.data(), *first, members);
    parts[0] = {headers.data(), headers.size()};
    std::size_t count = 1;
    for (; count <= static_cast<std::size_t>(members); count++) {
      const Frame& each = first[count - 1];
      parts[count] = {each.start + kPayload, each.bytes - kPayload};
    }
    return count;
  }

  void flush(const Port& port, int count) {
    for (int sent = 0; sent < count;) {
      const int result = sendmmsg(port.descriptor, &messages_[static_cast<std::size_t>(sent)], static_cast<unsigned>(count - sent), MSG_DONTWAIT);
      if (result > 0) {
        sent += result;
      } else if (result == 0 || errno == EAGAIN) {
        return;  // a full buffer is full for the rest, too
      } else if (errno != EINTR) {
        sent++;
      }
    }
  }

  bool merge_;
  std::vector<std::array<std::uint8_t, kPayload>> headers_;
  std::vector<std::array<iovec, kMaxMerged + 1>> parts_;
  std::array<mmsghdr, kSendGroup> messages_{};
};

// A burst of a port, from the start of the arena: a read for each frame of a TAP, a recvmmsg for up to kGroup of a packet socket.
class Reader {
 public:
  Reader(int burst, std::size_t bytes, std::uint8_t* arena) : burst_(burst), bytes_(bytes), arena_(arena) {
    for (std::size_t slot = 0; slot < kGroup; slot++) {
      parts_[slot].iov_len = kGroupSlot;
      msghdr& message = messages_[slot].msg_hdr;
      message.msg_iov = &parts_[slot];
      message.msg_iovlen = 1;
      message.msg_control = controls_[slot].bytes;
    }
  }

  void read(Port& port, std::vector<Frame>& frames) {
    end_ = 0;
    taken_ = 0;
    while (static_cast<int>(frames.size()) < burst_ && taken_ < bytes_) {
      if (!(port.packet ? read_group(port, frames) : read_frame(port, frames))) return;
    }
  }

 private:
  union Control {
    cmsghdr alignment;
    std::uint8_t bytes[CMSG_SPACE(sizeof(tpacket_auxdata))];
  };

  // Both return whether there may be more.
  bool read_frame(const Port& port, std::vector<Frame>& frames) {
    const ssize_t count = ::read(port.descriptor, arena_ + end_, kSlot);
    if (count <= 0) return false;
    take(frames, end_, static_cast<std::size_t>(count));
    return true;
  }

  bool read_group(Port& port, std::vector<Frame>& frames) {
    // How many bytes they have is known only then: as many as the last one, likely.
    const std::size_t likely = 1 + (bytes_ - taken_) / port.last_bytes;
    const std::size_t room = (kGroupArea - end_) / kGroupSlot;
    const std::size_t wanted = std::min({static_cast<std::size_t>(burst_) - frames.size(), std::size_t{kGroup}, likely, room});
    if (wanted == 0) return false;
    const std::size_t base = end_;
    for (std::size_t slot = 0; slot < wanted; slot++) {
      parts_[slot].iov_base = arena_ + base + slot * kGroupSlot;
      messages_[slot].msg_hdr.msg_controllen = sizeof controls_[slot].bytes;
    }
    const int count = recvmmsg(port.descriptor, messages_.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    for (int each = 0; each < count; each++) {
      const auto slot = static_cast<std::size_t>(each);
      port.last_bytes = messages_[slot].msg_len;
      take(frames, base + slot * kGroupSlot, port.last_bytes);
    }
    return count == static_cast<int>(wanted);
  }

  void take(std::vector<Frame>& frames, std::size_t at, std::size_t bytes) {
    frames.push_back({arena_ + at, bytes});
    const std::size_t room = (bytes + kSlotAlignment - 1) & ~(kSlotAlignment - 1);
    taken_ += room;
    end_ = at + room;
  }

  int burst_;
  std::size_t bytes_;
  std::uint8_t* arena_;
  std::size_t end_ = 0;    // of the frame read last, in the arena
  std::size_t taken_ = 0;  // of `bytes_`
  std::array<mmsghdr, kGroup> messages_{};
  std::array<iovec, kGroup> parts_{};
  std::array<Control, kGroup> controls_{};
};

}  // namespace probe
