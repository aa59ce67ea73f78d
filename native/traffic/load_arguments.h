// The arguments every generator takes, in the same order.
#pragma once

#include "arguments.h"
#include "generator.h"

namespace traffic {

constexpr int kMaxFlows = 262'144;
constexpr std::size_t kLoadArguments = 8;

// (flows, payloadBytes, burst, durationMillis, frames, framesPerSecond, token, integrity) from argument `at` on; false when one is none.
inline bool load_of(const Napi::CallbackInfo& info, std::size_t at, int min_payload, int max_payload, Load* load) {
  load->flows = integer(info, at, 1, kMaxFlows);
  load->payload_bytes = integer(info, at + 1, min_payload, max_payload);
  load->burst = integer(info, at + 2, 1, 1024);
  load->duration_nanos = duration(info, at + 3);
  load->frames = number(info, at + 4);
  load->frames_per_second = number(info, at + 5);
  load->token = integer(info, at + 6, 0, 65'535);
  const int integrity = integer(info, at + 7, 0, 1);
  load->integrity = integrity == 1;
  return load->flows > 0 && load->payload_bytes > 0 && load->burst > 0 && load->duration_nanos >= 0 && !std::isnan(load->frames) &&
         !std::isnan(load->frames_per_second) && load->token >= 0 && integrity >= 0;
}

}  // namespace traffic
