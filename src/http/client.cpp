#include "lockstep/http/client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cctype>

namespace lockstep::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

class Call {
 public:
  Call(const std::string& method, const std::string& target, const std::string& authority,
       const std::string& token)
      : request_{bhttp::string_to_verb(method), target, 11} {
    request_.set(bhttp::field::host, authority);
    if (!token.empty()) request_.set(bhttp::field::authorization, "Bearer " + token);
    request_.keep_alive(false);
  }

  /// False: no answer within `deadline`, or failed().
  bool run(const tcp::endpoint& server, std::chrono::milliseconds deadline) {
    stream_.async_connect(server, [this](error_code failed) {
      if (!over(failed)) send();
    });
    io_.run_for(deadline);
    return complete_;
  }
  const error_code& failed() const { return failed_; }
  Response answer() {
    return {.status = static_cast<int>(answer_.result_int()), .body = std::move(answer_.body())};
  }

 private:
  void send() {
    bhttp::async_write(stream_, request_, [this](error_code failed, std::size_t) {
      if (!over(failed)) receive();
    });
  }
  void receive() {
    bhttp::async_read(stream_, buffer_, answer_,
                      [this](error_code failed, std::size_t) { complete_ = !over(failed); });
  }
  bool over(error_code failed) {
    failed_ = failed;
    return static_cast<bool>(failed);
  }

  asio::io_context io_{1};
  beast::tcp_stream stream_{io_};
  beast::flat_buffer buffer_;
  bhttp::request<bhttp::empty_body> request_;
  bhttp::response<bhttp::string_body> answer_;
  error_code failed_;
  bool complete_ = false;
};

}  // namespace

Result<Response, std::string> call(const std::string& host, std::uint16_t port,
                                   const std::string& method, const std::string& target,
                                   const std::string& token, std::chrono::milliseconds deadline) {
  error_code bad;
  const auto address = asio::ip::make_address(host, bad);
  if (bad) return host + " is not an address: " + bad.message();
  const std::string authority =
      (address.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
  Call call{method, target, authority, token};
  if (call.run({address, port}, deadline)) return call.answer();
  if (call.failed()) return authority + ": " + call.failed().message();
  return authority + ": no answer in time";
}

std::string in_query(const std::string& text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_') {
      encoded += static_cast<char>(c);
    } else {
      encoded += '%';
      encoded += digits[c >> 4U];
      encoded += digits[c & 15U];
    }
  }
  return encoded;
}

}  // namespace lockstep::http
