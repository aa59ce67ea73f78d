// UDP generator and questions. See udp.cc, udp_echo.cc, udp_calls.cc.
#pragma once

#include <napi.h>
#include <netinet/in.h>

#include <cstdint>

#include "generator.h"

namespace traffic {

struct UdpSend {
  sockaddr_in target{};
  // Of the first flow, the others count up from it. One flow has the address of its interface and does not look at this. 0.0.0.0: all have that
  // address, and destinations count up from the target instead.
  sockaddr_in source{};
  Load load;
};
struct UdpEcho {
  int descriptor = -1;
  std::int64_t start_nanos = 0;  // how long to wait for the first datagram
  std::int64_t idle_nanos = 0;   // silence that ends it
};
struct UdpAsk {
  sockaddr_in target{};
  int count = 1;
  int payload_bytes = 18;
  std::int64_t timeout_nanos = 0;  // for one answer
};

// `report` has kCells, `delays` kDelayBuckets cells, all zeroed.
int udp_send(const UdpSend& options, double* report);
int udp_echo(const UdpEcho& options, double* report);
int udp_ask(const UdpAsk& options, double* report, double* delays);

// Sets udpBind, udpSend, udpEcho, udpAsk, and receiveProbes, the sink of datagrams and frames.
void define_udp(Napi::Env env, Napi::Object exports);

}  // namespace traffic
