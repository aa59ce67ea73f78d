// Which datagrams of a flow have come: lost, late and twice are told apart, per flow.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace traffic {

// A bit per sequence number.
class Arrivals {
 public:
  enum class Arrival { kInOrder, kLate, kAgain };
  // 2^30 datagrams of a flow, half an hour at 500,000 a second: 128 MiB of bits. Numbers above are not ours.
  static constexpr std::uint32_t kMaxSequence = std::uint32_t{1} << 30;

  // Bits allotted at once; more double it while the trial runs.
  explicit Arrivals(std::size_t bits) : seen_((bits + 63) / 64) {}

  Arrival add(std::uint32_t sequence) {
    const std::size_t word = sequence / 64;
    if (word >= seen_.size()) seen_.resize(std::max(word + 1, seen_.size() * 2));
    const std::uint64_t bit = std::uint64_t{1} << (sequence % 64);
    if ((seen_[word] & bit) != 0) return Arrival::kAgain;
    seen_[word] |= bit;
    count_++;
    if (sequence < end_) return Arrival::kLate;
    end_ = sequence + 1;
    return Arrival::kInOrder;
  }
  std::uint64_t missing() const { return end_ - count_; }

 private:
  std::vector<std::uint64_t> seen_;
  std::uint64_t end_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace traffic
