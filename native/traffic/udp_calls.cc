// The JavaScript side of udp.cc, udp_echo.cc and sink.cc: checks arguments, nothing else.
#include "arguments.h"
#include "histogram.h"
#include "load_arguments.h"
#include "probe.h"
#include "sink.h"
#include "udp.h"

namespace traffic {
namespace {

// Ethernet's payload without the headers of IPv4 and UDP.
constexpr int kMaxUdpPayload = 1472;

int address_of(const Napi::CallbackInfo& info, std::size_t at, double port, sockaddr_in* out) {
  return info[at].IsString() ? parse_address(info[at].As<Napi::String>().Utf8Value(), port, out) : -EINVAL;
}

// udpBind(address, port)
Napi::Value udp_bind(const Napi::CallbackInfo& info) {
  sockaddr_in address{};
  const int parsed = address_of(info, 0, number(info, 1), &address);
  if (parsed < 0) return result(info, parsed);
  const int fd = bind_socket(SOCK_DGRAM, address);
  if (fd >= 0) environment(info).open.insert(fd);
  return result(info, fd);
}

// udpSend(address, port, source, LOAD, report)
Napi::Value udp_send_call(const Napi::CallbackInfo& info) {
  UdpSend options;
  double* const report = report_of(info, 3 + kLoadArguments);
  if (report == nullptr || address_of(info, 0, number(info, 1), &options.target) < 0 || address_of(info, 2, 0, &options.source) < 0 ||
      !load_of(info, 3, kProbeBytes, kMaxUdpPayload, &options.load)) {
    return result(info, -EINVAL);
  }
  return result(info, udp_send(options, report));
}

// receiveProbes(descriptor, headerBytes, flows, payloadBytes, startMillis, idleMillis, limitMillis, token, integrity, report, delays)
Napi::Value receive_probes(const Napi::CallbackInfo& info) {
  Sink options;
  options.descriptor = owned(info);
  if (options.descriptor < 0) return result(info, -EBADF);
  options.header_bytes = integer(info, 1, 0, 64);
  options.flows = integer(info, 2, 1, kMaxFlows);
  options.payload_bytes = integer(info, 3, kProbeBytes, 1 << 16);
  options.start_nanos = duration(info, 4);
  options.idle_nanos = duration(info, 5);
  options.limit_nanos = duration(info, 6);
  options.token = integer(info, 7, 0, 65'535);
  const int integrity = integer(info, 8, 0, 1);
  options.integrity = integrity == 1;
  double* const report = report_of(info, 9);
  double* const delays = cells_of(info, 10, kDelayBuckets);
  if (report == nullptr || delays == nullptr || options.header_bytes < 0 || options.flows < 0 || options.payload_bytes < 0 ||
      options.start_nanos < 0 || options.idle_nanos < 0 || options.limit_nanos < 0 || options.token < 0 || integrity < 0) {
    return result(info, -EINVAL);
  }
  return result(info, sink_receive(options, report, delays));
}

// udpEcho(descriptor, startMillis, idleMillis, report)
Napi::Value udp_echo_call(const Napi::CallbackInfo& info) {
  UdpEcho options;
  options.descriptor = owned(info);
  if (options.descriptor < 0) return result(info, -EBADF);
  options.start_nanos = duration(info, 1);
  options.idle_nanos = duration(info, 2);
  double* const report = report_of(info, 3);
  if (report == nullptr || options.start_nanos < 0 || options.idle_nanos < 0) return result(info, -EINVAL);
  return result(info, udp_echo(options, report));
}

// udpAsk(address, port, count, payloadBytes, timeoutMillis, report, delays)
Napi::Value udp_ask_call(const Napi::CallbackInfo& info) {
  UdpAsk options;
  options.count = integer(info, 2, 1, 10'000'000);
  options.payload_bytes = integer(info, 3, 8, kMaxUdpPayload);
  options.timeout_nanos = duration(info, 4);
  double* const report = report_of(info, 5);
  double* const delays = cells_of(info, 6, kDelayBuckets);
  if (report == nullptr || delays == nullptr || address_of(info, 0, number(info, 1), &options.target) < 0 || options.count < 0 ||
      options.payload_bytes < 0 || options.timeout_nanos < 0) {
    return result(info, -EINVAL);
  }
  return result(info, udp_ask(options, report, delays));
}

}  // namespace

void define_udp(Napi::Env env, Napi::Object exports) {
  exports.Set("udpBind", Napi::Function::New(env, udp_bind));
  exports.Set("udpSend", Napi::Function::New(env, udp_send_call));
  exports.Set("udpEcho", Napi::Function::New(env, udp_echo_call));
  exports.Set("udpAsk", Napi::Function::New(env, udp_ask_call));
  exports.Set("receiveProbes", Napi::Function::New(env, receive_probes));
}

}  // namespace traffic
