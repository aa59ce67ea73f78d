// The calls of the binding: read the arguments, run the duty, hand back its number. README.md is the contract.
#include <napi.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "background_close.h"
#include "burst_io_object.h"
#include "clock.h"
#include "environment.h"
#include "guard.h"
#include "icmp_echo.h"
#include "mapped_file.h"
#include "netlink.h"
#include "netns.h"
#include "packet_socket.h"
#include "privileges.h"
#include "process_descriptor.h"
#include "shared_buffer.h"
#include "tap.h"
#include "waker.h"

namespace tapbridge {
namespace {

using Info = Napi::CallbackInfo;

constexpr int64_t kMaxTimeoutMillis = 3'600'000;
constexpr int64_t kMemoryBytesMax = int64_t{1} << 32;
constexpr int kMaxEchoPayload = 65507 - 8;

Environment& environment(const Info& info) { return *info.Env().GetInstanceData<Environment>(); }

Napi::Value number(const Info& info, int64_t value) { return Napi::Number::New(info.Env(), static_cast<double>(value)); }

Napi::Value open_tap_call(const Info& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    return number(info, -EINVAL);
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  TapRequest request;
  std::string mode;
  int64_t offloads = 0;
  if (!read_string(env, options.Get("name"), request.name) || !read_descriptor(env, options.Get("netns"), request.netns) ||
      !read_bool(env, options.Get("vnetHeader"), request.vnet_header) || !read_integer(env, options.Get("offloads"), 0, UINT32_MAX, offloads) ||
      !read_bool(env, options.Get("persistent"), request.persistent) || !read_string(env, options.Get("mode"), mode) ||
      (mode != "create" && mode != "attach") ||
      (options.Has("multiQueue") && !read_bool(env, options.Get("multiQueue"), request.multi_queue))) {
    return number(info, -EINVAL);
  }
  request.offloads = static_cast<unsigned>(offloads);
  request.create = mode == "create";
  return number(info, environment(info).keep(open_tap(request)));
}

Napi::Value tap_name_call(const Info& info) {
  int descriptor = -1;
  std::string name;
  const int result = read_descriptor(info.Env(), info[0], descriptor) ? tap_name(descriptor, name) : -EINVAL;
  if (result < 0) {
    return number(info, result);
  }
  return Napi::String::New(info.Env(), name);
}

Napi::Value set_tap_persistent_call(const Info& info) {
  int descriptor = -1;
  bool persistent = false;
  const bool read = read_descriptor(info.Env(), info[0], descriptor) && read_bool(info.Env(), info[1], persistent);
  return number(info, read ? set_tap_persistent(descriptor, persistent) : -EINVAL);
}

Napi::Value tap_netns_call(const Info& info) {
  int descriptor = -1;
  return number(info, read_descriptor(info.Env(), info[0], descriptor) ? environment(info).keep(tap_netns(descriptor)) : -EINVAL);
}

Napi::Value open_packet_call(const Info& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    return number(info, -EINVAL);
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  PacketRequest request;
  if (!read_string(env, options.Get("interface"), request.interface) || !read_descriptor(env, options.Get("netns"), request.netns) ||
      !read_bool(env, options.Get("vnetHeader"), request.vnet_header) || !read_bool(env, options.Get("promiscuous"), request.promiscuous) ||
      !read_bool(env, options.Get("ignoreOutgoing"), request.ignore_outgoing) ||
      (options.Has("fanoutWith") && !read_descriptor(env, options.Get("fanoutWith"), request.fanout_with))) {
    return number(info, -EINVAL);
  }
  return number(info, environment(info).keep(open_packet(request)));
}

Napi::Value close_descriptor_call(const Info& info) {
  int descriptor = -1;
  if (!read_descriptor(info.Env(), info[0], descriptor)) {
    return number(info, -EINVAL);
  }
  return number(info, environment(info).release(descriptor) ? 0 : -EBADF);
}

Napi::Value close_in_background_call(const Info& info) {
  const Napi::Env env = info.Env();
  int descriptor = -1;
  const bool read = read_descriptor(env, info[0], descriptor);
  Descriptor mine = read ? environment(info).release(descriptor) : Descriptor();
  if (!mine) {
    const auto refused = Napi::Promise::Deferred::New(env);
    refused.Resolve(Napi::Number::New(env, read ? -EBADF : -EINVAL));
    return refused.Promise();
  }
  return BackgroundClose::start(env, std::move(mine));
}

Napi::Value open_netns_call(const Info& info) {
  std::string path;
  return number(info, read_string(info.Env(), info[0], path) ? environment(info).keep(open_netns(path)) : -EINVAL);
}

Napi::Value create_netns_call(const Info& info) {
  std::string path;
  const bool read = info[0].IsNull() || (read_string(info.Env(), info[0], path) && !path.empty());
  return number(info, read ? environment(info).keep(create_netns(path)) : -EINVAL);
}

Napi::Value remove_netns_call(const Info& info) {
  std::string path;
  return number(info, read_string(info.Env(), info[0], path) ? remove_netns(path) : -EINVAL);
}

Napi::Value enter_netns_call(const Info& info) {
  int descriptor = -1;
  return number(info, read_descriptor(info.Env(), info[0], descriptor) ? enter_netns(descriptor) : -EINVAL);
}

Napi::Value open_netlink_call(const Info& info) {
  int netns = -1;
  int64_t groups = 0;
  const bool read = read_descriptor(info.Env(), info[0], netns) && read_integer(info.Env(), info[1], 0, UINT32_MAX, groups);
  return number(info, read ? environment(info).keep(open_netlink(netns, static_cast<uint32_t>(groups))) : -EINVAL);
}

Napi::Value netlink_request_call(const Info& info) {
  const Napi::Env env = info.Env();
  int descriptor = -1;
  uint8_t* request = nullptr;
  uint8_t* reply = nullptr;
  size_t request_bytes = 0;
  size_t reply_bytes = 0;
  int64_t timeout = 0;
  if (!read_descriptor(env, info[0], descriptor) || !read_bytes(env, info[1], request, request_bytes) ||
      !read_bytes(env, info[2], reply, reply_bytes) || !read_integer(env, info[3], 0, kMaxTimeoutMillis, timeout)) {
    return number(info, -EINVAL);
  }
  return number(info, netlink_request(descriptor, request, request_bytes, reply, reply_bytes, timeout));
}

Napi::Value netlink_read_call(const Info& info) {
  int descriptor = -1;
  uint8_t* into = nullptr;
  size_t bytes = 0;
  const bool read = read_descriptor(info.Env(), info[0], descriptor) && read_bytes(info.Env(), info[1], into, bytes);
  return number(info, read ? netlink_read(descriptor, into, bytes) : -EINVAL);
}

Napi::Value monotonic_micros_call(const Info& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(monotonic_nanos()) / 1000.0);
}

Napi::Value wake_call(const Info& info) {
  int waker = -1;
  return number(info, read_descriptor(info.Env(), info[0], waker) ? Waker::ring(waker) : -EINVAL);
}

Napi::Value icmp_echo_call(const Info& info) {
  const Napi::Env env = info.Env();
  std::string address;
  int64_t sequence = 0;
  int64_t payload = 0;
  int64_t timeout = 0;
  if (!read_string(env, info[0], address) || !read_integer(env, info[1], 0, UINT16_MAX, sequence) ||
      !read_integer(env, info[2], 0, kMaxEchoPayload, payload) || !read_integer(env, info[3], 0, kMaxTimeoutMillis, timeout)) {
    return number(info, -EINVAL);
  }
  return number(info, icmp_echo(address, static_cast<uint16_t>(sequence), static_cast<int>(payload), timeout));
}

Napi::Value open_guard_call(const Info& info) { return number(info, environment(info).keep(open_guard())); }

Napi::Value map_guard_call(const Info& info) {
  int descriptor = -1;
  int error = -EINVAL;
  std::shared_ptr<Mapping> mapping;
  if (read_descriptor(info.Env(), info[0], descriptor)) {
    mapping = map_guard(descriptor, error);
  }
  if (mapping == nullptr) {
    return number(info, error);
  }
  return share(info.Env(), mapping);
}

Napi::Value table_memory_call(const Info& info) {
  int64_t bytes = 0;
  if (!read_integer(info.Env(), info[0], 1, kMemoryBytesMax, bytes)) {
    return number(info, -EINVAL);
  }
  const auto mapping = Mapping::make_huge(static_cast<size_t>(bytes));
  return mapping == nullptr ? number(info, -errno) : share(info.Env(), mapping);
}

Napi::Value map_file_call(const Info& info) {
  int descriptor = -1;
  int64_t bytes = 0;
  int error = -EINVAL;
  std::shared_ptr<Mapping> mapping;
  if (read_descriptor(info.Env(), info[0], descriptor) && read_integer(info.Env(), info[1], 1, kMemoryBytesMax, bytes)) {
    mapping = map_file(descriptor, static_cast<size_t>(bytes), error);
  }
  return mapping == nullptr ? number(info, error) : share(info.Env(), mapping);
}

Napi::Value guard_program_call(const Info& info) {
  int descriptor = -1;
  return number(info, read_descriptor(info.Env(), info[0], descriptor) ? environment(info).keep(guard_program(descriptor)) : -EINVAL);
}

Napi::Value attach_guard_call(const Info& info) {
  const Napi::Env env = info.Env();
  int guard = -1;
  int64_t index = 0;
  int netns = -1;
  const bool read = read_descriptor(env, info[0], guard) && read_integer(env, info[1], 1, INT32_MAX, index) && read_descriptor(env, info[2], netns);
  return number(info, read ? environment(info).keep(attach_guard(guard, static_cast<int>(index), netns)) : -EINVAL);
}

Napi::Value filter_packet_call(const Info& info) {
  int socket = -1;
  int guard = -1;
  const bool read = read_descriptor(info.Env(), info[0], socket) && read_descriptor(info.Env(), info[1], guard);
  return number(info, read ? filter_packet(socket, guard) : -EINVAL);
}

Napi::Value filter_packet_classic_call(const Info& info) {
  int socket = -1;
  uint8_t* code = nullptr;
  size_t bytes = 0;
  const bool read = read_descriptor(info.Env(), info[0], socket) && read_bytes(info.Env(), info[1], code, bytes);
  return number(info, read ? set_classic_filter(socket, code, bytes) : -EINVAL);
}

Napi::Value restart_limited_call(const Info& info) {
  constexpr int64_t kMostCapabilities = (int64_t{1} << 53) - 1;  // bits a JavaScript number holds exactly; Linux 6.18 has 41
  int64_t capabilities = 0;
  PrivilegeLimits limits;
  std::vector<std::string> arguments;
  if (!read_integer(info.Env(), info[0], 0, kMostCapabilities, capabilities) ||
      !read_integer(info.Env(), info[1], -1, UINT32_MAX - 1, limits.group) || !read_strings(info.Env(), info[2], arguments) || arguments.empty()) {
    return number(info, -EINVAL);
  }
  limits.capabilities = static_cast<uint64_t>(capabilities);
  return number(info, restart_limited(limits, std::move(arguments)));
}

Napi::Value process_descriptor_call(const Info& info) {
  int64_t pid = 0;
  int descriptor = -1;
  const bool read = read_integer(info.Env(), info[0], 1, INT32_MAX, pid) && read_descriptor(info.Env(), info[1], descriptor);
  return number(info, read ? process_descriptor(static_cast<int>(pid), descriptor) : -EINVAL);
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(std::make_unique<Environment>().release());
  const auto define = [&](const char* name, Napi::Value (*call)(const Info&)) { exports.Set(name, Napi::Function::New(env, call, name)); };
  exports.Set("BurstIo", BurstIoObject::define(env));
  define("openTap", open_tap_call);
  define("tapName", tap_name_call);
  define("setTapPersistent", set_tap_persistent_call);
  define("tapNetns", tap_netns_call);
  define("openPacket", open_packet_call);
  define("closeDescriptor", close_descriptor_call);
  define("closeInBackground", close_in_background_call);
  define("openGuard", open_guard_call);
  define("mapGuard", map_guard_call);
  define("tableMemory", table_memory_call);
  define("mapFile", map_file_call);
  define("guardProgram", guard_program_call);
  define("attachGuard", attach_guard_call);
  define("filterPacket", filter_packet_call);
  define("filterPacketClassic", filter_packet_classic_call);
  define("openNetns", open_netns_call);
  define("createNetns", create_netns_call);
  define("removeNetns", remove_netns_call);
  define("enterNetns", enter_netns_call);
  define("openNetlink", open_netlink_call);
  define("netlinkRequest", netlink_request_call);
  define("netlinkRead", netlink_read_call);
  define("monotonicMicros", monotonic_micros_call);
  define("wake", wake_call);
  define("icmpEcho", icmp_echo_call);
  define("restartLimited", restart_limited_call);
  define("processDescriptor", process_descriptor_call);
  return exports;
}

}  // namespace
}  // namespace tapbridge

static Napi::Object initialise(Napi::Env env, Napi::Object exports) { return tapbridge::initialise(env, exports); }

NODE_API_MODULE(tapbridge, initialise)
