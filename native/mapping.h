// Anonymous zeroed memory outside both heaps: page aligned, and given back to the kernel at once when the last owner lets go.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tapbridge {

class Mapping {
 public:
  // Null when the kernel has no room; errno says why.
  static std::shared_ptr<Mapping> make(size_t bytes) {
    void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
      return nullptr;
    }
    return std::shared_ptr<Mapping>(new Mapping(static_cast<uint8_t*>(start), bytes));
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(start_, bytes_); }

  uint8_t* start() const { return start_; }
  size_t bytes() const { return bytes_; }

 private:
  Mapping(uint8_t* start, size_t bytes) : start_(start), bytes_(bytes) {}

  uint8_t* start_;
  size_t bytes_;
};

}  // namespace tapbridge
