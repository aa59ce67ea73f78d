// TCP questions of one byte with answers of one byte, one after the other: on one connection, or on a new one for each.
//
//     on one      connect · ask, answer · ask, answer · ... · close                       the end of the connection ends the trial
//     anew        connect, ask, answer, close · connect, ask, answer, close · ...         a connection without a question ends it
//
// Anew, the answerer closes first, as servers of HTTP/1.0 do: a full exchange of FINs, and the TIME_WAIT stays with the answerer, whose port
// it does not block. The asker's ports are free again at once, so the rate is not bounded by how many there are.
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "tcp.h"

namespace traffic {
namespace {

// Blocks until there is a byte: 1, 0 at the end of the stream, or -errno.
int read_byte(int fd, std::uint8_t* byte) {
  for (;;) {
    const ssize_t count = recv(fd, byte, 1, 0);
    if (count >= 0) return static_cast<int>(count);
    if (errno != EINTR) return errno == EAGAIN ? -ETIMEDOUT : -errno;
  }
}

int write_byte(int fd, std::uint8_t byte) {
  for (;;) {
    const ssize_t count = send(fd, &byte, 1, MSG_NOSIGNAL);
    if (count == 1) return 0;
    if (errno != EINTR) return errno == EAGAIN ? -ETIMEDOUT : -errno;
  }
}

int prepare(int fd, std::int64_t timeout_nanos) {
  const int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) return -errno;
  return limit_blocking(fd, timeout_nanos);
}

int open_connection(const TcpAsk& options, Descriptor* into) {
  *into = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (into->get() < 0) return -errno;
  const int prepared = prepare(into->get(), options.timeout_nanos);
  if (prepared < 0) return prepared;
  if (connect(into->get(), reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) == 0) return 0;
  // A connect that runs into the limit says that it is in progress.
  return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

// A question and its answer, which must be the same byte.
int exchange(int fd, std::uint8_t question) {
  const int written = write_byte(fd, question);
  if (written < 0) return written;
  std::uint8_t answer = 0;
  const int count = read_byte(fd, &answer);
  if (count < 0) return count;
  return count == 1 && answer == question ? 0 : -EPROTO;
}

int await_end(int fd) {
  std::uint8_t byte = 0;
  const int count = read_byte(fd, &byte);
  return count > 0 ? -EPROTO : count;
}

int ask_anew(const TcpAsk& options, std::uint8_t question) {
  Descriptor connection;
  const int opened = open_connection(options, &connection);
  if (opened < 0) return opened;
  const int answered = exchange(connection.get(), question);
  if (answered < 0) return answered;
  return await_end(connection.get());
}

}  // namespace

int tcp_answer(const TcpAnswer& options, double* report) {
  // A listener's limit is one for accept.
  const int limited = limit_blocking(options.listener, options.idle_nanos);
  if (limited < 0) return limited;
  const std::int64_t cpu = thread_cpu_nanos();
  double answered = 0;
  for (;;) {
    Descriptor connection(accept4(options.listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.get() < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    const int prepared = prepare(connection.get(), options.idle_nanos);
    if (prepared < 0) return prepared;
    double questions = 0;
    std::uint8_t byte = 0;
    int count = 0;
    while ((!options.anew || questions == 0) && (count = read_byte(connection.get(), &byte)) > 0) {
      const int written = write_byte(connection.get(), byte);
      if (written < 0) return written;
      questions += 1;
    }
    if (count < 0) return count;
    answered += questions;
    if (!options.anew || questions == 0) break;
  }
  report[kAskAnswered] = answered;
  report[kAskCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  return 0;
}

int tcp_ask(const TcpAsk& options, DelayHistogram& delays, double* report) {
  Descriptor connection;
  if (!options.anew) {
    const int opened = open_connection(options, &connection);
    if (opened < 0) return opened;
  }
  const std::int64_t cpu = thread_cpu_nanos();
  const std::int64_t start = monotonic_nanos();
  std::int64_t now = start;
  double answered = 0;
  while (now - start < options.duration_nanos) {
    const auto question = static_cast<std::uint8_t>(static_cast<std::uint64_t>(answered));
    const int result = options.anew ? ask_anew(options, question) : exchange(connection.get(), question);
    if (result < 0) return result;
    const std::int64_t asked = now;
    now = monotonic_nanos();
    delays.add(now - asked);
    answered += 1;
  }
  report[kAskAnswered] = answered;
  report[kAskMicros] = static_cast<double>(now - start) / 1e3;
  report[kAskCpuMicros] = static_cast<double>(thread_cpu_nanos() - cpu) / 1e3;
  report[kAskDelayMax] = delays.max();
  // The connection without a question.
  return options.anew ? open_connection(options, &connection) : 0;
}

}  // namespace traffic
