// BurstIo as a JavaScript class.
#pragma once

#include <napi.h>

#include <memory>

#include "burst_io.h"

namespace tapbridge {

class BurstIoObject : public Napi::ObjectWrap<BurstIoObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit BurstIoObject(const Napi::CallbackInfo& info);

 private:
  static constexpr size_t kBuffers = 6;

  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value remove(const Napi::CallbackInfo& info);
  Napi::Value receive(const Napi::CallbackInfo& info);
  Napi::Value send(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::unique_ptr<BurstIo> io_;  // null after close
  Napi::Reference<Napi::ArrayBuffer> buffers_[kBuffers];
};

}  // namespace tapbridge
