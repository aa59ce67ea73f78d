// The traffic addon: what its calls share. Each call checks its arguments; a wrong type or an unreadable number is -EINVAL.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>

#include <algorithm>

#include "arguments.h"
#include "frames.h"
#include "tcp.h"
#include "traffic.h"
#include "udp.h"

namespace traffic {

int parse_address(const std::string& address, double port, sockaddr_in* out) {
  if (!(port >= 0 && port <= 65535)) return -EINVAL;
  out->sin_family = AF_INET;
  out->sin_port = htons(static_cast<std::uint16_t>(port));
  return inet_pton(AF_INET, address.c_str(), &out->sin_addr) == 1 ? 0 : -EINVAL;
}

void grow_receive_buffer(int fd) {
  // Room for about 20,000 small datagrams (an skb of one is booked with 768 bytes): what a scheduling pause of the receiver costs
  // shall not be counted as loss of the bridge. Without CAP_NET_ADMIN the limit of net.core.rmem_max holds.
  const int bytes = 16 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
}

int bind_socket(int type, const sockaddr_in& address) {
  Descriptor socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return -errno;
  const int on = 1;
  // A trial follows the last one on the same port.
  if (setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) return -errno;
  if (type == SOCK_DGRAM) grow_receive_buffer(socket.get());
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return -errno;
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

using namespace traffic;

// closeSocket(descriptor)
Napi::Value close_socket(const Napi::CallbackInfo& info) {
  const int fd = owned(info);
  if (fd < 0) return result(info, -EBADF);
  environment(info).open.erase(fd);
  return result(info, ::close(fd) < 0 ? -errno : 0);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment());
  define_udp(env, exports);
  define_frames(env, exports);
  define_tcp(env, exports);
  exports.Set("closeSocket", Napi::Function::New(env, close_socket));
  return exports;
}

}  // namespace

NODE_API_MODULE(traffic, init)
