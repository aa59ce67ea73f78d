// Delays in the buckets of an HDR histogram of two digits: 128 buckets a power of two, so none is wider than 1/128 of its value, and each
// nanosecond below 128 has its own.
//
//     index    0 … 127           128 … 255           256 … 383           ...
//     value    0 … 127, each 1   128 … 255, each 1   256 … 511, each 2   ...
//
// Counts are doubles in memory of JavaScript's; src/lab/delay-histogram.ts reads them by the same rule.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace traffic {

constexpr int kSubBucketBits = 7;
// 2^40 ns are 18 minutes; what is longer counts as that.
constexpr int kMaxDelayBits = 40;
constexpr std::size_t kDelayBuckets = static_cast<std::size_t>(kMaxDelayBits - kSubBucketBits + 1) << kSubBucketBits;

class DelayHistogram {
 public:
  // `counts`: kDelayBuckets cells, zeroed, that outlive this.
  explicit DelayHistogram(double* counts) : counts_(counts) {}

  void add(std::int64_t nanos) {
    const std::uint64_t value = static_cast<std::uint64_t>(std::clamp<std::int64_t>(nanos, 0, kMaxDelay));
    counts_[index_of(value)] += 1;
    count_++;
    max_ = std::max(max_, value);
  }
  // Upper edge of the bucket that holds this share of all.
  double quantile(double share) const {
    double left = share * static_cast<double>(count_);
    for (std::size_t index = 0; index < kDelayBuckets; index++) {
      left -= counts_[index];
      if (left < 0) return std::min(upper_edge(index), static_cast<double>(max_));
    }
    return static_cast<double>(max_);
  }
  double max() const { return static_cast<double>(max_); }

 private:
  static constexpr std::int64_t kMaxDelay = (std::int64_t{1} << kMaxDelayBits) - 1;

  static std::size_t index_of(std::uint64_t value) {
    const int shift = std::max(static_cast<int>(std::bit_width(value)) - 1 - kSubBucketBits, 0);
    return (static_cast<std::size_t>(shift) << kSubBucketBits) + static_cast<std::size_t>(value >> shift);
  }
  static double upper_edge(std::size_t index) {
    const std::size_t shift = index < (2U << kSubBucketBits) ? 0 : (index >> kSubBucketBits) - 1;
    const std::uint64_t lower = static_cast<std::uint64_t>(index - (shift << kSubBucketBits)) << shift;
    return static_cast<double>(lower + (std::uint64_t{1} << shift) - 1);
  }

  double* counts_;
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

// A histogram with memory of its own, for what stays in native code.
struct DelayCounts {
  std::vector<double> counts = std::vector<double>(kDelayBuckets);
  DelayHistogram histogram{counts.data()};
};

}  // namespace traffic
