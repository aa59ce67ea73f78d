// Theory of operation.
//
// receive: one epoll_wait tells which ports have frames; each of them is read until it is empty or has given its burst, into slots that lie
// back to back at the start of the arena. Ports are visited in order of their numbers, beginning behind the one served last when the batch
// or the receive area ran out, or there are bytes enough for one batch: nobody starves. Polling is level triggered, so what stays unread is seen by the next call without any memory
// of it here.
//
//   TAP slot       | 2 | vnet 12 | frame ...            one read(2) per frame: TAPs have no mmsg
//   packet slot    | 6 | vnet 12 | frame ...            recvmmsg(2) in groups; lengths are unknown before, so a group's slots lie a full
//                                                       kSlotRoom apart (untouched pages cost nothing); the next group starts behind the last
//   with VLAN tag  | 2 | vnet 12 | dst src tag rest ... the kernel moved the tag to PACKET_AUXDATA; vnet header and addresses go 4 bytes
//                                                       down and the tag back into the gap: 24 bytes move, the payload stays
//
// Slots start at multiples of 64, so a frame always starts at 2 mod 4 with its 12-byte vnet header directly before it, and IPv4 headers are
// aligned to 4. A slot is 1027 cache lines: an odd number, so that the heads of a group do not fall into the same cache sets.
//
// Sending is in burst_send.cc.
#include "burst_io.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <limits>

#include "clock.h"
#include "packet_socket.h"
#include "tap.h"
#include "vlan_tag.h"
#include "vnet_header.h"

namespace tapbridge {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int kTapFrameAt = 14;
constexpr int kPacketFrameAt = 18;
// Longest frame: 65,535 bytes of IP behind an Ethernet header with tags, rounded up. Anything longer is cut here.
constexpr int64_t kFrameRoom = 65600;
static_assert(kPacketFrameAt == kTapFrameAt + kTagBytes);
static_assert(kPacketFrameAt + kFrameRoom <= BurstIo::kSlotRoom);
static_assert(BurstIo::kSlotRoom % kAlignment == 0);

// Errors of reading one frame (drivers/net/tun.c tun_put_user, net/packet/af_packet.c packet_recvmsg) cost that frame, not the port; but a
// port that gives nothing else would keep the loop awake for ever.
constexpr int kMaxHiccups = 1024;
constexpr uint64_t kWakerKey = UINT64_MAX;
constexpr size_t kMaxEvents = 1024;
constexpr size_t kStatusColumns = 11;

bool may_pass(int error) { return error == EINVAL || error == ENOMEM || error == ENOBUFS || error == EMSGSIZE; }

}  // namespace

bool BurstIo::sensible(const BurstLimits& limits) {
  constexpr int64_t kMebi = 1 << 20;
  constexpr int64_t kMany = 65536;
  return limits.arena_bytes >= kMebi && limits.arena_bytes <= 1024 * kMebi && limits.arena_bytes % 4096 == 0 &&
         limits.receive_bytes >= kSlotRoom && limits.receive_bytes <= limits.arena_bytes && limits.batch_frames >= 1 &&
         limits.batch_frames <= kMany && limits.receive_frames >= 1 && limits.receive_frames <= limits.batch_frames &&
         limits.batch_bytes >= 1 && limits.batch_bytes <= limits.arena_bytes && limits.burst_frames >= 1 &&
         limits.burst_frames <= kMany && limits.transmit_words >= 4 && limits.transmit_words <= 16 * kMebi &&
         limits.max_ports >= 1 && limits.max_ports <= kMany;
}

std::unique_ptr<BurstIo> BurstIo::make(const BurstLimits& limits, int& error) {
  std::unique_ptr<BurstIo> made(new BurstIo(limits));
  error = made->open();
  return error == 0 ? std::move(made) : nullptr;
}

int BurstIo::open() {
  const auto ports = static_cast<size_t>(limits_.max_ports);
  const auto words = static_cast<size_t>(limits_.transmit_words);
  // The shortest descriptor takes four words.
  const struct {
    std::shared_ptr<Mapping>* mapping;
    size_t bytes;
  } wanted[] = {
      {&arena_, static_cast<size_t>(limits_.arena_bytes)},
      {&received_, static_cast<size_t>(limits_.batch_frames) * 3 * sizeof(int32_t)},
      {&transmit_, words * sizeof(int32_t)},
      {&failures_, words / 4 * 2 * sizeof(int32_t)},
      {&errors_, ports * 2 * sizeof(int32_t)},
      {&status_, kStatusColumns * sizeof(double)},
  };
  for (const auto& each : wanted) {
    *each.mapping = Mapping::make(each.bytes);
    if (*each.mapping == nullptr) {
      return -errno;
    }
  }
  ports_.resize(ports);
  events_.resize(std::min(ports + 1, kMaxEvents));
  ready_.resize((ports + 63) / 64);
  trouble_.resize(ready_.size());
  iovecs_.resize(std::max<size_t>(words / 2, kMaxSegments));

  const int result = waker_.open();
  if (result < 0) {
    return result;
  }
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) {
    return -errno;
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakerKey;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waker_.number(), &event) != 0) {
    return -errno;
  }
  // With one engine a port has a descriptor here and one at its opener; the rest is for everything else in the process. Several engines need more only
  // when they have hundreds of ports each, and the kernel makes room then.
  constexpr int64_t kOthers = 512;
  descriptor_room_.make(2 * limits_.max_ports + kOthers);
  return 0;
}

int BurstIo::add(int64_t number, int descriptor, Kind kind, int header_bytes) {
  if (number < 0 || number >= limits_.max_ports) {
    return -EINVAL;
  }
  Port& port = ports_[static_cast<size_t>(number)];
  if (port.descriptor) {
    return -EEXIST;
  }
  const int verdict = kind == Kind::tap ? check_tap(descriptor, header_bytes) : check_packet(descriptor, header_bytes);
  if (verdict < 0) {
    return verdict;
  }
  Descriptor duplicate(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!duplicate) {
    return -errno;
  }
  const int flags = ::fcntl(duplicate.get(), F_GETFL);
  if (flags < 0 || ::fcntl(duplicate.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return -errno;
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<uint64_t>(number);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, duplicate.get(), &event) != 0) {
    return -errno;
  }
  port = Port{std::move(duplicate), kind, header_bytes, true, 0};
  return 0;
}

int BurstIo::remove(int64_t number) {
  if (number < 0 || number >= limits_.max_ports) {
    return -EINVAL;
  }
  Port& port = ports_[static_cast<size_t>(number)];
  if (!port.descriptor) {
    return -ENODEV;
  }
  // Explicitly: epoll forgets a file only when its last duplicate is closed, and the opener still holds one.
  if (port.polled) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.descriptor.get(), nullptr);
  }
  port = Port{};
  return 0;
}

int BurstIo::receive(int64_t spin_nanos, int64_t sleep_nanos, bool yields) {
  frames_ = 0;
  bytes_ = 0;
  end_ = 0;
  error_pairs_ = 0;
  woken_ = false;
  more_ = false;

  const int64_t entered = monotonic_nanos();
  // Until when looking has found nothing: what comes behind is work.
  int64_t polled = entered;
  slept_until_ = 0;
  poll(0);
  int64_t now = monotonic_nanos();
  if (!anything()) {
    const int64_t spin_end = now + spin_nanos;
    while (now < spin_end && !anything()) {
      polled = now;
      if (yields) {
        ::sched_yield();
      }
      poll(0);
      now = monotonic_nanos();
    }
    const int64_t sleep_end = sleep_nanos < 0 ? std::numeric_limits<int64_t>::max() : now + sleep_nanos;
    if (!anything()) {
      polled = now;
    }
    while (now < sleep_end && !anything()) {
      poll(sleep_end - now);
      now = monotonic_nanos();
    }
  }

  auto* const status = reinterpret_cast<double*>(status_->start());
  status[0] = static_cast<double>(now) / 1000.0;
  status[1] = woken_ ? 1 : 0;
  status[2] = error_pairs_;
  status[3] = static_cast<double>(end_);
  status[4] = more_ ? 1 : 0;
  // Where the loop's time goes. The pass before ended when this call began; sums, so that who reads them may do so seldom.
  const int64_t slept = std::max<int64_t>(0, slept_until_ - polled);
  const double busy = began_ == 0 ? 0 : static_cast<double>(entered - began_) / 1000.0;
  began_ = polled + slept;
  status[5] += 1;
  status[6] += more_ ? 1 : 0;
  status[7] += busy;
  status[8] += static_cast<double>(polled - entered) / 1000.0;
  status[9] += static_cast<double>(slept) / 1000.0;
  status[10] = std::max(status[10], busy);
  return static_cast<int>(frames_);
}

int BurstIo::wait(int64_t nanos) {
  const int room = static_cast<int>(events_.size());
  if (nanos == 0) {
    return ::epoll_wait(epoll_.get(), events_.data(), room, 0);
  }
  constexpr int64_t kSecond = 1'000'000'000;
#ifdef SYS_epoll_pwait2
  if (fine_sleep_) {
    // struct __kernel_timespec: 64 bits on every architecture.
    const struct {
      int64_t seconds;
      int64_t nanos;
    } timeout{nanos / kSecond, nanos % kSecond};
    const long count = ::syscall(SYS_epoll_pwait2, epoll_.get(), events_.data(), room, &timeout, nullptr, 0);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
      return static_cast<int>(count);
    }
    fine_sleep_ = false;  // Linux before 5.11, or a seccomp filter that does not know it
  }
#endif
  const int64_t millis = std::min<int64_t>((nanos - 1) / 1'000'000 + 1, INT_MAX);
  return ::epoll_wait(epoll_.get(), events_.data(), room, static_cast<int>(millis));
}

// One look at all ports, and reading what it shows. Interrupted by a signal it shows nothing; the caller's loop looks again.
void BurstIo::poll(int64_t nanos) {
  const int count = wait(nanos);
  if (nanos > 0) {
    slept_until_ = monotonic_nanos();
  }
  if (count <= 0) {
    return;
  }
  more_ = static_cast<size_t>(count) == events_.size();
  bool any = false;
  for (int each = 0; each < count; each++) {
    const epoll_event& event = events_[static_cast<size_t>(each)];
    if (event.data.u64 == kWakerKey) {
      waker_.drain();
      woken_ = true;
      continue;
    }
    const uint64_t bit = uint64_t{1} << (event.data.u64 & 63);
    ready_[event.data.u64 >> 6] |= bit;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) {
      trouble_[event.data.u64 >> 6] |= bit;
    }
    any = true;
  }
  if (any) {
    serve();
    std::fill(ready_.begin(), ready_.end(), 0);
    std::fill(trouble_.begin(), trouble_.end(), 0);
  }
}

void BurstIo::serve() {
  const int start = next_;
  bool wrapped = false;
  int number = ready_from(start);
  for (;;) {
    if (number < 0 || (wrapped && number >= start)) {
      if (wrapped) {
        break;
      }
      wrapped = true;
      number = ready_from(0);
      continue;
    }
    if (!room()) {
      next_ = number;
      more_ = true;
      break;
    }
    Port& port = ports_[static_cast<size_t>(number)];
    next_ = number + 1;
    const bool trouble = (trouble_[static_cast<size_t>(number) >> 6] >> (number & 63) & 1) != 0;
    const bool goes_on = port.kind == Kind::tap ? read_tap(number, port, trouble) : read_packet(number, port, trouble);
    if (!goes_on) {
      more_ = true;
      break;
    }
    number = ready_from(number + 1);
  }
}

// The first ready port at or behind `port`, or -1.
int BurstIo::ready_from(int port) const {
  if (port >= limits_.max_ports) {
    return -1;
  }
  size_t word = static_cast<size_t>(port) >> 6;
  uint64_t bits = ready_[word] & (~uint64_t{0} << (port & 63));
  while (bits == 0) {
    if (++word == ready_.size()) {
      return -1;
    }
    bits = ready_[word];
  }
  return static_cast<int>(word * 64) + __builtin_ctzll(bits);
}

void BurstIo::deliver(int port, int64_t at, int64_t length) {
  int32_t* const received = words_of(received_);
  received[frames_] = port;
  received[limits_.batch_frames + frames_] = static_cast<int32_t>(at);
  received[2 * limits_.batch_frames + frames_] = static_cast<int32_t>(length);
  frames_++;
  bytes_ += length;
  end_ = (at + length + kAlignment - 1) & -kAlignment;
}

// False when the batch or the receive area is full.
bool BurstIo::read_tap(int number, Port& port, bool trouble) {
  const int header = port.header_bytes;
  for (int64_t budget = limits_.burst_frames; budget > 0; budget--) {
    if (!room()) {
      return false;
    }
    uint8_t* const frame = arena_->start() + end_ + kTapFrameAt;
    ssize_t count;
    do {
      count = ::read(port.descriptor.get(), frame - header, static_cast<size_t>(header + kFrameRoom));
    } while (count < 0 && errno == EINTR);
    if (count <= header) {
      read_failed(number, port, count < 0 ? errno : EINVAL, trouble);
      return true;
    }
    if (header == 0) {
      std::memset(frame - kVnetBytes, 0, kVnetBytes);
    }
    port.hiccups = 0;
    trouble = false;
    deliver(number, end_ + kTapFrameAt, count - header);
  }
  more_ = true;
  return true;
}

bool BurstIo::read_packet(int number, Port& port, bool trouble) {
  const int header = port.header_bytes;
  for (int64_t budget = limits_.burst_frames; budget > 0;) {
    if (!room()) {
      return false;
    }
    // How many bytes they have is known only then: as many as the last one, likely.
    const int64_t likely = 1 + (limits_.batch_bytes - bytes_) / port.last_bytes;
    const int64_t slots = std::min({budget, int64_t{kGroup}, likely, limits_.receive_frames - frames_, (limits_.receive_bytes - end_) / kSlotRoom});
    const int wanted = static_cast<int>(slots);
    const int64_t base = end_;
    const int count = read_group(port, wanted);
    if (count < 0) {
      read_failed(number, port, -count, trouble);
      return true;
    }
    for (int each = 0; each < count; each++) {
      int64_t at = base + each * kSlotRoom + kPacketFrameAt;
      int64_t length = static_cast<int64_t>(messages_[each].msg_len) - header;
      if (length <= 0) {
        continue;
      }
      uint8_t* const frame = arena_->start() + at;
      if (header == 0) {
        std::memset(frame - kVnetBytes, 0, kVnetBytes);
      }
      const int moved = restore_tag(messages_[each].msg_hdr, frame, length, header != 0);
      deliver(number, at - moved, length + moved);
      port.last_bytes = length;
    }
    port.hiccups = 0;
    trouble = false;
    budget -= count;
    if (count < wanted) {
      return true;  // empty; an error behind the last frame is told by the next call
    }
  }
  more_ = true;
  return true;
}

// Reads up to `wanted` frames into slots a full room apart. Returns their number or -errno.
int BurstIo::read_group(Port& port, int wanted) {
  uint8_t* slot = arena_->start() + end_;
  for (int each = 0; each < wanted; each++, slot += kSlotRoom) {
    iovec& target = group_iovecs_[each];
    target.iov_base = slot + kPacketFrameAt - port.header_bytes;
    target.iov_len = static_cast<size_t>(port.header_bytes + kFrameRoom);
    msghdr& message = messages_[each].msg_hdr;
    message = msghdr{};
    message.msg_iov = &target;
    message.msg_iovlen = 1;
    message.msg_control = controls_[each].bytes;
    message.msg_controllen = sizeof controls_[each].bytes;
  }
  int count;
  do {
    count = ::recvmmsg(port.descriptor.get(), messages_, static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? -errno : count;
}

void BurstIo::read_failed(int number, Port& port, int error, bool trouble) {
  if (error == EAGAIN) {
    // Poll says error or hang-up and there is nothing to read: the descriptor is dead, and would keep the loop awake.
    if (trouble) {
      fail(number, port, EIO);
    }
  } else if (!may_pass(error) || ++port.hiccups >= kMaxHiccups) {
    fail(number, port, error);
  }
}

// Takes the port out of the poll set and reports it, once; it stays a port until `remove`.
void BurstIo::fail(int number, Port& port, int error) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port.descriptor.get(), nullptr);
  port.polled = false;
  port.hiccups = 0;
  int32_t* const pair = words_of(errors_) + 2 * error_pairs_++;
  pair[0] = number;
  pair[1] = error;
}

}  // namespace tapbridge
