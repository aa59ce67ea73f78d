#include "burst_io_object.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "arguments.h"
#include "shared_buffer.h"

namespace tapbridge {
namespace {

struct Field {
  const char* name;
  int64_t BurstLimits::*value;
};

constexpr Field kFields[] = {
    {"arenaBytes", &BurstLimits::arena_bytes},   {"receiveBytes", &BurstLimits::receive_bytes},
    {"batchFrames", &BurstLimits::batch_frames}, {"receiveFrames", &BurstLimits::receive_frames},
    {"batchBytes", &BurstLimits::batch_bytes},   {"burstFrames", &BurstLimits::burst_frames},
    {"transmitWords", &BurstLimits::transmit_words}, {"maxPorts", &BurstLimits::max_ports},
};

// Microseconds to nanoseconds, bounded so that sums with the clock cannot overflow. False for NaN and what is no number.
bool read_micros(napi_env env, napi_value value, int64_t& nanos) {
  constexpr double kHundredDays = 100.0 * 86400 * 1e6;
  double micros = 0;
  if (!read_double(env, value, micros) || std::isnan(micros)) {
    return false;
  }
  nanos = micros < 0 ? -1 : static_cast<int64_t>(std::fmin(micros, kHundredDays) * 1000.0);
  return true;
}

}  // namespace

Napi::Function BurstIoObject::define(Napi::Env env) {
  return DefineClass(env, "BurstIo",
                     {
                         InstanceMethod<&BurstIoObject::add>("add"),
                         InstanceMethod<&BurstIoObject::remove>("remove"),
                         InstanceMethod<&BurstIoObject::receive>("receive"),
                         InstanceMethod<&BurstIoObject::send>("send"),
                         InstanceMethod<&BurstIoObject::close>("close"),
                     });
}

BurstIoObject::BurstIoObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BurstIoObject>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    throw Napi::TypeError::New(env, "BurstIo: options must be an object");
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  BurstLimits limits;
  for (const Field& field : kFields) {
    if (!read_integer(env, options.Get(field.name), 0, INT32_MAX, limits.*field.value)) {
      throw Napi::RangeError::New(env, std::string("BurstIo: ") + field.name + " must be a whole number");
    }
  }
  if (!BurstIo::sensible(limits)) {
    throw Napi::RangeError::New(env,
                                "BurstIo: options out of range (arenaBytes: 1 MiB to 1 GiB in steps of 4096; receiveBytes: " +
                                    std::to_string(BurstIo::kSlotRoom) +
                                    " to arenaBytes; batchFrames, burstFrames, maxPorts: 1 to 65536; receiveFrames: 1 to batchFrames; batchBytes: 1 to arenaBytes; transmitWords: 4 to 16777216)");
  }
  int error = 0;
  io_ = BurstIo::make(limits, error);
  if (io_ == nullptr) {
    throw Napi::Error::New(env, std::string("BurstIo: no memory or descriptors: ") + std::strerror(-error));
  }
  Napi::Object self = info.This().As<Napi::Object>();
  const std::pair<const char*, const std::shared_ptr<Mapping>*> buffers[kBuffers] = {
      {"arena", &io_->arena()},       {"received", &io_->received()}, {"transmit", &io_->transmit()},
      {"failures", &io_->failures()}, {"errors", &io_->errors()},     {"status", &io_->status()},
  };
  for (size_t each = 0; each < kBuffers; each++) {
    const Napi::ArrayBuffer buffer = share(env, *buffers[each].second);
    buffers_[each] = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 1);
    self.DefineProperty(Napi::PropertyDescriptor::Value(buffers[each].first, buffer, napi_enumerable));
  }
  self.DefineProperty(Napi::PropertyDescriptor::Value("waker", Napi::Number::New(env, io_->waker()), napi_enumerable));
}

Napi::Value BurstIoObject::add(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int64_t port = 0;
  int descriptor = -1;
  int64_t kind = 0;
  int64_t header_bytes = 0;
  int result = -EINVAL;
  if (io_ == nullptr) {
    result = -EBADF;
  } else if (read_integer(env, info[0], 0, INT32_MAX, port) && read_descriptor(env, info[1], descriptor) &&
             read_integer(env, info[2], 0, 1, kind) && read_integer(env, info[3], 0, 12, header_bytes) &&
             (header_bytes == 0 || header_bytes == 12)) {
    result = io_->add(port, descriptor, static_cast<BurstIo::Kind>(kind), static_cast<int>(header_bytes));
  }
  return Napi::Number::New(env, result);
}

Napi::Value BurstIoObject::remove(const Napi::CallbackInfo& info) {
  int64_t port = 0;
  int result = -EINVAL;
  if (io_ == nullptr) {
    result = -EBADF;
  } else if (read_integer(info.Env(), info[0], 0, INT32_MAX, port)) {
    result = io_->remove(port);
  }
  return Napi::Number::New(info.Env(), result);
}

Napi::Value BurstIoObject::receive(const Napi::CallbackInfo& info) {
  int64_t spin = 0;
  int64_t sleep = 0;
  bool yields = false;
  int result = -EINVAL;
  if (io_ == nullptr) {
    result = -EBADF;
  } else if (read_micros(info.Env(), info[0], spin) && read_micros(info.Env(), info[1], sleep) &&
             (info.Length() < 3 || read_bool(info.Env(), info[2], yields))) {
    result = io_->receive(spin, sleep, yields);
  }
  return Napi::Number::New(info.Env(), result);
}

Napi::Value BurstIoObject::send(const Napi::CallbackInfo& info) {
  int64_t words = 0;
  int result = -EINVAL;
  if (io_ == nullptr) {
    result = -EBADF;
  } else if (read_integer(info.Env(), info[0], 0, INT32_MAX, words)) {
    result = io_->send(words);
  }
  return Napi::Number::New(info.Env(), result);
}

Napi::Value BurstIoObject::close(const Napi::CallbackInfo& info) {
  for (auto& buffer : buffers_) {
    if (!buffer.IsEmpty()) {
      Napi::ArrayBuffer value = buffer.Value();
      if (!value.IsEmpty() && !value.IsDetached()) {
        value.Detach();
      }
      buffer.Reset();
    }
  }
  io_.reset();
  return info.Env().Undefined();
}

}  // namespace tapbridge
