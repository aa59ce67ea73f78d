// The least a userspace bridge can do: frames from one TAP to the other and back, nothing decided, nothing counted. What it reaches is the
// ceiling of the mechanism (TAPs, a system call per read, merged datagrams), whatever the language of the rest; bench driver `tap-relay`.
//
//     tap-relay NAME NAME [--spin MICROS] [--burst FRAMES] [--bytes BYTES] [--pin CPU | --pin-last] [--idle] [--slice MICROS]
//               [--yield FRAMES] [--no-merge] [--no-gather] [--uring] [--acks] [--napi] [--huge]
//
// Makes both TAPs and says "ready": somebody may move them into their namespaces. Relays until SIGTERM.
//
//     --uring   reads of a burst are submitted together to io_uring instead of being a read(2) each
//     --acks    of acknowledgements of one connection in a burst only the last is sent; counts them at the end
//     --napi    IFF_NAPI: what is written goes through the interface's NAPI and GRO
//     --huge    asks for huge pages under the arena
//     --slice   a shorter turn on the core, which comes sooner
//     --idle    SCHED_IDLE: anybody else goes first
//     --yield   sched_yield after a pass of so many frames
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kVnet = 12;
constexpr std::size_t kEthernet = 14;
constexpr std::size_t kIpv4 = kVnet + kEthernet;
constexpr std::size_t kUdp = kIpv4 + 20;
constexpr std::size_t kPayload = kUdp + 8;
constexpr std::size_t kSlot = 66 * 1024;
constexpr int kMaxMerged = 64;
constexpr std::size_t kMaxIpv4 = 65'535;
// linux/if_tun.h since 6.2.
constexpr unsigned kUso4 = 0x20;
constexpr unsigned kUso6 = 0x40;

struct Options {
  const char* names[2] = {nullptr, nullptr};
  std::int64_t spin_nanos = 50'000;
  int burst = 64;
  std::size_t bytes = 2 << 20;
  int pin = -1;
  int yield = 0;
  std::uint64_t slice_nanos = 0;
  bool idle = false, merge = true, gather = true, uring = false, napi = false, huge = false, acks = false;
};

struct Frame {
  std::uint8_t* start;  // of its virtio-net header
  std::size_t bytes;    // with it
};

volatile std::sig_atomic_t ended = 0;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

unsigned word(const std::uint8_t* at) { return static_cast<unsigned>(at[0]) << 8 | at[1]; }
void set_word(std::uint8_t* at, unsigned value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
unsigned folded(unsigned sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
unsigned sum_of(const std::uint8_t* at, int words) {
  unsigned sum = 0;
  for (int index = 0; index < words; index++) sum += word(at + 2 * index);
  return sum;
}

int open_tap(const Options& options, const char* name) {
  const int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("/dev/net/tun");
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (options.napi ? IFF_NAPI : 0));
  if (ioctl(tap, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  int header = kVnet;
  if (ioctl(tap, TUNSETVNETHDRSZ, &header) < 0) fail("TUNSETVNETHDRSZ");
  if (ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | kUso4 | kUso6) < 0) fail("TUNSETOFFLOAD");
  return tap;
}

// A whole IPv4 datagram that is no super-frame. The engine checks lengths and checksums, too; here the generator is trusted.
bool mergeable(const Frame& frame) {
  const std::uint8_t* at = frame.start + kVnet;
  return frame.bytes > kPayload && frame.start[1] == 0 && word(at + 12) == 0x0800 && at[14] == 0x45 && at[23] == 17 &&
         (word(at + 20) & 0x3fff) == 0;
}
bool same_flow(const Frame& one, const Frame& other) {
  return one.bytes == other.bytes && std::memcmp(one.start + kVnet, other.start + kVnet, kEthernet) == 0 &&
         std::memcmp(one.start + kIpv4 + 12, other.start + kIpv4 + 12, 12) == 0;
}

// Brings the datagrams of each flow in a burst together, so that flows that take turns can be merged, too; each keeps its order.
class Gatherer {
 public:
  void gather(std::vector<Frame>& frames) {
    if (frames.size() < 3) return;
    firsts_.assign(kPlaces, -1);
    next_.assign(frames.size(), -1);
    last_.assign(frames.size(), -1);
    heads_.clear();
    for (int index = 0; index < static_cast<int>(frames.size()); index++) add(frames, index);
    gathered_.clear();
    for (const int head : heads_) {
      for (int index = head; index >= 0; index = next_[static_cast<std::size_t>(index)]) gathered_.push_back(frames[static_cast<std::size_t>(index)]);
    }
    frames.swap(gathered_);
  }

 private:
  static constexpr std::size_t kPlaces = 1024;

  void add(const std::vector<Frame>& frames, int index) {
    const Frame& frame = frames[static_cast<std::size_t>(index)];
    if (mergeable(frame)) {
      const std::uint8_t* at = frame.start + kUdp;
      int& first = firsts_[(word(at) * 31 + word(at + 2) + word(frame.start + kUdp - 6)) % kPlaces];
      if (first >= 0 && same_flow(frames[static_cast<std::size_t>(first)], frame)) {
        int& last = last_[static_cast<std::size_t>(first)];
        next_[static_cast<std::size_t>(last)] = index;
        last = index;
        return;
      }
      first = index;
    }
    last_[static_cast<std::size_t>(index)] = index;
    heads_.push_back(index);
  }

  std::vector<int> firsts_, next_, last_, heads_;
  std::vector<Frame> gathered_;
};

// Headers of a UDP_L4 super-frame of so many datagrams like the first.
void write_headers(std::uint8_t* to, const Frame& first, int datagrams) {
  const auto payload = static_cast<unsigned>(first.bytes - kPayload);
  const unsigned udp_bytes = 8 + payload * static_cast<unsigned>(datagrams);
  std::memcpy(to, first.start, kPayload);
  const std::uint16_t fields[] = {kPayload - kVnet, static_cast<std::uint16_t>(payload), kUdp - kVnet, 6};
  to[0] = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
  to[1] = 5;  // VIRTIO_NET_HDR_GSO_UDP_L4
  std::memcpy(to + 2, fields, sizeof fields);
  set_word(to + kIpv4 + 2, 20 + udp_bytes);
  set_word(to + kIpv4 + 10, 0);
  set_word(to + kIpv4 + 10, ~folded(sum_of(to + kIpv4, 10)));
  set_word(to + kUdp + 4, udp_bytes);
  set_word(to + kUdp + 6, folded(17 + udp_bytes + sum_of(to + kIpv4 + 12, 4)));
}

// An IPv4 TCP segment without payload whose flags are ACK and nothing else.
bool pure_ack(const Frame& frame) {
  const std::uint8_t* ip = frame.start + kIpv4;
  if (frame.bytes < kUdp + 20 || word(ip - 2) != 0x0800 || ip[0] != 0x45 || ip[9] != 6 || ip[33] != 0x10) return false;
  return word(ip + 2) == 20U + static_cast<unsigned>(ip[32] >> 4) * 4;
}
bool same_connection(const Frame& one, const Frame& other) {
  return std::memcmp(one.start + kIpv4 + 12, other.start + kIpv4 + 12, 12) == 0;
}

std::uint64_t acks_seen = 0;
std::uint64_t acks_left_out = 0;

// Leaves out an acknowledgement when the next frame is one of the same connection: it says all the first one did (and more, as they are cumulative).
void filter_acks(std::vector<Frame>& frames) {
  std::size_t kept = 0;
  for (std::size_t index = 0; index < frames.size(); index++) {
    const bool ack = pure_ack(frames[index]);
    acks_seen += ack ? 1 : 0;
    if (ack && index + 1 < frames.size() && pure_ack(frames[index + 1]) && same_connection(frames[index], frames[index + 1])) {
      acks_left_out++;
    } else {
      frames[kept++] = frames[index];
    }
  }
  frames.resize(kept);
}

void send(int tap, const std::vector<Frame>& frames, bool merge) {
  std::array<std::uint8_t, kPayload> headers;
  std::array<iovec, kMaxMerged + 1> parts;
  for (std::size_t index = 0; index < frames.size();) {
    const Frame& first = frames[index];
    int members = 1;
    if (merge && mergeable(first)) {
      const std::size_t room = (kMaxIpv4 - (kPayload - kIpv4)) / (first.bytes - kPayload);
      const int most = static_cast<int>(std::min<std::size_t>(kMaxMerged, room));
      while (index + static_cast<std::size_t>(members) < frames.size() && members < most) {
        const Frame& next = frames[index + static_cast<std::size_t>(members)];
        if (!mergeable(next) || !same_flow(first, next)) break;
        members++;
      }
    }
    int count = 1;
    parts[0] = {first.start, first.bytes};
    if (members > 1) {
      write_headers(headers.data(), first, members);
      parts[0] = {headers.data(), headers.size()};
      for (; count <= members; count++) {
        const Frame& each = frames[index + static_cast<std::size_t>(count) - 1];
        parts[static_cast<std::size_t>(count)] = {each.start + kPayload, each.bytes - kPayload};
      }
    }
    // What a TAP does not take is lost, as on a wire: an interface that is down yet, a receiver without memory.
    if (writev(tap, parts.data(), count) < 0 && errno == EBADFD) fail("writev");
    index += static_cast<std::size_t>(members);
  }
}

// Reads of a burst in one system call. How many are worth submitting is guessed from the last burst: twice what came when all came.
class Uring {
 public:
  Uring(const int* taps, std::uint8_t* arena, int burst) : arena_(arena), burst_(burst) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    ring_ = static_cast<int>(syscall(__NR_io_uring_setup, 2 * burst, &params));
    if (ring_ < 0) fail("io_uring_setup");
    auto* const submit = map(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    auto* const complete = map(params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe), IORING_OFF_CQ_RING);
    entries_ = reinterpret_cast<io_uring_sqe*>(map(params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    submit_tail_ = reinterpret_cast<unsigned*>(submit + params.sq_off.tail);
    submit_mask_ = params.sq_entries - 1;
    places_ = reinterpret_cast<unsigned*>(submit + params.sq_off.array);
    complete_head_ = reinterpret_cast<unsigned*>(complete + params.cq_off.head);
    complete_tail_ = reinterpret_cast<unsigned*>(complete + params.cq_off.tail);
    complete_mask_ = params.cq_entries - 1;
    completions_ = reinterpret_cast<io_uring_cqe*>(complete + params.cq_off.cqes);
    if (syscall(__NR_io_uring_register, ring_, IORING_REGISTER_FILES, taps, 2) < 0) fail("IORING_REGISTER_FILES");
  }

  void read(std::vector<Frame> (&frames)[2]) {
    unsigned submitted = 0;
    for (int port = 0; port < 2; port++) {
      for (int slot = 0; slot < guess_[port]; slot++, submitted++) submit(port, slot);
    }
    if (syscall(__NR_io_uring_enter, ring_, submitted, submitted, IORING_ENTER_GETEVENTS, nullptr, 0) < 0 && errno != EINTR) fail("io_uring_enter");
    unsigned head = *complete_head_;
    const unsigned tail = __atomic_load_n(complete_tail_, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
      const io_uring_cqe& done = completions_[head & complete_mask_];
      const auto port = static_cast<std::size_t>(done.user_data >> 32);
      if (done.res > 0) frames[port].push_back({slot_of(static_cast<int>(port), static_cast<int>(done.user_data & 0xffffffff)), static_cast<std::size_t>(done.res)});
    }
    __atomic_store_n(complete_head_, head, __ATOMIC_RELEASE);
    for (int port = 0; port < 2; port++) {
      const int came = static_cast<int>(frames[port].size());
      guess_[port] = came == guess_[port] ? std::min(burst_, 2 * came) : std::max(1, came);
    }
  }

 private:
  std::uint8_t* map(std::size_t bytes, std::int64_t what) const {
    void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_, what);
    if (at == MAP_FAILED) fail("mmap of io_uring");
    return static_cast<std::uint8_t*>(at);
  }
  std::uint8_t* slot_of(int port, int slot) const { return arena_ + static_cast<std::size_t>(port * burst_ + slot) * kSlot; }
  void submit(int port, int slot) {
    const unsigned tail = *submit_tail_;
    io_uring_sqe& entry = entries_[tail & submit_mask_];
    entry = {};
    entry.opcode = IORING_OP_READ;
    entry.flags = IOSQE_FIXED_FILE;
    entry.fd = port;
    entry.addr = reinterpret_cast<std::uint64_t>(slot_of(port, slot));
    entry.len = kSlot;
    entry.off = static_cast<std::uint64_t>(-1);
    entry.rw_flags = RWF_NOWAIT;  // an empty TAP answers EAGAIN; O_NONBLOCK would have it polled
    entry.user_data = static_cast<std::uint64_t>(port) << 32 | static_cast<unsigned>(slot);
    places_[tail & submit_mask_] = tail & submit_mask_;
    __atomic_store_n(submit_tail_, tail + 1, __ATOMIC_RELEASE);
  }

  std::uint8_t* arena_;
  int burst_;
  int ring_ = -1;
  int guess_[2] = {1, 1};
  io_uring_sqe* entries_ = nullptr;
  io_uring_cqe* completions_ = nullptr;
  unsigned *submit_tail_ = nullptr, *places_ = nullptr, *complete_head_ = nullptr, *complete_tail_ = nullptr;
  unsigned submit_mask_ = 0, complete_mask_ = 0;
};

void read_all(int tap, const Options& options, std::uint8_t* arena, std::vector<Frame>& frames) {
  std::size_t used = 0;
  while (static_cast<int>(frames.size()) < options.burst && used < options.bytes) {
    const ssize_t count = read(tap, arena + used, kSlot);
    if (count <= 0) return;
    frames.push_back({arena + used, static_cast<std::size_t>(count)});
    used += (static_cast<std::size_t>(count) + 63) & ~std::size_t{63};
  }
}

void place(const Options& options) {
  if (options.pin >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(options.pin), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) fail("sched_setaffinity");
  }
  if (options.slice_nanos > 0) {
    // struct sched_attr of linux/sched/types.h, its first version: glibc has no wrapper. sched_runtime is the slice of a normal thread since 6.12.
    struct {
      std::uint32_t size, policy;
      std::uint64_t flags;
      std::int32_t nice;
      std::uint32_t priority;
      std::uint64_t runtime, deadline, period;
    } attributes{.size = 48, .policy = SCHED_OTHER, .flags = 0, .nice = 0, .priority = 0, .runtime = options.slice_nanos, .deadline = 0, .period = 0};
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0) fail("sched_setattr");
  }
  const sched_param none{};
  if (options.idle && sched_setscheduler(0, SCHED_IDLE, &none) < 0) fail("SCHED_IDLE");
}

void relay(const Options& options, const int (&taps)[2]) {
  const std::size_t arena_bytes = std::max(2 * static_cast<std::size_t>(options.burst) * kSlot, options.bytes + kSlot);
  void* const mapped = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  if (options.huge && madvise(mapped, arena_bytes, MADV_HUGEPAGE) < 0) fail("MADV_HUGEPAGE");
  auto* const arena = static_cast<std::uint8_t*>(mapped);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const int tap : taps) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = tap}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, tap, &event) < 0) fail("epoll_ctl");
  }
  Uring* const uring = options.uring ? new Uring(taps, arena, options.burst) : nullptr;
  Gatherer gatherer;
  std::vector<Frame> frames[2];
  for (auto& each : frames) each.reserve(static_cast<std::size_t>(options.burst));

  std::int64_t quiet_since = now();
  while (ended == 0) {
    int got = 0;
    for (auto& each : frames) each.clear();
    if (uring != nullptr) uring->read(frames);
    for (std::size_t port = 0; port < 2; port++) {
      if (uring == nullptr) read_all(taps[port], options, arena, frames[port]);
      got += static_cast<int>(frames[port].size());
      if (options.acks) filter_acks(frames[port]);
      if (options.merge && options.gather) gatherer.gather(frames[port]);
      send(taps[1 - port], frames[port], options.merge);
    }
    if (options.yield > 0 && got >= options.yield) sched_yield();
    if (got > 0) {
      quiet_since = now();
    } else if (now() - quiet_since >= options.spin_nanos) {
      epoll_event events[2];
      epoll_wait(epoll, events, 2, 100);
      quiet_since = now();
    }
  }
}

Options parse(int count, char** words) {
  Options options;
  int names = 0;
  for (int index = 1; index < count; index++) {
    const std::string option = words[index];
    const auto value = [&] {
      if (++index == count) std::exit((std::fprintf(stderr, "%s: a number is missing\n", option.c_str()), 2));
      return std::atol(words[index]);
    };
    if (option == "--spin") options.spin_nanos = value() * 1000;
    else if (option == "--burst") options.burst = static_cast<int>(std::clamp(value(), 1L, 512L));
    else if (option == "--bytes") options.bytes = static_cast<std::size_t>(std::clamp(value(), 1L, 1L << 24));
    else if (option == "--pin") options.pin = static_cast<int>(value());
    else if (option == "--pin-last") options.pin = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) - 1;
    else if (option == "--yield") options.yield = static_cast<int>(value());
    else if (option == "--slice") options.slice_nanos = static_cast<std::uint64_t>(value()) * 1000;
    else if (option == "--idle") options.idle = true;
    else if (option == "--no-merge") options.merge = false;
    else if (option == "--no-gather") options.gather = false;
    else if (option == "--uring") options.uring = true;
    else if (option == "--acks") options.acks = true;
    else if (option == "--napi") options.napi = true;
    else if (option == "--huge") options.huge = true;
    else if (option[0] != '-' && names < 2) options.names[names++] = words[index];
    else std::exit((std::fprintf(stderr, "%s: not understood; the head of tap-relay.cc has the options\n", option.c_str()), 2));
  }
  if (names < 2) std::exit((std::fprintf(stderr, "usage: tap-relay NAME NAME [OPTIONS]\n"), 2));
  return options;
}

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  struct sigaction action {};
  action.sa_handler = [](int) { ended = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  const int taps[2] = {open_tap(options, options.names[0]), open_tap(options, options.names[1])};
  place(options);
  std::puts("ready");
  std::fflush(stdout);
  relay(options, taps);
  if (options.acks) {
    std::fprintf(stderr, "%llu of %llu acknowledgements left out\n", static_cast<unsigned long long>(acks_left_out),
                 static_cast<unsigned long long>(acks_seen));
  }
  return 0;
}
