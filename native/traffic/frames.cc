// Raw-frame generator: Ethernet frames with our own addresses over a packet socket of one interface.
//
//     [ destination 6 | source 6 | EtherType 0x88b5 | probe (probe.h) ... ]
//
// They take the interface's queueing discipline as the stack's do: when that is full they are refused and counted, when the device's own ring is
// full they are lost without a word. Software interfaces hand up frames for any address: the sink needs no promiscuous mode.
#include "frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>

#include "arguments.h"
#include "load_arguments.h"

namespace traffic {
namespace {

constexpr std::size_t kSourceAt = 6;
constexpr std::size_t kEtherTypeAt = 12;
constexpr std::uint64_t kLastMac = (std::uint64_t{1} << 48) - 1;
// 60 and 1514 bytes on the interface: 64 and 1518 with the frame check sequence.
constexpr int kMinFramePayload = 46;
constexpr int kMaxFramePayload = 1500;

int open_packet_socket(const std::string& interface, std::uint16_t protocol, Descriptor* out) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (address.sll_ifindex == 0) return -errno;
  // Made without a protocol, so that nothing comes before it is bound to its interface.
  Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return -errno;
  *out = std::move(socket);
  return 0;
}

void write_mac(std::uint8_t* to, std::uint64_t mac) {
  for (int byte = 0; byte < 6; byte++) to[byte] = static_cast<std::uint8_t>(mac >> (8 * (5 - byte)));
}

// The range in two arguments from `at` on: first address as a number, count.
bool range_of(const Napi::CallbackInfo& info, std::size_t at, MacRange* range) {
  const double first = number(info, at);
  const int count = integer(info, at + 1, 1, 1 << 24);
  if (std::isnan(first) || count < 0 || first + count - 1 > static_cast<double>(kLastMac)) return false;
  *range = {.first = static_cast<std::uint64_t>(first), .count = static_cast<std::uint64_t>(count)};
  return true;
}

// frameSend(interface, source, sources, destination, destinations, LOAD, report)
Napi::Value frame_send_call(const Napi::CallbackInfo& info) {
  FrameSend options;
  double* const report = report_of(info, 5 + kLoadArguments);
  if (report == nullptr || !info[0].IsString() || !range_of(info, 1, &options.source) || !range_of(info, 3, &options.destination) ||
      !load_of(info, 5, kMinFramePayload, kMaxFramePayload, &options.load)) {
    return result(info, -EINVAL);
  }
  options.interface = info[0].As<Napi::String>().Utf8Value();
  return result(info, frame_send(options, report));
}

// frameBind(interface)
Napi::Value frame_bind_call(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) return result(info, -EINVAL);
  const int fd = frame_bind(info[0].As<Napi::String>().Utf8Value());
  if (fd >= 0) environment(info).open.insert(fd);
  return result(info, fd);
}

}  // namespace

int frame_send(const FrameSend& options, double* report) {
  Descriptor socket;
  const int opened = open_packet_socket(options.interface, 0, &socket);
  if (opened < 0) return opened;

  const auto burst = static_cast<std::size_t>(options.load.burst);
  Messages messages(burst, kEthernetHeaderBytes + static_cast<std::size_t>(options.load.payload_bytes));
  const std::uint16_t type = htons(kEtherType);
  for (std::size_t index = 0; index < burst; index++) memcpy(messages.slot(index) + kEtherTypeAt, &type, sizeof type);
  const auto prepare = [&](std::size_t index, std::uint64_t number, std::uint16_t) {
    write_mac(messages.slot(index), options.destination.first + number % options.destination.count);
    write_mac(messages.slot(index) + kSourceAt, options.source.first + number % options.source.count);
  };
  return send_probes(socket.get(), messages, kEthernetHeaderBytes, options.load, prepare, report);
}

int frame_bind(const std::string& interface) {
  Descriptor socket;
  const int opened = open_packet_socket(interface, kEtherType, &socket);
  if (opened < 0) return opened;
  grow_receive_buffer(socket.get());
  return socket.release();
}

void define_frames(Napi::Env env, Napi::Object exports) {
  exports.Set("frameSend", Napi::Function::New(env, frame_send_call));
  exports.Set("frameBind", Napi::Function::New(env, frame_bind_call));
}

}  // namespace traffic
