// A mapping as an ArrayBuffer.
#pragma once

#include <napi.h>

#include <memory>

#include "mapping.h"

namespace tapbridge {

// The array buffer owns a share of the memory: whoever lets go last, this object or the collector, unmaps it.
inline Napi::ArrayBuffer share(Napi::Env env, const std::shared_ptr<Mapping>& mapping) {
  auto owner = std::make_unique<std::shared_ptr<Mapping>>(mapping);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, mapping->start(), mapping->bytes(), [](Napi::Env, void*, std::shared_ptr<Mapping>* share) { delete share; }, owner.get());
  owner.release();
  return buffer;
}

}  // namespace tapbridge
