// What every datagram and frame of a trial carries, so that the other end knows it again.
//
//     [ token 2 | flow 2 | sequence 4 | send time 8 (ns, CLOCK_MONOTONIC) | check 2 | filling ... ]     18 bytes at least, native byte order
//
// The token is the trial's: what another trial left on the way is foreign. The check covers all before it; the filling is zeros, or with
// integrity on a pattern that follows from flow and sequence, so that each byte is checked. 18 bytes are the payload of the smallest datagram
// of RFC 2544: 60 bytes on a TAP, 64 with the frame check sequence.
#pragma once

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace traffic {

struct Probe {
  std::uint16_t token;
  std::uint16_t flow;
  std::uint32_t sequence;
  std::int64_t sent_nanos;
};
constexpr std::size_t kTokenAt = 0;
constexpr std::size_t kFlowAt = kTokenAt + 2;
constexpr std::size_t kSequenceAt = kFlowAt + 2;
constexpr std::size_t kTimeAt = kSequenceAt + 4;
constexpr std::size_t kCheckAt = kTimeAt + 8;
constexpr std::size_t kProbeBytes = kCheckAt + 2;

// Odd constants of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
constexpr std::uint64_t kMixA = 0xbf58476d1ce4e5b9;
constexpr std::uint64_t kMixB = 0x94d049bb133111eb;

inline std::uint16_t check_of(const Probe& probe) {
  std::uint64_t mixed = (std::uint64_t{probe.sequence} << 32 | std::uint64_t{probe.flow} << 16 | probe.token) * kMixA;
  mixed ^= static_cast<std::uint64_t>(probe.sent_nanos) * kMixB;
  mixed ^= mixed >> 32;
  return static_cast<std::uint16_t>(mixed ^ mixed >> 16);
}

inline void write_probe(std::uint8_t* to, const Probe& probe) {
  const std::uint16_t check = check_of(probe);
  memcpy(to + kTokenAt, &probe.token, 2);
  memcpy(to + kFlowAt, &probe.flow, 2);
  memcpy(to + kSequenceAt, &probe.sequence, 4);
  memcpy(to + kTimeAt, &probe.sent_nanos, 8);
  memcpy(to + kCheckAt, &check, 2);
}

enum class Reading { kForeign, kCorrupt, kOurs };
inline Reading read_probe(const std::uint8_t* from, std::uint16_t token, Probe* probe) {
  std::uint16_t check = 0;
  memcpy(&probe->token, from + kTokenAt, 2);
  memcpy(&probe->flow, from + kFlowAt, 2);
  memcpy(&probe->sequence, from + kSequenceAt, 4);
  memcpy(&probe->sent_nanos, from + kTimeAt, 8);
  memcpy(&check, from + kCheckAt, 2);
  if (probe->token != token) return Reading::kForeign;
  return check == check_of(*probe) ? Reading::kOurs : Reading::kCorrupt;
}

// The filling's word `index`: of 8 bytes, the last one cut.
inline std::uint64_t filling(const Probe& probe, std::uint64_t index) {
  return ((std::uint64_t{probe.sequence} << 16 | probe.flow) + index * kMixB + 1) * kMixA;
}
inline void write_filling(std::uint8_t* payload, std::size_t bytes, const Probe& probe) {
  for (std::size_t at = kProbeBytes; at < bytes; at += 8) {
    const std::uint64_t word = filling(probe, at);
    memcpy(payload + at, &word, std::min<std::size_t>(8, bytes - at));
  }
}
inline bool filling_is_intact(const std::uint8_t* payload, std::size_t bytes, const Probe& probe) {
  for (std::size_t at = kProbeBytes; at < bytes; at += 8) {
    const std::uint64_t word = filling(probe, at);
    if (memcmp(payload + at, &word, std::min<std::size_t>(8, bytes - at)) != 0) return false;
  }
  return true;
}

}  // namespace traffic
