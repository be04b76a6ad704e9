#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lockstep::test {

/// An HTTP/1.1 server at 127.0.0.1 with a thread of its own: what customers' APIs are like.
class WebServer {
 public:
  struct Call {
    std::chrono::steady_clock::time_point at;
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
  };
  struct Reply {
    int status = 200;
    std::chrono::milliseconds after{0};
    std::map<std::string, std::string> headers{};
  };
  /// Called on the server's thread; `nth` counts the calls from 0.
  using Handler = std::function<Reply(const Call&, std::size_t nth)>;

  /// Port 0: any.
  explicit WebServer(Handler handler, int port = 0);
  ~WebServer();  ///< breaks off what is under way
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  int port() const;
  std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port()) + path;
  }
  /// In the order in which they came.
  std::vector<Call> calls() const;
  /// How many were answered with a 2xx.
  std::size_t taken() const;
  std::size_t most_at_once() const;
  std::size_t connections() const;  ///< that were made

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::test
