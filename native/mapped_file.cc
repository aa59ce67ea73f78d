// Touching a page of a mapping that the file does not have is no error a call could return: it is SIGBUS, the end of the process. Two causes of it
// are ruled out here, before the memory is handed out: a file that is too short, and a file system that has no room when a hole is first written.
// The third, somebody who shortens the file later, is not ours to rule out (README.md, Memory).
#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace tapbridge {

std::shared_ptr<Mapping> map_file(int descriptor, size_t bytes, int& error) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    error = -errno;
    return nullptr;
  }
  if (!S_ISREG(status.st_mode) || status.st_size < 0 || static_cast<size_t>(status.st_size) < bytes) {
    error = -EINVAL;
    return nullptr;
  }
  int reserved = 0;
  do {
    reserved = ::fallocate(descriptor, 0, 0, static_cast<off_t>(bytes));
  } while (reserved != 0 && errno == EINTR);
  if (reserved != 0) {
    error = -errno;
    return nullptr;
  }
  auto mapping = Mapping::of_file(descriptor, bytes);
  if (mapping == nullptr) {
    error = -errno;
    return nullptr;
  }
  // Where tmpfs takes the advice (huge=advise); elsewhere nothing happens.
  ::madvise(mapping->start(), mapping->bytes(), MADV_HUGEPAGE);
  return mapping;
}

}  // namespace tapbridge
