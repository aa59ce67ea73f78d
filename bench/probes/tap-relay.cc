// The least a userspace bridge can do: frames from one port to the other and back, nothing decided, nothing counted, no address changed. What
// it reaches is the ceiling of the mechanism (TAPs and raw sockets, their system calls, merged datagrams), whatever the language of the rest;
// bench drivers `tap-relay` (two TAPs) and `nat-relay` (a raw socket on an uplink, and a TAP).
//
//     tap-relay PORT PORT [--spin MICROS] [--burst FRAMES] [--bytes BYTES] [--pin CPU | --pin-last] [--idle] [--slice MICROS]
//               [--yield FRAMES] [--awake] [--no-merge] [--no-gather] [--uring] [--acks] [--napi] [--huge]
//
//     PORT   NAME            a TAP, which is made
//            packet:NAME     a raw socket on an interface that is there. A VLAN tag the kernel took out of a frame is not put back
//
// Makes its ports in this order and says "ready": somebody may move the TAPs into their namespaces. Relays until SIGTERM.
//
//     --uring   TAPs only: reads of a burst are submitted together to io_uring instead of being a read(2) each
//     --acks    of acknowledgements of one connection in a burst only the last is sent; counts them at the end
//     --napi    IFF_NAPI: what is written to a TAP goes through its NAPI and GRO
//     --huge    asks for huge pages under the arena
//     --slice   a shorter turn on the core, which comes sooner
//     --idle    SCHED_IDLE: anybody else goes first
//     --yield   sched_yield after a pass of so many frames
//     --awake   as long as it runs, idle cores are kept from sleeping (/dev/cpu_dma_latency); and sched_yield after a pass of none
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "relay-bursts.h"

// include/uapi/linux/if_packet.h since Linux 6.4; older headers lack it.
#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif

using namespace probe;

namespace {

constexpr int kSocketBufferBytes = 8 << 20;
constexpr std::string_view kPacketPrefix = "packet:";
// linux/if_tun.h since 6.2.
constexpr unsigned kUso4 = 0x20;
constexpr unsigned kUso6 = 0x40;

struct Options {
  std::string ports[2];
  std::int64_t spin_nanos = 50'000;
  int burst = 64;
  std::size_t bytes = 2 << 20;
  int pin = -1;
  int yield = 0;
  bool awake = false;
  std::uint64_t slice_nanos = 0;
  bool idle = false, merge = true, gather = true, uring = false, napi = false, huge = false, acks = false;
};

volatile std::sig_atomic_t ended = 0;

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool is_packet(const std::string& port) { return port.starts_with(kPacketPrefix); }
std::string interface_of(const std::string& port) { return is_packet(port) ? port.substr(kPacketPrefix.size()) : port; }

int open_tap(const Options& options, const std::string& name) {
  const int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("/dev/net/tun");
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (options.napi ? IFF_NAPI : 0));
  if (ioctl(tap, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  int header = kVnet;
  if (ioctl(tap, TUNSETVNETHDRSZ, &header) < 0) fail("TUNSETVNETHDRSZ");
  if (ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | kUso4 | kUso6) < 0) fail("TUNSETOFFLOAD");
  return tap;
}

// As our addon opens the socket of an uplink.
int open_packet(const std::string& name) {
  // Protocol 0 hears nothing until bind names the interface.
  const int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (packet < 0) fail("AF_PACKET");
  const auto index = static_cast<int>(if_nametoindex(name.c_str()));
  if (index == 0) fail(name.c_str());
  const auto set = [&](int level, int option, int value) { return setsockopt(packet, level, option, &value, sizeof value) == 0; };
  if (!set(SOL_PACKET, PACKET_VNET_HDR_SZ, kVnet)) fail("PACKET_VNET_HDR_SZ");
  // Nobody looks at what it carries; our addon pays for it, too.
  if (!set(SOL_PACKET, PACKET_AUXDATA, 1)) fail("PACKET_AUXDATA");
  if (!set(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)) fail("PACKET_IGNORE_OUTGOING");
  if (!set(SOL_PACKET, PACKET_QDISC_BYPASS, 1)) fail("PACKET_QDISC_BYPASS");
  // Frames for the other port's address are not for the interface's own.
  packet_mreq membership{};
  membership.mr_ifindex = index;
  membership.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) < 0) fail("PACKET_MR_PROMISC");
  // Beyond net.core.?mem_max with CAP_NET_ADMIN, else as far as that limit allows.
  if (!set(SOL_SOCKET, SO_RCVBUFFORCE, kSocketBufferBytes)) set(SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes);
  if (!set(SOL_SOCKET, SO_SNDBUFFORCE, kSocketBufferBytes)) set(SOL_SOCKET, SO_SNDBUF, kSocketBufferBytes);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (bind(packet, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) fail("bind");
  return packet;
}

Port open_port(const Options& options, const std::string& port) {
  const std::string name = interface_of(port);
  return is_packet(port) ? Port{.descriptor = open_packet(name), .packet = true} : Port{.descriptor = open_tap(options, name)};
}

// Reads of a burst in one system call. How many are worth submitting is guessed from the last burst: twice what came when all came.
class Uring {
 public:
  Uring(const Port (&ports)[2], std::uint8_t* arena, int burst) : arena_(arena), burst_(burst) {
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
    const int taps[2] = {ports[0].descriptor, ports[1].descriptor};
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
  if (options.awake) {
    // Holds until the descriptor goes with the process (Documentation/power/pm_qos_interface.rst).
    const int latency = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
    const std::int32_t none_at_all = 0;
    if (latency < 0 || write(latency, &none_at_all, sizeof none_at_all) < 0) fail("/dev/cpu_dma_latency");
  }
}

void relay(const Options& options, Port (&ports)[2]) {
  const std::size_t arena_bytes = std::max({2 * static_cast<std::size_t>(options.burst) * kSlot, options.bytes + kSlot, kGroupArea});
  void* const mapped = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  if (options.huge && madvise(mapped, arena_bytes, MADV_HUGEPAGE) < 0) fail("MADV_HUGEPAGE");
  auto* const arena = static_cast<std::uint8_t*>(mapped);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const Port& port : ports) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = port.descriptor}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, port.descriptor, &event) < 0) fail("epoll_ctl");
  }
  Uring* const uring = options.uring ? new Uring(ports, arena, options.burst) : nullptr;
  Reader reader(options.burst, options.bytes, arena);
  Sender sender(options.merge);
  Gatherer gatherer;
  std::vector<Frame> frames[2];
  for (auto& each : frames) each.reserve(static_cast<std::size_t>(options.burst));

  std::int64_t quiet_since = now();
  while (ended == 0) {
    int got = 0;
    for (auto& each : frames) each.clear();
    if (uring != nullptr) uring->read(frames);
    for (std::size_t port = 0; port < 2; port++) {
      if (uring == nullptr) reader.read(ports[port], frames[port]);
      got += static_cast<int>(frames[port].size());
      if (options.acks) filter_acks(frames[port]);
      if (options.merge && options.gather) gatherer.gather(frames[port]);
      sender.send(ports[1 - port], frames[port]);
    }
    if ((options.yield > 0 && got >= options.yield) || (options.awake && got == 0)) sched_yield();
    if (got > 0) {
      quiet_since = now();
    } else if (now() - quiet_since >= options.spin_nanos) {
      epoll_event events[2];
      epoll_wait(epoll, events, 2, 100);
      quiet_since = now();
    }
  }
}

[[noreturn]] void refuse(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(2);
}

void check(const Options& options) {
  int packets = 0;
  for (const std::string& port : options.ports) {
    const std::string name = interface_of(port);
    if (name.empty() || name.size() >= IFNAMSIZ) refuse(port + ": an interface has a name of 1 to " + std::to_string(IFNAMSIZ - 1) + " bytes");
    packets += is_packet(port) ? 1 : 0;
  }
  if (options.ports[0] == options.ports[1]) refuse(options.ports[0] + ": a port cannot be its own other side");
  if (interface_of(options.ports[0]) == interface_of(options.ports[1])) refuse("the two ports of one interface would feed each other");
  if (options.uring && packets > 0) refuse("--uring reads TAPs only: a packet socket is read by recvmmsg");
  if (options.napi && packets == 2) refuse("--napi is for TAPs, and both ports are packet sockets");
}

Options parse(int count, char** words) {
  Options options;
  int ports = 0;
  for (int index = 1; index < count; index++) {
    const std::string option = words[index];
    const auto value = [&] {
      if (++index == count) refuse(option + ": a number is missing");
      return std::atol(words[index]);
    };
    if (option == "--spin") options.spin_nanos = value() * 1000;
    else if (option == "--burst") options.burst = static_cast<int>(std::clamp(value(), 1L, 512L));
    else if (option == "--bytes") options.bytes = static_cast<std::size_t>(std::clamp(value(), 1L, 1L << 24));
    else if (option == "--pin") options.pin = static_cast<int>(value());
    else if (option == "--pin-last") options.pin = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) - 1;
    else if (option == "--yield") options.yield = static_cast<int>(value());
    else if (option == "--awake") options.awake = true;
    else if (option == "--slice") options.slice_nanos = static_cast<std::uint64_t>(value()) * 1000;
    else if (option == "--idle") options.idle = true;
    else if (option == "--no-merge") options.merge = false;
    else if (option == "--no-gather") options.gather = false;
    else if (option == "--uring") options.uring = true;
    else if (option == "--acks") options.acks = true;
    else if (option == "--napi") options.napi = true;
    else if (option == "--huge") options.huge = true;
    else if (option[0] != '-' && ports < 2) options.ports[ports++] = option;
    else refuse(option + ": not understood; the head of tap-relay.cc has the options");
  }
  if (ports < 2) refuse("usage: tap-relay PORT PORT [OPTIONS]");
  check(options);
  return options;
}

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  struct sigaction action {};
  action.sa_handler = [](int) { ended = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  Port ports[2] = {open_port(options, options.ports[0]), open_port(options, options.ports[1])};
  place(options);
  std::puts("ready");
  std::fflush(stdout);
  relay(options, ports);
  if (options.acks) {
    std::fprintf(stderr, "%llu of %llu acknowledgements left out\n", static_cast<unsigned long long>(acks_left_out),
                 static_cast<unsigned long long>(acks_seen));
  }
  return 0;
}
