// The TCP calls of the traffic addon: check arguments, nothing else.
#include <netinet/in.h>

#include "arguments.h"
#include "tcp.h"

namespace traffic {
namespace {

using Info = Napi::CallbackInfo;

// TCP_CA_NAME_MAX - 1
constexpr std::size_t kMaxCongestionName = 15;

// Address, port and congestion control from the first three arguments.
bool read_end(const Info& info, sockaddr_in* address, std::string* congestion) {
  if (!info[0].IsString() || !info[2].IsString()) return false;
  *congestion = info[2].As<Napi::String>().Utf8Value();
  return congestion->size() <= kMaxCongestionName && congestion->find('\0') == std::string::npos &&
         parse_address(info[0].As<Napi::String>().Utf8Value(), number(info, 1), address) == 0;
}

int keep(const Info& info, int fd) {
  if (fd >= 0) environment(info).open.insert(fd);
  return fd;
}

// Sockets of this environment in an array: 0, -EINVAL or -EBADF.
int read_sockets(const Info& info, std::vector<int>* sockets) {
  if (!info[0].IsArray()) return -EINVAL;
  const Napi::Array array = info[0].As<Napi::Array>();
  if (array.Length() < 1 || array.Length() > static_cast<std::uint32_t>(kMaxStreams)) return -EINVAL;
  for (std::uint32_t index = 0; index < array.Length(); index++) {
    const Napi::Value value = array.Get(index);
    const double fd = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (!(fd >= 0 && fd <= 1 << 20)) return -EINVAL;
    sockets->push_back(static_cast<int>(fd));
    if (!environment(info).open.contains(sockets->back())) return -EBADF;
  }
  return 0;
}

double* streams_report(const Info& info, std::size_t index, std::size_t streams) {
  return cells_of(info, index, kTcpCells + streams * kStreamCells);
}

// tcpListen(address, port, congestion)
Napi::Value tcp_listen_call(const Info& info) {
  sockaddr_in address{};
  std::string congestion;
  return result(info, read_end(info, &address, &congestion) ? keep(info, tcp_listen(address, congestion)) : -EINVAL);
}

// tcpConnect(address, port, congestion)
Napi::Value tcp_connect_call(const Info& info) {
  sockaddr_in target{};
  std::string congestion;
  return result(info, read_end(info, &target, &congestion) ? keep(info, tcp_connect(target, congestion)) : -EINVAL);
}

// tcpAccept(listener, timeoutMillis)
Napi::Value tcp_accept_call(const Info& info) {
  const int listener = owned(info);
  const std::int64_t timeout = duration(info, 1);
  if (listener < 0) return result(info, -EBADF);
  return result(info, timeout < 0 ? -EINVAL : keep(info, tcp_accept(listener, timeout)));
}

// tcpSend(sockets, durationMillis, bytes, report)
Napi::Value tcp_send_call(const Info& info) {
  TcpSend options;
  const int read = read_sockets(info, &options.sockets);
  if (read < 0) return result(info, read);
  options.duration_nanos = duration(info, 1);
  options.bytes = std::trunc(number(info, 2));
  double* report = streams_report(info, 3, options.sockets.size());
  if (report == nullptr || options.duration_nanos < 0 || std::isnan(options.bytes)) return result(info, -EINVAL);
  return result(info, tcp_send(options, report));
}

// tcpReceive(sockets, checkAll, idleMillis, report)
Napi::Value tcp_receive_call(const Info& info) {
  TcpReceive options;
  const int read = read_sockets(info, &options.sockets);
  if (read < 0) return result(info, read);
  options.idle_nanos = duration(info, 2);
  double* report = streams_report(info, 3, options.sockets.size());
  if (report == nullptr || !info[1].IsBoolean() || options.idle_nanos <= 0) return result(info, -EINVAL);
  options.check_all = info[1].As<Napi::Boolean>().Value();
  return result(info, tcp_receive(options, report));
}

// tcpAnswer(listener, anew, idleMillis, report)
Napi::Value tcp_answer_call(const Info& info) {
  TcpAnswer options;
  options.listener = owned(info);
  options.idle_nanos = duration(info, 2);
  double* report = cells_of(info, 3, kAskCells);
  if (options.listener < 0) return result(info, -EBADF);
  if (report == nullptr || !info[1].IsBoolean() || options.idle_nanos <= 0) return result(info, -EINVAL);
  options.anew = info[1].As<Napi::Boolean>().Value();
  return result(info, tcp_answer(options, report));
}

// tcpAsk(address, port, anew, durationMillis, timeoutMillis, delays, report)
Napi::Value tcp_ask_call(const Info& info) {
  TcpAsk options;
  double* cells = cells_of(info, 5, kDelayBuckets);
  double* report = cells_of(info, 6, kAskCells);
  options.duration_nanos = duration(info, 3);
  options.timeout_nanos = duration(info, 4);
  if (cells == nullptr || report == nullptr || !info[0].IsString() || !info[2].IsBoolean() || options.duration_nanos < 0 ||
      options.timeout_nanos <= 0) {
    return result(info, -EINVAL);
  }
  const int parsed = parse_address(info[0].As<Napi::String>().Utf8Value(), number(info, 1), &options.target);
  if (parsed < 0) return result(info, parsed);
  options.anew = info[2].As<Napi::Boolean>().Value();
  DelayHistogram delays(cells);
  return result(info, tcp_ask(options, delays, report));
}

}  // namespace

void define_tcp(Napi::Env env, Napi::Object exports) {
  const auto define = [&](const char* name, Napi::Value (*call)(const Info&)) { exports.Set(name, Napi::Function::New(env, call, name)); };
  define("tcpListen", tcp_listen_call);
  define("tcpConnect", tcp_connect_call);
  define("tcpAccept", tcp_accept_call);
  define("tcpSend", tcp_send_call);
  define("tcpReceive", tcp_receive_call);
  define("tcpAnswer", tcp_answer_call);
  define("tcpAsk", tcp_ask_call);
}

}  // namespace traffic
