#include "web.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cctype>

#include "catch.hpp"

namespace lockstep::test {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

tcp::endpoint local(int port) {
  return {asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(port)};
}

/// Runs what was begun until it is over; false after `deadline`.
bool run(asio::io_context& io, const bool& over, std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  io.restart();
  while (!over && std::chrono::steady_clock::now() < end) {
    io.run_one_until(end);
    io.restart();
  }
  return over;
}

}  // namespace

WebAnswer web_call(int port, const std::string& method, const std::string& target,
                   const WebHeaders& headers, const std::string& body) {
  asio::io_context io;
  beast::tcp_stream stream{io};
  stream.expires_after(std::chrono::seconds{10});
  bhttp::request<bhttp::string_body> request;
  request.version(11);
  request.method_string(method);
  request.target(target);
  request.set(bhttp::field::host, "127.0.0.1:" + std::to_string(port));
  request.set(bhttp::field::connection, "close");
  for (const auto& [name, value] : headers) request.set(name, value);
  request.body() = body;
  request.prepare_payload();
  bhttp::response_parser<bhttp::string_body> parser;
  parser.skip(method == "HEAD");
  beast::flat_buffer buffer;
  error_code failed;
  stream.async_connect(local(port), [&](error_code connect_failed) {
    failed = connect_failed;
    if (failed) return;
    bhttp::async_write(stream, request, [&](error_code write_failed, std::size_t) {
      failed = write_failed;
      if (failed) return;
      bhttp::async_read(stream, buffer, parser,
                        [&](error_code read_failed, std::size_t) { failed = read_failed; });
    });
  });
  io.run();
  INFO(method << " " << target << ": " << failed.message());
  REQUIRE_FALSE(failed);
  WebAnswer answer;
  const auto response = parser.release();
  answer.status = static_cast<int>(response.result_int());
  for (const auto& field : response) {
    std::string name{field.name_string().data(), field.name_string().size()};
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.headers[name] = {field.value().data(), field.value().size()};
  }
  answer.body = response.body();
  return answer;
}

WebConnection::WebConnection(int port) : socket_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
  REQUIRE(socket_ >= 0);
  const auto endpoint = local(port);
  REQUIRE(connect(socket_, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0);
}

WebConnection::~WebConnection() {
  close(socket_);
}

void WebConnection::send(const std::string& bytes) {
  // What the server has closed already takes nothing: that is for the test to find out.
  static_cast<void>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

void WebConnection::finish() {
  static_cast<void>(shutdown(socket_, SHUT_WR));
}

bool WebConnection::receive_until_closed(std::string& all, std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  do {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd wanted{socket_, POLLIN, 0};
    if (poll(&wanted, 1, std::max(0, static_cast<int>(left.count()))) <= 0) return false;
    std::array<char, 4096> bytes{};
    const auto size = recv(socket_, bytes.data(), bytes.size(), 0);
    if (size <= 0) return true;
    all.append(bytes.data(), static_cast<std::size_t>(size));
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

std::string WebConnection::receive_all(std::chrono::milliseconds deadline) {
  std::string all;
  receive_until_closed(all, deadline);
  return all;
}

bool WebConnection::is_closed(std::chrono::milliseconds deadline) {
  std::string ignored;
  return receive_until_closed(ignored, deadline);
}

class WebSocketClient::Impl {
 public:
  asio::io_context io;
  websocket::stream<beast::tcp_stream> stream{io};
  websocket::response_type response;
  beast::flat_buffer buffer;
  bool reading = false;
  bool read = false;
  error_code failed;
};

WebSocketClient::WebSocketClient(int port, const std::string& target, const WebHeaders& headers,
                                 const std::string& protocols)
    : impl_{std::make_unique<Impl>()} {
  impl_->stream.set_option(websocket::stream_base::decorator{[&](websocket::request_type& request) {
    for (const auto& [name, value] : headers) request.set(name, value);
    if (!protocols.empty()) request.set(bhttp::field::sec_websocket_protocol, protocols);
  }});
  bool over = false;
  const auto host = "127.0.0.1:" + std::to_string(port);
  beast::get_lowest_layer(impl_->stream).async_connect(local(port), [&](error_code failed) {
    if (failed) {
      over = true;
      return;
    }
    impl_->stream.async_handshake(impl_->response, host, target, [&](error_code) { over = true; });
  });
  REQUIRE(run(impl_->io, over, std::chrono::seconds{10}));
}

WebSocketClient::~WebSocketClient() = default;

int WebSocketClient::status() const {
  return static_cast<int>(impl_->response.result_int());
}

std::optional<std::string> WebSocketClient::receive(std::chrono::milliseconds deadline) {
  auto& impl = *impl_;
  if (!impl.reading) {
    impl.reading = true;
    impl.read = false;
    impl.stream.async_read(impl.buffer, [&impl](error_code failed, std::size_t) {
      impl.failed = failed;
      impl.read = true;
    });
  }
  if (!run(impl.io, impl.read, deadline)) return std::nullopt;
  impl.reading = false;
  if (impl.failed) return std::nullopt;
  auto text = beast::buffers_to_string(impl.buffer.data());
  impl.buffer.clear();
  return text;
}

int WebSocketClient::close_code() const {
  return impl_->stream.reason().code;
}

}  // namespace lockstep::test
