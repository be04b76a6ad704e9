#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::test {

struct WebAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

using WebHeaders = std::vector<std::pair<std::string, std::string>>;

/// A call to 127.0.0.1, on a connection of its own; the test fails without an answer within 10 s.
WebAnswer web_call(int port, const std::string& method, const std::string& target,
                   const WebHeaders& headers = {}, const std::string& body = "");

/// A TCP connection to 127.0.0.1, for what is no proper call.
class WebConnection {
 public:
  explicit WebConnection(int port);
  ~WebConnection();
  WebConnection(const WebConnection&) = delete;
  WebConnection& operator=(const WebConnection&) = delete;

  void send(const std::string& bytes);
  /// Nothing more is sent: the connection is half closed.
  void finish();
  /// What comes until the server closes, or until `deadline`.
  std::string receive_all(std::chrono::milliseconds deadline);
  /// The server has closed it, within `deadline`; 0: by now, as far as there is nothing to be read
  /// before that.
  bool is_closed(std::chrono::milliseconds deadline);

 private:
  /// False: the deadline has passed.
  bool receive_until_closed(std::string& all, std::chrono::milliseconds deadline);

  int socket_ = -1;
};

/// A client of a WebSocket at 127.0.0.1.
class WebSocketClient {
 public:
  /// `protocols`: Sec-WebSocket-Protocol. status() says whether it was let in (101).
  WebSocketClient(int port, const std::string& target, const WebHeaders& headers = {},
                  const std::string& protocols = "");
  ~WebSocketClient();
  WebSocketClient(const WebSocketClient&) = delete;
  WebSocketClient& operator=(const WebSocketClient&) = delete;

  int status() const;
  /// The next text; nullopt: none within `deadline`, or closed.
  std::optional<std::string> receive(std::chrono::milliseconds deadline);
  /// The code with which the server has closed; 0: it has not.
  int close_code() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::test
