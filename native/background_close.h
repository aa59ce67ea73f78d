// close(2) on a thread of its own, with a promise of its end.
//
// The close of a TAP waits for grace periods of the kernel: some 15 to 25 ms, nearly all of it after the locks are let go, so that many of them wait
// for the same one. libuv's pool has four threads: a bridge with 200 ports took 1.9 s there, and kept file I/O waiting meanwhile.
//
// An environment that ends (worker.terminate()) waits for the closes under way: Node frees a thread-safe function with its environment, whoever
// may still call it (nodejs/node#55706).
#pragma once

#include <napi.h>

#include <system_error>
#include <thread>
#include <utility>

#include "descriptor.h"

namespace tapbridge {

class BackgroundClose {
 public:
  static Napi::Promise start(Napi::Env env, Descriptor descriptor) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    auto* close = new BackgroundClose(deferred);
    // Node-API's own call: node-addon-api's typed wrapper compares the address of `settle` in a constant expression, which is none under UBSan.
    const napi_status made = napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "closeInBackground"), 0, 1, nullptr,
                                                             nullptr, nullptr, settle, &close->done_);
    if (made != napi_ok) {
      delete close;
      throw Napi::Error::New(env, "closeInBackground: no room for another thread's answer");
    }
    try {
      close->thread_ = std::thread([close, mine = std::move(descriptor)]() mutable {
        mine.reset();
        napi_call_threadsafe_function(close->done_, close, napi_tsfn_nonblocking);
      });
    } catch (const std::system_error&) {
      // No room for a thread; the closure with the descriptor is gone, and with it the file.
      napi_release_threadsafe_function(close->done_, napi_tsfn_release);
      delete close;
      deferred.Resolve(Napi::Number::New(env, 0));
      return deferred.Promise();
    }
    // Hooks run in reverse order: this one before that of the function, which was made earlier.
    napi_add_env_cleanup_hook(env, wait, close);
    return deferred.Promise();
  }

 private:
  explicit BackgroundClose(Napi::Promise::Deferred deferred) : deferred_(deferred) {}

  // On the JavaScript thread, when its environment ends before the file is closed.
  static void wait(void* close) { static_cast<BackgroundClose*>(close)->thread_.join(); }

  // On the JavaScript thread; without an environment when that ended meanwhile, and waited.
  static void settle(napi_env env, napi_value, void*, void* data) {
    auto* const close = static_cast<BackgroundClose*>(data);
    if (env != nullptr) {
      napi_remove_env_cleanup_hook(env, wait, close);
      close->thread_.join();
      napi_release_threadsafe_function(close->done_, napi_tsfn_release);
      close->deferred_.Resolve(Napi::Number::New(env, 0));
    }
    delete close;
  }

  Napi::Promise::Deferred deferred_;
  napi_threadsafe_function done_ = nullptr;
  std::thread thread_;
};

}  // namespace tapbridge
