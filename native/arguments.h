// Reading JavaScript values that may be anything. Nothing here throws: a value that does not fit is `false`, and the call answers -EINVAL.
// (A property getter of the caller's may throw; that error goes back to the caller.)
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tapbridge {

inline bool read_double(napi_env env, napi_value value, double& into) { return napi_get_value_double(env, value, &into) == napi_ok; }

// A whole number in [low, high]; NaN, infinities and fractions do not fit.
inline bool read_integer(napi_env env, napi_value value, int64_t low, int64_t high, int64_t& into) {
  double number = 0;
  if (!read_double(env, value, number) || !(number >= static_cast<double>(low)) || !(number <= static_cast<double>(high)) ||
      number != std::trunc(number)) {
    return false;
  }
  into = static_cast<int64_t>(number);
  return true;
}

// -1 or a number a descriptor can have.
inline bool read_descriptor(napi_env env, napi_value value, int& into) {
  int64_t number = 0;
  if (!read_integer(env, value, -1, INT32_MAX, number)) {
    return false;
  }
  into = static_cast<int>(number);
  return true;
}

inline bool read_bool(napi_env env, napi_value value, bool& into) { return napi_get_value_bool(env, value, &into) == napi_ok; }

// A string of at most 4,095 bytes without NUL, which the kernel would take for its end.
inline bool read_string(napi_env env, napi_value value, std::string& into) {
  constexpr size_t kMaxBytes = 4095;  // PATH_MAX - 1
  size_t bytes = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &bytes) != napi_ok || bytes > kMaxBytes) {
    return false;
  }
  into.resize(bytes);
  return napi_get_value_string_utf8(env, value, into.data(), bytes + 1, &bytes) == napi_ok && into.find('\0') == std::string::npos;
}

// An array of such strings.
inline bool read_strings(napi_env env, napi_value value, std::vector<std::string>& into) {
  bool is_array = false;
  uint32_t length = 0;
  if (napi_is_array(env, value, &is_array) != napi_ok || !is_array || napi_get_array_length(env, value, &length) != napi_ok) {
    return false;
  }
  for (uint32_t at = 0; at < length; at++) {
    napi_value element = nullptr;
    std::string text;
    if (napi_get_element(env, value, at, &element) != napi_ok || !read_string(env, element, text)) {
      return false;
    }
    into.push_back(std::move(text));
  }
  return true;
}

// The bytes of a Uint8Array, valid until JavaScript runs again.
inline bool read_bytes(napi_env env, napi_value value, uint8_t*& start, size_t& bytes) {
  bool is_typed_array = false;
  napi_typedarray_type type{};
  void* data = nullptr;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(env, value, &type, &bytes, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
    return false;
  }
  start = static_cast<uint8_t*>(data);
  return true;
}

}  // namespace tapbridge
