// TCP generator and sink: bulk streams, and questions with their answers. Calls block; results are >= 0 or -errno.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "histogram.h"
#include "traffic.h"

namespace traffic {

// Cells of a report about streams; src/lab/tcp-traffic.ts names them the same way. Behind them a row for each stream.
enum TcpCell : std::size_t {
  kTcpBytes = 0,   // payload of all streams
  kTcpMicros,      // sender: from the first write to the last; receiver: from the first byte to the last
  kTcpCpuMicros,   // user and system time of the calling thread
  kTcpCells
};
enum StreamCell : std::size_t {
  kStreamBytes = 0,
  kStreamRetransmits,   // segments sent again, until the receiver had closed
  kStreamMinRttMicros,  // smallest round trip the kernel saw, with its delayed acknowledgements
  kStreamWrongAt,       // receiver: where the first byte was found that was not the one sent, or -1
  kStreamCells
};
// Cells of a report about questions.
enum AskCell : std::size_t {
  kAskAnswered = 0,
  kAskMicros,     // from the first question to the last answer
  kAskCpuMicros,
  kAskDelayMax,   // nanoseconds
  kAskCells
};

constexpr int kMaxStreams = 256;

struct TcpSend {
  std::vector<int> sockets;         // connected; shut down for writing when done
  std::int64_t duration_nanos = 0;
  double bytes = 0;                 // of each stream; 0: until the duration is over
};
struct TcpReceive {
  std::vector<int> sockets;         // connected; read to their end
  bool check_all = false;           // compare every byte instead of samples
  std::int64_t idle_nanos = 0;      // silence of all streams that fails the trial
};
struct TcpAnswer {
  int listener = -1;
  bool anew = false;                // a connection for each question
  std::int64_t idle_nanos = 0;      // silence that fails the trial
};
struct TcpAsk {
  sockaddr_in target{};
  bool anew = false;
  std::int64_t duration_nanos = 0;
  std::int64_t timeout_nanos = 0;   // for one answer
};

// Congestion control: a name as in net.ipv4.tcp_available_congestion_control (ENOENT for others), or empty for the namespace's own.
int tcp_listen(const sockaddr_in& address, const std::string& congestion);
int tcp_connect(const sockaddr_in& target, const std::string& congestion);
int tcp_accept(int listener, std::int64_t timeout_nanos);
int tcp_send(const TcpSend& options, double* report);
int tcp_receive(const TcpReceive& options, double* report);
int tcp_answer(const TcpAnswer& options, double* report);
int tcp_ask(const TcpAsk& options, DelayHistogram& delays, double* report);

// A limit for blocking sends and receives of a socket, after which they fail with EAGAIN.
int limit_blocking(int fd, std::int64_t nanos);

// Adds the calls to the addon.
void define_tcp(Napi::Env env, Napi::Object exports);

}  // namespace traffic
