// The JavaScript side of the traffic addon: checks arguments, nothing else. A wrong type or an unreadable number is -EINVAL.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "traffic.h"

namespace traffic {

int parse_address(const std::string& address, double port, sockaddr_in* out) {
  if (!(port >= 0 && port <= 65535)) return -EINVAL;
  out->sin_family = AF_INET;
  out->sin_port = htons(static_cast<std::uint16_t>(port));
  return inet_pton(AF_INET, address.c_str(), &out->sin_addr) == 1 ? 0 : -EINVAL;
}

int bind_socket(int type, const sockaddr_in& address) {
  Descriptor socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  const int on = 1;
  // A trial follows the last one on the same port.
  if (setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) return -errno;
  if (type == SOCK_DGRAM) {
    // Room for about 20,000 small datagrams (an skb of one is booked with 768 bytes): what a scheduling pause of the receiver costs
    // shall not be counted as loss of the bridge. Without CAP_NET_ADMIN the limit of net.core.rmem_max holds.
    const int bytes = 16 << 20;
    if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0) {
      setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
  }
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return -errno;
  if (type == SOCK_STREAM && listen(socket.get(), 1) < 0) return -errno;
  return socket.release();
}

int wait_for(int fd, short events, std::int64_t timeout_nanos) {
  const std::int64_t deadline = monotonic_nanos() + timeout_nanos;
  for (;;) {
    const std::int64_t left = std::max<std::int64_t>(deadline - monotonic_nanos(), 0);
    const timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    pollfd ready{.fd = fd, .events = events, .revents = 0};
    const int count = ppoll(&ready, 1, &timeout, nullptr);
    if (count >= 0) return count;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace traffic

namespace {

using traffic::Cell;

// Sockets this environment opened and has not closed yet.
struct Environment {
  std::set<int> open;
  ~Environment() {
    for (const int fd : open) ::close(fd);
  }
};

double number(const Napi::CallbackInfo& info, std::size_t index) {
  const Napi::Value value = info[index];
  const double result = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  return std::isfinite(result) && result >= 0 && result <= 1e15 ? result : NAN;
}
// An integer in [low, high], or -1.
int integer(const Napi::CallbackInfo& info, std::size_t index, int low, int high) {
  const double value = number(info, index);
  return value >= low && value <= high ? static_cast<int>(value) : -1;
}
// Milliseconds as nanoseconds, or -1. At most an hour.
std::int64_t duration(const Napi::CallbackInfo& info, std::size_t index) {
  const double value = number(info, index);
  return value <= 3'600'000 ? static_cast<std::int64_t>(value * 1e6) : -1;
}
Napi::Value result(const Napi::CallbackInfo& info, int value) { return Napi::Number::New(info.Env(), value); }

double* report_of(const Napi::CallbackInfo& info, std::size_t index) {
  if (!traffic::is_report(info[index])) return nullptr;
  double* report = info[index].As<Napi::Float64Array>().Data();
  std::fill_n(report, static_cast<std::size_t>(traffic::kCells), 0.0);
  return report;
}

int open_socket(const Napi::CallbackInfo& info, int type) {
  sockaddr_in address{};
  if (!info[0].IsString()) return -EINVAL;
  const int parsed = traffic::parse_address(info[0].As<Napi::String>().Utf8Value(), number(info, 1), &address);
  if (parsed < 0) return parsed;
  const int fd = traffic::bind_socket(type, address);
  if (fd >= 0) info.Env().GetInstanceData<Environment>()->open.insert(fd);
  return fd;
}

// udpBind(address, port)
Napi::Value udp_bind(const Napi::CallbackInfo& info) { return result(info, open_socket(info, SOCK_DGRAM)); }
// tcpListen(address, port)
Napi::Value tcp_listen(const Napi::CallbackInfo& info) { return result(info, open_socket(info, SOCK_STREAM)); }

int owned(const Napi::CallbackInfo& info) {
  const int fd = integer(info, 0, 0, 1 << 20);
  return info.Env().GetInstanceData<Environment>()->open.contains(fd) ? fd : -1;
}

// closeSocket(descriptor)
Napi::Value close_socket(const Napi::CallbackInfo& info) {
  const int fd = owned(info);
  if (fd < 0) return result(info, -EBADF);
  info.Env().GetInstanceData<Environment>()->open.erase(fd);
  return result(info, ::close(fd) < 0 ? -errno : 0);
}

// udpSend(address, port, flows, payloadBytes, burst, durationMillis, frames, framesPerSecond, report)
Napi::Value udp_send(const Napi::CallbackInfo& info) {
  traffic::UdpSend options;
  double* report = report_of(info, 8);
  if (report == nullptr || !info[0].IsString()) return result(info, -EINVAL);
  const int parsed = traffic::parse_address(info[0].As<Napi::String>().Utf8Value(), number(info, 1), &options.target);
  if (parsed < 0) return result(info, parsed);
  options.flows = integer(info, 2, 1, 1024);
  options.payload_bytes = integer(info, 3, 18, 1472);
  options.burst = integer(info, 4, 1, 1024);
  options.duration_nanos = duration(info, 5);
  options.frames = number(info, 6);
  options.frames_per_second = number(info, 7);
  if (options.flows < 0 || options.payload_bytes < 0 || options.burst < 0 || options.duration_nanos < 0 ||
      std::isnan(options.frames) || std::isnan(options.frames_per_second)) {
    return result(info, -EINVAL);
  }
  return result(info, traffic::udp_send(options, report));
}

// udpReceive(descriptor, flows, payloadBytes, startMillis, idleMillis, limitMillis, report)
Napi::Value udp_receive(const Napi::CallbackInfo& info) {
  traffic::UdpReceive options;
  double* report = report_of(info, 6);
  options.descriptor = owned(info);
  options.flows = integer(info, 1, 1, 1024);
  options.payload_bytes = integer(info, 2, 18, 1472);
  options.start_nanos = duration(info, 3);
  options.idle_nanos = duration(info, 4);
  options.limit_nanos = duration(info, 5);
  if (options.descriptor < 0) return result(info, -EBADF);
  if (report == nullptr || options.flows < 0 || options.payload_bytes < 0 || options.start_nanos < 0 || options.idle_nanos < 0 ||
      options.limit_nanos < 0) {
    return result(info, -EINVAL);
  }
  return result(info, traffic::udp_receive(options, report));
}

// udpEcho(descriptor, startMillis, idleMillis, report)
Napi::Value udp_echo(const Napi::CallbackInfo& info) {
  traffic::UdpEcho options;
  double* report = report_of(info, 3);
  options.descriptor = owned(info);
  options.start_nanos = duration(info, 1);
  options.idle_nanos = duration(info, 2);
  if (options.descriptor < 0) return result(info, -EBADF);
  if (report == nullptr || options.start_nanos < 0 || options.idle_nanos < 0) return result(info, -EINVAL);
  return result(info, traffic::udp_echo(options, report));
}

// udpAsk(address, port, count, payloadBytes, timeoutMillis, report)
Napi::Value udp_ask(const Napi::CallbackInfo& info) {
  traffic::UdpAsk options;
  double* report = report_of(info, 5);
  if (report == nullptr || !info[0].IsString()) return result(info, -EINVAL);
  const int parsed = traffic::parse_address(info[0].As<Napi::String>().Utf8Value(), number(info, 1), &options.target);
  if (parsed < 0) return result(info, parsed);
  options.count = integer(info, 2, 1, 10'000'000);
  options.payload_bytes = integer(info, 3, 8, 1472);
  options.timeout_nanos = duration(info, 4);
  if (options.count < 0 || options.payload_bytes < 0 || options.timeout_nanos < 0) return result(info, -EINVAL);
  return result(info, traffic::udp_ask(options, report));
}

// tcpSend(address, port, durationMillis, bytes, report)
Napi::Value tcp_send(const Napi::CallbackInfo& info) {
  traffic::TcpSend options;
  double* report = report_of(info, 4);
  if (report == nullptr || !info[0].IsString()) return result(info, -EINVAL);
  const int parsed = traffic::parse_address(info[0].As<Napi::String>().Utf8Value(), number(info, 1), &options.target);
  if (parsed < 0) return result(info, parsed);
  options.duration_nanos = duration(info, 2);
  options.bytes = number(info, 3);
  if (options.duration_nanos < 0 || std::isnan(options.bytes)) return result(info, -EINVAL);
  return result(info, traffic::tcp_send(options, report));
}

// tcpReceive(listener, startMillis, idleMillis, report)
Napi::Value tcp_receive(const Napi::CallbackInfo& info) {
  traffic::TcpReceive options;
  double* report = report_of(info, 3);
  options.listener = owned(info);
  options.start_nanos = duration(info, 1);
  options.idle_nanos = duration(info, 2);
  if (options.listener < 0) return result(info, -EBADF);
  if (report == nullptr || options.start_nanos < 0 || options.idle_nanos < 0) return result(info, -EINVAL);
  return result(info, traffic::tcp_receive(options, report));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment());
  exports.Set("udpBind", Napi::Function::New(env, udp_bind));
  exports.Set("udpSend", Napi::Function::New(env, udp_send));
  exports.Set("udpReceive", Napi::Function::New(env, udp_receive));
  exports.Set("udpEcho", Napi::Function::New(env, udp_echo));
  exports.Set("udpAsk", Napi::Function::New(env, udp_ask));
  exports.Set("tcpListen", Napi::Function::New(env, tcp_listen));
  exports.Set("tcpSend", Napi::Function::New(env, tcp_send));
  exports.Set("tcpReceive", Napi::Function::New(env, tcp_receive));
  exports.Set("closeSocket", Napi::Function::New(env, close_socket));
  return exports;
}

}  // namespace

NODE_API_MODULE(traffic, init)
