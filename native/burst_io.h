// Burst receive and burst send of one engine; see README.md for the layout of the buffers.
#pragma once

#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "descriptor.h"
#include "descriptor_room.h"
#include "mapping.h"
#include "waker.h"

namespace tapbridge {

struct BurstLimits {
  int64_t arena_bytes = 0;
  int64_t receive_bytes = 0;
  int64_t batch_frames = 0;
  int64_t receive_frames = 0;
  int64_t batch_bytes = 0;
  int64_t burst_frames = 0;
  int64_t transmit_words = 0;
  int64_t max_ports = 0;
};

inline int32_t* words_of(const std::shared_ptr<Mapping>& mapping) { return reinterpret_cast<int32_t*>(mapping->start()); }

class BurstIo {
 public:
  enum class Kind : int { tap = 0, packet = 1 };

  static constexpr int64_t kSlotRoom = 64 * 1027;
  static constexpr int kMaxSegments = 130;

  // Null when memory or descriptors are short; `error` is -errno then. The limits were checked by `sensible`.
  static std::unique_ptr<BurstIo> make(const BurstLimits& limits, int& error);
  static bool sensible(const BurstLimits& limits);

  int add(int64_t port, int descriptor, Kind kind, int header_bytes);
  int remove(int64_t port);
  int receive(int64_t spin_nanos, int64_t sleep_nanos, bool yields);
  int send(int64_t words);
  int waker() const { return waker_.number(); }

  const std::shared_ptr<Mapping>& arena() const { return arena_; }
  const std::shared_ptr<Mapping>& received() const { return received_; }
  const std::shared_ptr<Mapping>& transmit() const { return transmit_; }
  const std::shared_ptr<Mapping>& failures() const { return failures_; }
  const std::shared_ptr<Mapping>& errors() const { return errors_; }
  const std::shared_ptr<Mapping>& status() const { return status_; }

 private:
  static constexpr int kGroup = 32;      // messages of one recvmmsg
  static constexpr int kSendGroup = 64;  // messages of one sendmmsg

  struct Port {
    Descriptor descriptor;
    Kind kind = Kind::tap;
    int header_bytes = 0;
    bool polled = false;
    int hiccups = 0;         // reads in a row that failed in a way which may pass
    int64_t last_bytes = 1;  // of the frame read last
  };

  union Control {
    cmsghdr alignment;
    uint8_t bytes[CMSG_SPACE(sizeof(tpacket_auxdata))];
  };

  explicit BurstIo(const BurstLimits& limits) : limits_(limits) {}
  int open();

  int wait(int64_t nanos);
  void poll(int64_t nanos);
  bool anything() const { return frames_ > 0 || error_pairs_ > 0 || woken_; }
  bool room() const { return frames_ < limits_.receive_frames && bytes_ < limits_.batch_bytes && limits_.receive_bytes - end_ >= kSlotRoom; }
  void serve();
  int ready_from(int port) const;
  bool read_tap(int number, Port& port, bool trouble);
  bool read_packet(int number, Port& port, bool trouble);
  int read_group(Port& port, int wanted);
  void deliver(int port, int64_t at, int64_t length);
  void read_failed(int number, Port& port, int error, bool trouble);
  void fail(int number, Port& port, int error);

  bool well_formed(int64_t words) const;
  bool in_arena(const int32_t* descriptor) const;
  void send_tap(const Port& port, int word);
  int send_packets(int first, int64_t words);
  void gather(const int32_t* descriptor, size_t iovec_at);
  void send_failed(int word, int error);

  BurstLimits limits_;
  std::shared_ptr<Mapping> arena_;
  std::shared_ptr<Mapping> received_;
  std::shared_ptr<Mapping> transmit_;
  std::shared_ptr<Mapping> failures_;
  std::shared_ptr<Mapping> errors_;
  std::shared_ptr<Mapping> status_;

  Waker waker_;
  Descriptor epoll_;
  bool fine_sleep_ = true;  // epoll_pwait2 exists
  std::vector<Port> ports_;
  std::vector<epoll_event> events_;
  std::vector<uint64_t> ready_;    // bit per port
  std::vector<uint64_t> trouble_;  // bit per port: EPOLLERR or EPOLLHUP
  int64_t slept_until_ = 0;        // end of the last sleep of this receive
  int64_t began_ = 0;              // when the pass under way found its work
  int next_ = 0;                   // port to start with
  int64_t frames_ = 0;
  int64_t bytes_ = 0;
  int64_t end_ = 0;
  int error_pairs_ = 0;
  int failure_pairs_ = 0;
  bool woken_ = false;
  bool more_ = false;

  mmsghdr messages_[kSendGroup]{};
  iovec group_iovecs_[kGroup]{};
  Control controls_[kGroup]{};
  std::vector<iovec> iovecs_;
  DescriptorRoom descriptor_room_;
};

}  // namespace tapbridge
