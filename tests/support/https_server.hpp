#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::test {

/// A server at 127.0.0.1 that speaks HTTP/2 over TLS and nothing else, and takes whatever it is
/// sent. Its certificate is for localhost, and signed by nobody but itself. A process of its own:
/// https_server.py.
class HttpsServer {
 public:
  struct Call {
    int connection;       ///< its number
    std::size_t at_once;  ///< calls under way when it began
    std::string idempotency_key;
    std::string body;
  };

  /// It answers after so long, and takes `streams` at once on a connection.
  explicit HttpsServer(std::chrono::milliseconds answers_after = std::chrono::milliseconds{0},
                       std::size_t streams = 1000);
  ~HttpsServer();
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;

  std::string url(const std::string& host = "localhost") const;
  std::string certificate() const;  ///< PEM: who trusts it trusts the server
  const std::filesystem::path& certificate_file() const noexcept { return certificate_; }
  /// Those that were answered.
  std::vector<Call> calls() const;

 private:
  std::vector<std::string> said() const;  ///< whole lines

  const std::filesystem::path folder_;
  const std::filesystem::path certificate_;
  pid_t pid_ = 0;
  std::string port_;
};

}  // namespace lockstep::test
