#include "web_server.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <mutex>
#include <thread>
#include <utility>

namespace lockstep::test {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

class WebServer::Impl {
 public:
  Impl(Handler handler, int port)
      : handler_{std::move(handler)},
        acceptor_{io_, {asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(port)}} {
    accept();
    thread_ = std::thread{[this] { io_.run(); }};
  }

  ~Impl() {
    io_.stop();
    thread_.join();
  }

  int port() const { return acceptor_.local_endpoint().port(); }

  mutable std::mutex mutex;
  std::vector<Call> calls;
  std::size_t taken = 0;
  std::size_t at_once = 0;
  std::size_t most_at_once = 0;
  std::size_t connections = 0;

 private:
  struct Session : std::enable_shared_from_this<Session> {
    Session(Impl& of, tcp::socket connected)
        : impl{of}, socket{std::move(connected)}, timer{impl.io_} {}

    void read() {
      request = {};
      bhttp::async_read(socket, buffer, request,
                        [self = shared_from_this()](error_code error, std::size_t) {
                          if (!error) self->handle();
                        });
    }

    void handle() {
      Call call{std::chrono::steady_clock::now(),
                std::string{request.method_string()},
                std::string{request.target()},
                {},
                request.body()};
      for (const auto& field : request) {
        std::string name{field.name_string()};
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        call.headers.emplace(name, std::string{field.value()});
      }
      std::size_t nth = 0;
      {
        const std::scoped_lock lock{impl.mutex};
        nth = impl.calls.size();
        impl.calls.push_back(call);
        impl.most_at_once = std::max(impl.most_at_once, ++impl.at_once);
      }
      const auto reply = impl.handler_(call, nth);
      response = {};
      response.version(11);
      response.result(static_cast<unsigned>(reply.status));
      for (const auto& [name, value] : reply.headers) response.set(name, value);
      response.body() = "{}";
      response.prepare_payload();
      timer.expires_after(reply.after);
      timer.async_wait([self = shared_from_this()](error_code) { self->write(); });
    }

    void write() {
      {
        const std::scoped_lock lock{impl.mutex};
        --impl.at_once;
        if (response.result_int() / 100 == 2) ++impl.taken;
      }
      bhttp::async_write(socket, response,
                         [self = shared_from_this()](error_code error, std::size_t) {
                           if (!error) self->read();
                         });
    }

    Impl& impl;
    tcp::socket socket;
    asio::steady_timer timer;
    beast::flat_buffer buffer;
    bhttp::request<bhttp::string_body> request;
    bhttp::response<bhttp::string_body> response;
  };

  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (error) return;
      {
        const std::scoped_lock lock{mutex};
        ++connections;
      }
      std::make_shared<Session>(*this, std::move(socket))->read();
      accept();
    });
  }

  const Handler handler_;
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

WebServer::WebServer(Handler handler, int port)
    : impl_{std::make_unique<Impl>(std::move(handler), port)} {}
WebServer::~WebServer() = default;

int WebServer::port() const {
  return impl_->port();
}
std::vector<WebServer::Call> WebServer::calls() const {
  const std::scoped_lock lock{impl_->mutex};
  return impl_->calls;
}
std::size_t WebServer::taken() const {
  const std::scoped_lock lock{impl_->mutex};
  return impl_->taken;
}
std::size_t WebServer::most_at_once() const {
  const std::scoped_lock lock{impl_->mutex};
  return impl_->most_at_once;
}
std::size_t WebServer::connections() const {
  const std::scoped_lock lock{impl_->mutex};
  return impl_->connections;
}

}  // namespace lockstep::test
