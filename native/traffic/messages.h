// A burst for sendmmsg or recvmmsg: as many slots of memory, each with its message, made once before the trial.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace traffic {

class Messages {
 public:
  Messages(std::size_t count, std::size_t slot_bytes)
      : slot_bytes_(slot_bytes), memory_(count * slot_bytes), segments_(count), messages_(count) {
    for (std::size_t index = 0; index < count; index++) {
      segments_[index] = {.iov_base = slot(index), .iov_len = slot_bytes};
      messages_[index].msg_hdr.msg_iov = &segments_[index];
      messages_[index].msg_hdr.msg_iovlen = 1;
    }
  }
  std::uint8_t* slot(std::size_t index) { return memory_.data() + index * slot_bytes_; }
  msghdr& header(std::size_t index) { return messages_[index].msg_hdr; }
  // What recvmmsg wrote to a slot, in bytes.
  std::size_t length(std::size_t index) const { return messages_[index].msg_len; }

  // Both return how many messages the kernel took or gave, or -1 with errno.
  int send(int fd, std::size_t count) { return sendmmsg(fd, messages_.data(), static_cast<unsigned>(count), 0); }
  int receive(int fd) { return recvmmsg(fd, messages_.data(), static_cast<unsigned>(messages_.size()), MSG_DONTWAIT, nullptr); }

 private:
  std::size_t slot_bytes_;
  std::vector<std::uint8_t> memory_;
  std::vector<iovec> segments_;
  std::vector<mmsghdr> messages_;
};

}  // namespace traffic
