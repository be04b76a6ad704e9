#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/http/access.hpp"
#include "lockstep/http/feed.hpp"
#include "lockstep/http/message.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::http {

struct ServerConfig {
  std::string host = "127.0.0.1";  ///< an address to listen on
  std::uint16_t port = 8000;       ///< 0: any that is free
  AccessRules access;
};

/// HTTP/1.1 and WebSocket, asynchronous, on one thread, and two more for routes that may wait:
/// one for pipelines, one for other services.
///
/// Bounds: 256 connections, 16 KiB of headers, 64 KiB of body, 10 s for a request and for reading
/// its answer, a minute between two, 64 requests for the other two threads, 64 that are
/// answered later. WebSockets: see Feed.
/// A connection beyond them closes the one that has been idle longest; where none is, the one that
/// has been longest about its request, its answer or its handshake: who is quick gets in, whatever
/// others do.
/// Threads: start() and the destructor from one; handlers are called on the server's. Who publishes
/// to the feed must have stopped before the destructor.
class Server {
 public:
  /// Errors: the address can't be listened on.
  /// `feed`: whom WebSockets at /ws/{client_id} listen to; nullptr: there are none.
  static Result<std::unique_ptr<Server>, std::string> start(ServerConfig config,
                                                            std::vector<Route> routes,
                                                            std::shared_ptr<Feed> feed = nullptr);
  /// Closes all connections; waits for what the other threads are at.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const noexcept;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::http
