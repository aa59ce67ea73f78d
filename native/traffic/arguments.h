// Reading JavaScript values that may be anything, for the calls of the traffic addon. Nothing here throws: what does not fit is -1, NaN or
// null, and the call answers -EINVAL.
#pragma once

#include <errno.h>
#include <napi.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>

#include "traffic.h"

namespace traffic {

// Sockets this environment opened and has not closed yet.
struct Environment {
  std::set<int> open;
  ~Environment() {
    for (const int fd : open) ::close(fd);
  }
};
inline Environment& environment(const Napi::CallbackInfo& info) { return *info.Env().GetInstanceData<Environment>(); }

// A number in [0, 1e15], or NaN.
inline double number(const Napi::CallbackInfo& info, std::size_t index) {
  const Napi::Value value = info[index];
  const double result = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  return std::isfinite(result) && result >= 0 && result <= 1e15 ? result : NAN;
}
// An integer in [low, high], or -1.
inline int integer(const Napi::CallbackInfo& info, std::size_t index, int low, int high) {
  const double value = number(info, index);
  return value >= low && value <= high ? static_cast<int>(value) : -1;
}
// Milliseconds as nanoseconds, or -1. At most an hour.
inline std::int64_t duration(const Napi::CallbackInfo& info, std::size_t index) {
  const double value = number(info, index);
  return value <= 3'600'000 ? static_cast<std::int64_t>(value * 1e6) : -1;
}
inline Napi::Value result(const Napi::CallbackInfo& info, int value) { return Napi::Number::New(info.Env(), value); }

// A Float64Array of at least `cells` cells, the first of them zeroed, or null.
inline double* cells_of(const Napi::CallbackInfo& info, std::size_t index, std::size_t cells) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      value.As<Napi::TypedArray>().ElementLength() < cells) {
    return nullptr;
  }
  double* data = value.As<Napi::Float64Array>().Data();
  std::fill_n(data, cells, 0.0);
  return data;
}
inline double* report_of(const Napi::CallbackInfo& info, std::size_t index) { return cells_of(info, index, kCells); }

// The descriptor in the first argument when this environment opened it, or -1.
inline int owned(const Napi::CallbackInfo& info) {
  const int fd = integer(info, 0, 0, 1 << 20);
  return environment(info).open.contains(fd) ? fd : -1;
}

}  // namespace traffic
