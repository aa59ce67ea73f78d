// The gateway shares the addresses of an uplink with the host's own stack. Two programs of one text keep the two apart:
//
//     NIC ─▶ packet socket, filter: passes what is the gateway's ─▶ engine
//        └─▶ ingress, classifier:   drops what is the gateway's  ─▶ the rest: host's stack
//                     both ask one map: bit set = the gateway's
//
// The text asks for the destination address (one of 16), then for one bit by protocol class: of TCP and UDP the destination port, of ICMP answers the
// identifier, of ICMP errors the source port or identifier of the packet they quote, of other protocols a hash of protocol and remote address.
// A frame with a VLAN tag is for another interface, one that is not for this host's MAC is nobody's.
//
// Three kinds of frames both sides get: ARP; IPv4 fragments behind the first, which carry no port, and which the host's stack drops silently when
// they are the gateway's, because it never sees their first fragment and without that sends no error (RFC 792, type 11 code 1); and what belongs to
// an ICMP query, because the host takes identifiers where it likes: an answer nobody there waits for it ignores, and its own must not be lost.
//
// Frames are read by bpf_skb_load_bytes, not by LD_ABS: that ends the program with 0 outside the frame, at ingress TC_ACT_OK, and classifiers behind
// ours would not be asked.
//
// Kernel: array maps that can be mapped since 5.5, no RLIMIT_MEMLOCK since 5.11, tcx links since 6.6. The structures below are the beginnings of
// union bpf_attr (include/uapi/linux/bpf.h), which the kernel takes as being zero behind; headers of distributions are older than the kernels.
#include "guard.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <new>
#include <vector>

#include "bpf_program.h"
#include "descriptor.h"
#include "netns.h"
#include "packet_socket.h"

namespace tapbridge {
namespace {

// The map, as src/nat/port-guard.ts has it.
constexpr int kSlots = 16;
constexpr int kClasses = 4;
constexpr uint32_t kElements = 1 + kSlots * kClasses;
constexpr uint32_t kElementBytes = 65536 / 8;
constexpr int kClassUdp = 1;
constexpr int kClassQuery = 2;
constexpr int kClassOther = 3;
constexpr int32_t kHashFactor = static_cast<int32_t>(0x9e3779b1u);

// include/uapi/linux/bpf.h
enum Command { kMapCreate = 0, kProgramLoad = 5, kInfoOf = 15, kLinkCreate = 28 };
constexpr uint32_t kArrayMap = 2;
constexpr uint32_t kMmapable = 1 << 10;
constexpr uint32_t kTcxIngress = 46;
constexpr uint32_t kBefore = 1 << 3;  // BPF_F_BEFORE without a relative: ahead of all others
constexpr int32_t kMapLookup = 1;
constexpr int32_t kLoadBytes = 26;
// Fields of struct __sk_buff.
constexpr int kPacketType = 4;
constexpr int kVlanPresent = 20;

struct MapAttributes {
  uint32_t type, key_bytes, value_bytes, elements, flags, inner, numa_node;
  char name[16];
};

struct ProgramAttributes {
  uint32_t type, instructions;
  uint64_t code, license;
  uint32_t log_level, log_bytes;
  uint64_t log;
  uint32_t kernel_version, flags;
  char name[16];
};

struct LinkAttributes {
  uint32_t program, interface_index, attach_type, flags, relative, padding;
  uint64_t revision;
};

struct InfoAttributes {
  uint32_t descriptor, bytes;
  uint64_t info;
};

// The beginning of struct bpf_map_info.
struct MapInfo {
  uint32_t type, id, key_bytes, value_bytes, elements, flags;
};

// What the two kinds of programs answer.
struct Verdicts {
  uint32_t type;  // BPF_PROG_TYPE_*
  const char* name;
  int32_t ours, not_ours, both;
};
constexpr Verdicts kSocketFilter = {1, "tapbridge_sock", -1, 0, -1};  // bytes to keep: all or none
constexpr Verdicts kIngress = {3, "tapbridge_tc", 2, -1, -1};         // TC_ACT_SHOT, TC_ACT_UNSPEC: ask the next classifier

template <typename Attributes>
int bpf(Command command, Attributes& attributes) {
  constexpr int kAttempts = 5;  // the verifier gives up with EAGAIN when a signal waits
  long result = -1;
  for (int attempt = 0; result < 0 && attempt < kAttempts && (attempt == 0 || errno == EAGAIN); attempt++) {
    result = ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
  }
  return result < 0 ? -errno : static_cast<int>(result);
}

// 0 when the descriptor is a map that open_guard made, else -errno.
int check_guard(int descriptor) {
  MapInfo info{};
  InfoAttributes attributes{static_cast<uint32_t>(descriptor), sizeof info, reinterpret_cast<uint64_t>(&info)};
  const int result = bpf(kInfoOf, attributes);
  if (result < 0) {
    return result == -EBADFD ? -EBADF : result;
  }
  const bool shape = info.type == kArrayMap && info.value_bytes == kElementBytes && info.elements == kElements && info.flags == kMmapable;
  return shape ? 0 : -EINVAL;
}

// The text of both programs, written once per load.
class Text {
 public:
  Text(int map, const Verdicts& verdicts) : map_(map), verdicts_(verdicts) {}

  const std::vector<BpfProgram::Instruction>& write() {
    frame();
    destination();
    classify();
    answer();
    quote();
    bit();
    verdicts();
    return bpf_.finish();
  }

 private:
  // Registers that outlive helper calls.
  static constexpr Reg kContext = Reg::r6;
  static constexpr Reg kElement = Reg::r7;  // slot, then number of the bitmap
  static constexpr Reg kAt = Reg::r8;       // offset in the frame
  static constexpr Reg kBit = Reg::r9;      // address, then number of the bit

  // The stack, every field aligned to its size: EtherType and IPv4 header, eight bytes of what follows it, the address asked for, a map's key.
  static constexpr int kType = -42;
  static constexpr int kIp = kType + 2;
  static constexpr int kIpFragment = kIp + 6;
  static constexpr int kIpProtocol = kIp + 9;
  static constexpr int kIpSource = kIp + 12;
  static constexpr int kIpDestination = kIp + 16;
  static constexpr int kIpBytes = 20;
  static constexpr int kTransport = -16;
  static constexpr int kTransportBytes = 8;
  static constexpr int kSourcePort = kTransport;
  static constexpr int kDestinationPort = kTransport + 2;
  static constexpr int kIcmpId = kTransport + 4;
  static constexpr int kAddress = -48;
  static constexpr int kKey = -4;

  // To here with the frame's EtherType and IPv4 header on the stack, the header's end in kAt, its destination in kBit.
  void frame() {
    bpf_.copy(kContext, Reg::r1);
    bpf_.load(Width::word, Reg::r1, kContext, kVlanPresent);
    bpf_.if_not_equal(Reg::r1, 0, not_ours_);
    bpf_.set(Reg::r2, 2 * ETH_ALEN);
    read(kType, kIpBytes + 2);
    bpf_.load(Width::half, Reg::r1, Reg::frame, kType);
    bpf_.load(Width::word, Reg::r2, kContext, kPacketType);
    bpf_.if_equal(Reg::r1, htons(ETH_P_ARP), arp_);
    bpf_.if_not_equal(Reg::r1, htons(ETH_P_IP), not_ours_);
    bpf_.if_not_equal(Reg::r2, PACKET_HOST, not_ours_);
    bpf_.set(kAt, ETH_HLEN);
    pass_header();
    bpf_.load(Width::word, kBit, Reg::frame, kIpDestination);
    bpf_.if_equal(kBit, 0, not_ours_);  // what an empty slot holds
  }

  // To here with the number of the address's first bitmap in kElement.
  void destination() {
    const auto found = bpf_.label();
    bpf_.set(kElement, 0);
    look_up();
    bpf_.load(Width::word, Reg::r1, Reg::r0, 0);
    for (int slot = 0; slot < kSlots; slot++) {
      bpf_.if_at_most(Reg::r1, slot, not_ours_);
      bpf_.set(kElement, 1 + slot * kClasses);
      bpf_.load(Width::word, Reg::r2, Reg::r0, 4 + 4 * slot);
      bpf_.if_equal(Reg::r2, kBit, found);
    }
    bpf_.jump(not_ours_);
    bpf_.put(found);
    bpf_.store(Width::word, Reg::frame, kAddress, kBit);
  }

  void classify() {
    bpf_.load(Width::half, Reg::r1, Reg::frame, kIpFragment);
    bpf_.mask(Reg::r1, htons(0x1fff));
    bpf_.if_not_equal(Reg::r1, 0, both_);
    bpf_.load(Width::byte, Reg::r1, Reg::frame, kIpProtocol);
    by_protocol(Reg::r1, kIpSource, kDestinationPort, icmp_);
  }

  // An ICMP message that is no quote of ours is an answer, or the host's.
  void answer() {
    bpf_.put(icmp_);
    read_transport();
    bpf_.load(Width::byte, Reg::r1, Reg::frame, kTransport);
    for (const int error : {ICMP_DEST_UNREACH, ICMP_SOURCE_QUENCH, ICMP_REDIRECT, ICMP_TIME_EXCEEDED, ICMP_PARAMETERPROB}) {
      bpf_.if_equal(Reg::r1, error, quote_);
    }
    query({ICMP_ECHOREPLY, ICMP_TIMESTAMPREPLY, ICMP_INFO_REPLY, ICMP_ADDRESSREPLY});
  }

  // The packet an error quotes is one that left here: its source is what was asked for.
  void quote() {
    const auto quoted_icmp = bpf_.label();
    bpf_.put(quote_);
    bpf_.add(kAt, kTransportBytes);
    bpf_.copy(Reg::r2, kAt);
    read(kIp, kIpBytes);
    pass_header();
    bpf_.load(Width::word, Reg::r1, Reg::frame, kIpSource);
    bpf_.load(Width::word, Reg::r2, Reg::frame, kAddress);
    bpf_.if_not_equal(Reg::r1, Reg::r2, not_ours_);
    bpf_.load(Width::half, Reg::r1, Reg::frame, kIpFragment);
    bpf_.mask(Reg::r1, htons(0x1fff));
    bpf_.if_not_equal(Reg::r1, 0, not_ours_);
    bpf_.load(Width::byte, Reg::r1, Reg::frame, kIpProtocol);
    by_protocol(Reg::r1, kIpDestination, kSourcePort, quoted_icmp);
    bpf_.put(quoted_icmp);
    read_transport();
    bpf_.load(Width::byte, Reg::r1, Reg::frame, kTransport);
    query({ICMP_ECHO, ICMP_TIMESTAMP, ICMP_INFO_REQUEST, ICMP_ADDRESS});
  }

  // kBit of kElement, and the verdict by it.
  void bit() {
    bpf_.put(bit_);
    look_up();
    bpf_.mask(kBit, 0xffff);
    bpf_.copy(Reg::r1, kBit);
    bpf_.shift_right(Reg::r1, 3);
    bpf_.add(Reg::r0, Reg::r1);
    bpf_.load(Width::byte, Reg::r0, Reg::r0, 0);
    bpf_.mask(kBit, 7);
    bpf_.shift_right(Reg::r0, kBit);
    bpf_.mask(Reg::r0, 1);
    bpf_.if_equal(Reg::r0, 0, not_ours_);
    bpf_.add(kElement, -1);
    bpf_.mask(kElement, kClasses - 1);
    bpf_.if_equal(kElement, kClassQuery, both_);
    bpf_.set32(Reg::r0, verdicts_.ours);
    bpf_.leave();
  }

  void verdicts() {
    bpf_.put(arp_);
    bpf_.if_greater(Reg::r2, PACKET_MULTICAST, not_ours_);  // of another host, or sent by this one
    bpf_.put(both_);
    bpf_.set32(Reg::r0, verdicts_.both);
    bpf_.leave();
    bpf_.put(not_ours_);
    bpf_.set32(Reg::r0, verdicts_.not_ours);
    bpf_.leave();
  }

  // Moves kAt from the start to the end of the IPv4 header on the stack.
  void pass_header() {
    bpf_.load(Width::byte, Reg::r1, Reg::frame, kIp);
    bpf_.if_less(Reg::r1, 0x45, not_ours_);
    bpf_.if_greater(Reg::r1, 0x4f, not_ours_);
    bpf_.mask(Reg::r1, 0x0f);
    bpf_.shift_left(Reg::r1, 2);
    bpf_.add(kAt, Reg::r1);
  }

  // To the bit of a protocol's class, or to `icmp`. `remote` and `port` are fields on the stack.
  void by_protocol(Reg protocol, int remote, int port, BpfProgram::Label icmp) {
    const auto tcp = bpf_.label();
    const auto udp = bpf_.label();
    bpf_.if_equal(protocol, IPPROTO_TCP, tcp);
    bpf_.if_equal(protocol, IPPROTO_UDP, udp);
    bpf_.if_equal(protocol, IPPROTO_ICMP, icmp);
    bpf_.load(Width::word, kBit, Reg::frame, remote);
    bpf_.from_network(kBit, 32);
    bpf_.multiply32(protocol, kHashFactor);
    bpf_.xor32(kBit, protocol);
    bpf_.multiply32(kBit, kHashFactor);
    bpf_.shift_right32(kBit, 16);
    bpf_.add(kElement, kClassOther);
    bpf_.jump(bit_);
    bpf_.put(udp);
    bpf_.add(kElement, kClassUdp);
    bpf_.put(tcp);
    read_transport();
    bpf_.load(Width::half, kBit, Reg::frame, port);
    bpf_.from_network(kBit, 16);
    bpf_.jump(bit_);
  }

  // Of the ICMP type in r1: to the identifier's bit when it is one of `types`.
  void query(std::initializer_list<int> types) {
    const auto known = bpf_.label();
    for (const int type : types) {
      bpf_.if_equal(Reg::r1, type, known);
    }
    bpf_.jump(not_ours_);
    bpf_.put(known);
    bpf_.load(Width::half, kBit, Reg::frame, kIcmpId);
    bpf_.from_network(kBit, 16);
    bpf_.add(kElement, kClassQuery);
    bpf_.jump(bit_);
  }

  void read_transport() {
    bpf_.copy(Reg::r2, kAt);
    read(kTransport, kTransportBytes);
  }

  // Bytes of the frame from the offset in r2 on to the stack. A frame that ends before is not ours.
  void read(int to, int bytes) {
    bpf_.copy(Reg::r1, kContext);
    bpf_.copy(Reg::r3, Reg::frame);
    bpf_.add(Reg::r3, to);
    bpf_.set(Reg::r4, bytes);
    bpf_.call(kLoadBytes);
    bpf_.if_not_equal(Reg::r0, 0, not_ours_);
  }

  // The element kElement in r0.
  void look_up() {
    bpf_.store(Width::word, Reg::frame, kKey, kElement);
    bpf_.set_map(Reg::r1, map_);
    bpf_.copy(Reg::r2, Reg::frame);
    bpf_.add(Reg::r2, kKey);
    bpf_.call(kMapLookup);
    bpf_.if_equal(Reg::r0, 0, not_ours_);
  }

  BpfProgram bpf_;
  const int map_;
  const Verdicts& verdicts_;
  const BpfProgram::Label not_ours_ = bpf_.label();
  const BpfProgram::Label both_ = bpf_.label();
  const BpfProgram::Label arp_ = bpf_.label();
  const BpfProgram::Label icmp_ = bpf_.label();
  const BpfProgram::Label quote_ = bpf_.label();
  const BpfProgram::Label bit_ = bpf_.label();
};

int load(int guard, const Verdicts& verdicts) {
  int result = check_guard(guard);
  if (result < 0) {
    return result;
  }
  try {
    Text text(guard, verdicts);
    const auto& code = text.write();
    ProgramAttributes attributes{};
    attributes.type = verdicts.type;
    attributes.instructions = static_cast<uint32_t>(code.size());
    attributes.code = reinterpret_cast<uint64_t>(code.data());
    attributes.license = reinterpret_cast<uint64_t>("MIT");  // no helper in use asks for another
    std::strncpy(attributes.name, verdicts.name, sizeof attributes.name - 1);
    return bpf(kProgramLoad, attributes);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

}  // namespace

int open_guard() {
  MapAttributes attributes{kArrayMap, sizeof(uint32_t), kElementBytes, kElements, kMmapable, 0, 0, "tapbridge"};
  return bpf(kMapCreate, attributes);  // close-on-exec, as every descriptor of bpf(2)
}

int guard_program(int guard) { return load(guard, kIngress); }

int attach_guard(int guard, int interface_index, int netns) {
  const int loaded = load(guard, kIngress);
  if (loaded < 0) {
    return loaded;
  }
  const Descriptor program(loaded);
  const NetnsVisit visit(netns);
  if (visit.error() != 0) {
    return visit.error();
  }
  LinkAttributes attributes{static_cast<uint32_t>(program.get()), static_cast<uint32_t>(interface_index), kTcxIngress, kBefore, 0, 0, 0};
  return bpf(kLinkCreate, attributes);
}

std::shared_ptr<Mapping> map_guard(int guard, int& error) {
  error = check_guard(guard);
  if (error < 0) {
    return nullptr;
  }
  std::shared_ptr<Mapping> mapping = Mapping::of_file(guard, size_t{kElements} * kElementBytes);
  if (mapping == nullptr) {
    error = -errno;
  }
  return mapping;
}

int filter_packet(int packet_socket, int guard) {
  const int loaded = load(guard, kSocketFilter);
  if (loaded < 0) {
    return loaded;
  }
  const Descriptor program(loaded);
  return set_filter(packet_socket, program.get());
}

}  // namespace tapbridge
