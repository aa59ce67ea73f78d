// Theory of operation.
//
// The ring is walked twice, first for its structure alone, so that a ring which makes no sense sends nothing. Then TAPs take one write per
// descriptor, packet sockets one sendmmsg per run of descriptors for the same port. A failure is recorded and the next descriptor goes on:
// a stuck port costs the others nothing. No offset is used before it was compared with the arena.
#include <cerrno>

#include "burst_io.h"

namespace tapbridge {

int BurstIo::send(int64_t words) {
  failure_pairs_ = 0;
  if (words < 0 || words > limits_.transmit_words || !well_formed(words)) {
    return -EINVAL;
  }
  const int32_t* const ring = words_of(transmit_);
  for (int64_t word = 0; word < words;) {
    const int32_t* const descriptor = ring + word;
    const int at = static_cast<int>(word);
    const bool known = descriptor[0] >= 0 && descriptor[0] < limits_.max_ports && ports_[static_cast<size_t>(descriptor[0])].descriptor;
    if (!known) {
      send_failed(at, ENODEV);
    } else if (!in_arena(descriptor)) {
      send_failed(at, EINVAL);
    } else if (const Port& port = ports_[static_cast<size_t>(descriptor[0])]; port.kind == Kind::tap) {
      send_tap(port, at);
    } else {
      word = send_packets(at, words);
      continue;
    }
    word += 2 + 2 * descriptor[1];
  }
  return failure_pairs_;
}

bool BurstIo::well_formed(int64_t words) const {
  const int32_t* const ring = words_of(transmit_);
  int64_t word = 0;
  while (word < words) {
    if (words - word < 4) {
      return false;
    }
    const int32_t segments = ring[word + 1];
    if (segments < 1 || segments > kMaxSegments) {
      return false;
    }
    word += 2 + 2 * int64_t{segments};
  }
  return word == words;
}

bool BurstIo::in_arena(const int32_t* descriptor) const {
  for (int32_t each = 0; each < descriptor[1]; each++) {
    const int64_t offset = descriptor[2 + 2 * each];
    const int64_t length = descriptor[3 + 2 * each];
    if (offset < 0 || length < 0 || offset + length > limits_.arena_bytes) {
      return false;
    }
  }
  return true;
}

void BurstIo::gather(const int32_t* descriptor, size_t iovec_at) {
  for (int32_t each = 0; each < descriptor[1]; each++) {
    iovec& target = iovecs_[iovec_at + static_cast<size_t>(each)];
    target.iov_base = arena_->start() + descriptor[2 + 2 * each];
    target.iov_len = static_cast<size_t>(descriptor[3 + 2 * each]);
  }
}

void BurstIo::send_tap(const Port& port, int word) {
  const int32_t* const descriptor = words_of(transmit_) + word;
  ssize_t count;
  do {
    if (descriptor[1] == 1) {
      count = ::write(port.descriptor.get(), arena_->start() + descriptor[2], static_cast<size_t>(descriptor[3]));
    } else {
      gather(descriptor, 0);
      count = ::writev(port.descriptor.get(), iovecs_.data(), descriptor[1]);
    }
  } while (count < 0 && errno == EINTR);
  if (count <= 0) {
    send_failed(word, count < 0 ? errno : EINVAL);
  }
}

// Sends the run of good descriptors for one port that starts at word `first`, at most kSendGroup of them. Returns the word behind it.
int BurstIo::send_packets(int first, int64_t words) {
  const int32_t* const ring = words_of(transmit_);
  int starts[kSendGroup];
  int count = 0;
  size_t iovecs = 0;
  int word = first;
  while (word < words && count < kSendGroup && ring[word] == ring[first] && (count == 0 || in_arena(ring + word))) {
    gather(ring + word, iovecs);
    msghdr& message = messages_[count].msg_hdr;
    message = msghdr{};
    message.msg_iov = &iovecs_[iovecs];
    message.msg_iovlen = static_cast<size_t>(ring[word + 1]);
    iovecs += message.msg_iovlen;
    starts[count++] = word;
    word += 2 + 2 * ring[word + 1];
  }
  const int socket = ports_[static_cast<size_t>(ring[first])].descriptor.get();
  for (int sent = 0; sent < count;) {
    const int result = ::sendmmsg(socket, messages_ + sent, static_cast<unsigned>(count - sent), MSG_DONTWAIT);
    if (result > 0) {
      sent += result;
    } else if (result < 0 && errno == EINTR) {
      continue;
    } else {
      const int error = result < 0 ? errno : EIO;
      send_failed(starts[sent++], error);
      // A full send buffer is full for the rest of the run too; trying on would let small frames overtake.
      while (error == EAGAIN && sent < count) {
        send_failed(starts[sent++], error);
      }
    }
  }
  return word;
}

void BurstIo::send_failed(int word, int error) {
  int32_t* const pair = words_of(failures_) + 2 * failure_pairs_++;
  pair[0] = word;
  pair[1] = error;
}

}  // namespace tapbridge
