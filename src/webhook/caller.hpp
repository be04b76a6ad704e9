#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "answer.hpp"
#include "lockstep/model/route.hpp"

namespace lockstep::webhook {

/// Calls to one destination, as many at once as are begun: libcurl's multi interface on an epoll.
/// Connections are kept and used again; over TLS HTTP/2 is spoken where the destination does.
/// Redirects are not followed, answers' bodies are thrown away.
/// Threads: one; wake() from any. Errors: a call that can't be begun has a transport error; the
/// constructor throws std::runtime_error if the system is out of files or memory.
class Caller {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Id = std::uint64_t;
  struct Finished {
    Id id;
    Outcome outcome;
  };

  explicit Caller(const WebhookRoute& route);
  ~Caller();  ///< gives up what is under way
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  /// `body` must stay until the call has finished.
  void begin(Id id, const std::string& body, const std::string& idempotency_key);
  /// Until one or more have finished, somebody wakes it, or `until`, at the latest after 500 ms.
  std::vector<Finished> wait(Time until);
  void wake() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Scheme, host and port of a URL, for messages: no path, which may be a secret, too.
std::string destination_of(const std::string& url);

}  // namespace lockstep::webhook
