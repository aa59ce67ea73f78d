// Memory outside both heaps: page aligned, and given back to the kernel at once when the last owner lets go.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tapbridge {

class Mapping {
 public:
  // Anonymous and zeroed. Null when the kernel has no room; errno says why.
  static std::shared_ptr<Mapping> make(size_t bytes) {
    return of(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), bytes);
  }
  // The same for a table that is read in no order: aligned to huge pages, and of them where the kernel has some (madvise(2), MADV_HUGEPAGE).
  static std::shared_ptr<Mapping> make_huge(size_t bytes) {
    constexpr size_t kHugePage = size_t{2} << 20;
    const size_t rounded = (bytes + kHugePage - 1) & ~(kHugePage - 1);
    void* const reserved = ::mmap(nullptr, rounded + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
      return nullptr;
    }
    auto* const from = static_cast<uint8_t*>(reserved);
    const size_t lead = (kHugePage - reinterpret_cast<uintptr_t>(from) % kHugePage) % kHugePage;
    if (lead > 0) {
      ::munmap(from, lead);
    }
    if (lead < kHugePage) {
      ::munmap(from + lead + rounded, kHugePage - lead);
    }
    ::madvise(from + lead, rounded, MADV_HUGEPAGE);
    return of(from + lead, rounded);
  }
  // The beginning of what a descriptor stands for, shared with everybody who maps it; it outlives the descriptor. Null: errno says why.
  static std::shared_ptr<Mapping> of_file(int descriptor, size_t bytes) {
    return of(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), bytes);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(start_, bytes_); }

  uint8_t* start() const { return start_; }
  size_t bytes() const { return bytes_; }

 private:
  static std::shared_ptr<Mapping> of(void* start, size_t bytes) {
    return start == MAP_FAILED ? nullptr : std::shared_ptr<Mapping>(new Mapping(static_cast<uint8_t*>(start), bytes));
  }

  Mapping(uint8_t* start, size_t bytes) : start_(start), bytes_(bytes) {}

  uint8_t* start_;
  size_t bytes_;
};

}  // namespace tapbridge
