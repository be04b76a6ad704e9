#include "lockstep/http/server.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <functional>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "lockstep/model/mutex.hpp"
#include "target.hpp"

namespace lockstep::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::seconds;

Response error(int status, std::string_view error, std::string_view detail) {
  const nlohmann::ordered_json body{{"error", error}, {"detail", detail}};
  return {.status = status,
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

namespace {

constexpr std::size_t most_connections = 256;
constexpr std::uint32_t header_limit = 16 * 1024;
constexpr std::uint64_t body_limit = 64 * 1024;
constexpr std::size_t most_waiting = 64;
constexpr std::size_t frame_limit = 4 * 1024;  // of what a browser sends
constexpr seconds request_deadline{10};
constexpr seconds idle_deadline{60};
constexpr std::uint16_t replaced_code = 4000;  // of the range for applications (RFC 6455, 7.4.2)
constexpr std::string_view token_protocol = "bearer.";
// Everything that the page needs is in the binary: nothing is loaded from elsewhere.
constexpr auto content_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
    "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

using BeastRequest = bhttp::request<bhttp::string_body>;

std::string text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

std::optional<std::string> header(const BeastRequest& request, beast::string_view name) {
  const auto found = request.find(name);
  if (found == request.end()) return std::nullopt;
  return text_of(found->value());
}

/// A browser can give a WebSocket no headers: the token comes as a protocol, which it can.
std::string token_of(const BeastRequest& request) {
  constexpr beast::string_view scheme = "bearer ";
  const auto authorization = request[bhttp::field::authorization];
  if (authorization.size() > scheme.size() &&
      beast::iequals(authorization.substr(0, scheme.size()), scheme)) {
    return text_of(authorization.substr(scheme.size()));
  }
  for (const auto& protocol : bhttp::token_list{request[bhttp::field::sec_websocket_protocol]}) {
    const std::string_view name{protocol.data(), protocol.size()};
    if (name.substr(0, token_protocol.size()) == token_protocol) {
      return std::string{name.substr(token_protocol.size())};
    }
  }
  return {};
}

class Connection;
class Session;

/// The answer that a session waits for while no handler of the server's holds it.
class Later {
 public:
  Later(asio::io_context& io, std::shared_ptr<Session> session, const Route& route)
      : io_{io}, route_{route}, session_{std::move(session)} {}

  void answer(Response response);
  /// The server is about to end. Its thread has ended already.
  void forget() {
    const Lock lock{mutex_};
    session_.reset();
  }

 private:
  asio::io_context& io_;  // there, as the next, for as long as session_ is
  const Route& route_;
  Mutex mutex_;
  std::shared_ptr<Session> session_ LOCKSTEP_GUARDED_BY(mutex_);
};

/// What the connections share. Threads: the server's.
struct Shared {
  Shared(ServerConfig with_config, std::vector<Route> with_routes, std::shared_ptr<Feed> with_feed)
      : config{std::move(with_config)},
        routes{std::move(with_routes)},
        feed{std::move(with_feed)} {}

  const ServerConfig config;
  const std::vector<Route> routes;
  const std::shared_ptr<Feed> feed;
  std::size_t waiting_requests = 0;  // of both threads below
  std::size_t connections = 0;
  // Those that wait for their peer, the longest first: who comes may have the place of one.
  std::list<Connection*> idle;
  std::list<Connection*> amid;  ///< a request, its answer, a handshake
  std::set<std::shared_ptr<Later>> later;
  asio::io_context io{1};  // its end is that of the connections, which use the above
  asio::thread_pool waiting{1};
  asio::thread_pool waiting_for_others{1};
};

/// One of those that there may be.
class Connection {
 public:
  explicit Connection(Shared& shared) : shared_{shared} { ++shared_.connections; }
  virtual ~Connection() {
    peer_has_answered();
    --shared_.connections;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// While it waits for its peer.
  void hang_up() {
    peer_has_answered();
    close_socket();
  }

 protected:
  void wait_for_peer(std::list<Connection*>& among) {
    among_ = &among;
    place_ = among.insert(among.end(), this);
  }

  void peer_has_answered() {
    if (among_ != nullptr) among_->erase(place_);
    among_ = nullptr;
  }

  Shared& shared_;

 private:
  virtual void close_socket() = 0;

  std::list<Connection*>* among_ = nullptr;  ///< nullptr: it does not wait
  std::list<Connection*>::iterator place_;
};

// ---- WebSockets

class WebSocket : public Connection, public std::enable_shared_from_this<WebSocket> {
 public:
  WebSocket(Shared& shared, tcp::socket socket, std::string id)
      : Connection{shared}, stream_{std::move(socket)}, id_{std::move(id)} {}
  ~WebSocket() override {
    if (client_) shared_.feed->leave(id_, client_);
  }
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  void accept(const BeastRequest& request) {
    auto timeouts = websocket::stream_base::timeout::suggested(beast::role_type::server);
    timeouts.handshake_timeout = request_deadline;  // closing is one, too
    timeouts.idle_timeout = idle_deadline;
    timeouts.keep_alive_pings = true;
    stream_.set_option(timeouts);
    stream_.read_message_max(frame_limit);
    const auto protocol = header(request, "Sec-WebSocket-Protocol");
    stream_.set_option(websocket::stream_base::decorator{[protocol](auto& response) {
      // A browser hangs up unless one of its protocols is taken: the first, which holds no token.
      if (protocol)
        response.set(bhttp::field::sec_websocket_protocol,
                     protocol->substr(0, protocol->find(',')));
    }});
    wait_for_peer(shared_.amid);
    stream_.async_accept(request, [self = shared_from_this()](error_code failed) {
      self->peer_has_answered();
      if (!failed) self->join();
    });
  }

 private:
  void close_socket() override { beast::get_lowest_layer(stream_).close(); }

  void join() {
    const std::weak_ptr<WebSocket> weak = weak_from_this();
    client_ = shared_.feed->join(id_, [weak, &io = shared_.io] {
      asio::post(io, [weak] {
        if (const auto self = weak.lock()) self->write();
      });
    });
    if (!client_) {
      close({websocket::close_code::try_again_later, "too many browsers"});
      return;
    }
    read();
  }

  /// What a browser says is of no interest; that it is gone is.
  void read() {
    stream_.async_read(received_, [self = shared_from_this()](error_code failed, std::size_t) {
      if (failed) return;
      self->received_.consume(self->received_.size());
      self->read();
    });
  }

  void write() {
    if (closing_) return;
    if (client_->is_replaced()) {
      give_up_place();
      if (writing_) return;
      close({websocket::close_code{replaced_code}, "replaced by another client of this id"});
      return;
    }
    if (writing_) return;
    sent_ = client_->take();
    if (!sent_) {
      const auto dropped = client_->take_dropped();
      if (dropped == 0) return;
      sent_ = std::make_shared<const std::string>(
          "{\"type\":\"dropped\",\"texts\":" + std::to_string(dropped) + "}");
    }
    writing_ = true;
    stream_.text(true);
    stream_.async_write(asio::buffer(*sent_),
                        [self = shared_from_this()](error_code failed, std::size_t) {
                          self->writing_ = false;
                          if (!failed) self->write();
                        });
  }

  /// It gets nothing any more, however long it takes to hear so.
  void give_up_place() {
    peer_has_answered();
    wait_for_peer(shared_.amid);
  }

  void close(const websocket::close_reason& reason) {
    closing_ = true;
    give_up_place();
    stream_.async_close(reason, [self = shared_from_this()](error_code) {});
  }

  websocket::stream<beast::tcp_stream> stream_;
  const std::string id_;
  std::shared_ptr<FeedClient> client_;
  beast::flat_buffer received_;
  FeedClient::Text sent_;
  bool writing_ = false;
  bool closing_ = false;
};

// ---- Requests

class Session : public Connection, public std::enable_shared_from_this<Session> {
 public:
  Session(Shared& shared, tcp::socket socket, const tcp::endpoint& peer)
      : Connection{shared},
        stream_{std::move(socket)},
        buffer_{header_limit + body_limit},
        is_local_{peer.address().is_loopback()},
        peer_{peer.address().to_string() + ":" + std::to_string(peer.port())} {}

  /// Waits for the next request to begin, then for its end.
  void read() {
    parser_.emplace();
    parser_->header_limit(header_limit);
    parser_->body_limit(body_limit);
    if (buffer_.size() > 0) {
      read_request();
      return;
    }
    wait_for_peer(shared_.idle);
    stream_.expires_after(idle_deadline);
    stream_.async_read_some(buffer_.prepare(1024),
                            [self = shared_from_this()](error_code failed, std::size_t size) {
                              self->peer_has_answered();
                              if (failed) return;
                              self->buffer_.commit(size);
                              self->read_request();
                            });
  }

  /// What a route has answered that answers later.
  void answer_late(const Route& route, Response response) {
    shared_.later.erase(later_.lock());
    finish(route, std::move(response));
  }

 private:
  void close_socket() override { stream_.close(); }

  void read_request() {
    wait_for_peer(shared_.amid);
    stream_.expires_after(request_deadline);
    bhttp::async_read(stream_, buffer_, *parser_,
                      [self = shared_from_this()](error_code failed, std::size_t) {
                        self->peer_has_answered();
                        if (failed) {
                          self->refuse(failed);
                        } else {
                          self->answer();
                        }
                      });
  }

  /// What is no request.
  void refuse(error_code failed) {
    if (failed == bhttp::error::end_of_stream || failed == beast::error::timeout) return;
    const bool is_http = failed.category() == error_code{bhttp::error::bad_method}.category();
    if (!is_http || failed == bhttp::error::partial_message) return;
    last_ = true;
    if (failed == bhttp::error::body_limit) {
      send(error(413, "body too large", "at most 64 KiB are read"));
    } else if (failed == bhttp::error::header_limit) {
      send(error(431, "headers too large", "at most 16 KiB are read"));
    } else {
      send(error(400, "not HTTP", failed.message()));
    }
  }

  void answer() {
    stream_.expires_never();
    request_ = parser_->release();
    last_ = !request_.keep_alive();
    const auto target = parse_target({request_.target().data(), request_.target().size()});
    if (!target) {
      send(error(400, "bad target", "the path or query is not a well-formed one"));
      return;
    }
    caller_ = {.is_local = is_local_,
               .host = text_of(request_[bhttp::field::host]),
               .origin = header(request_, "Origin"),
               .fetch_site = header(request_, "Sec-Fetch-Site"),
               .token = token_of(request_)};
    if (websocket::is_upgrade(request_)) {
      upgrade(target->segments);
      return;
    }
    route(*target);
  }

  void upgrade(const std::vector<std::string>& segments) {
    const auto parameters = match_path("/ws/{client_id}", segments);
    if (!parameters || !shared_.feed) {
      send(error(404, "no WebSocket here", "it is at /ws/{client_id}"));
      return;
    }
    if (auto admitted = admit(shared_.config.access, caller_, Access::guarded); !admitted) {
      send(std::move(admitted).error());
      return;
    }
    std::make_shared<WebSocket>(shared_, stream_.release_socket(), parameters->front())
        ->accept(request_);
  }

  void route(const Target& target) {
    const auto method = text_of(request_.method_string());
    const bool is_head = request_.method() == bhttp::verb::head;
    std::string allowed;
    for (const auto& route : shared_.routes) {
      auto parameters = match_path(route.path, target.segments);
      if (!parameters) continue;
      if (route.method != (is_head ? "GET" : method)) {
        allowed += (allowed.empty() ? "" : ", ") + route.method;
        continue;
      }
      const auto admitted = admit(shared_.config.access, caller_, route.access);
      if (!admitted) {
        send(admitted.error());
        return;
      }
      token_name_ = *admitted;
      handle(route, {method, *std::move(parameters), target.query, std::move(request_.body())});
      return;
    }
    if (allowed.empty()) {
      send(error(404, "no such path", "docs/operation.md, HTTP lists them"));
    } else {
      allow_ = allowed;
      send(error(405, "method not allowed", "this path takes " + allowed));
    }
  }

  void handle(const Route& route, Request request) {
    if (route.handle_later) {
      handle_later(route, request);
      return;
    }
    if (route.waits == Waits::not_at_all) {
      finish(route, called(route, request));
      return;
    }
    if (shared_.waiting_requests >= most_waiting) {
      send(error(503, "busy", "too many requests wait for an answer already: try again"));
      return;
    }
    ++shared_.waiting_requests;
    auto& thread =
        route.waits == Waits::for_pipelines ? shared_.waiting : shared_.waiting_for_others;
    asio::post(thread, [self = shared_from_this(), &route, request = std::move(request)] {
      auto response = called(route, request);
      asio::post(self->shared_.io, [self, &route, response = std::move(response)]() mutable {
        --self->shared_.waiting_requests;
        self->finish(route, std::move(response));
      });
    });
  }

  void handle_later(const Route& route, const Request& request) {
    if (shared_.later.size() >= most_waiting) {
      finish(route, error(503, "busy", "too many requests wait already: try again"));
      return;
    }
    const auto later = std::make_shared<Later>(shared_.io, shared_from_this(), route);
    shared_.later.insert(later);
    later_ = later;
    const auto reply = [later](Response response) { later->answer(std::move(response)); };
    try {
      route.handle_later(request, reply);
    } catch (const std::exception& e) {
      reply(bug(route, e));
    }
  }

  /// Who changes what is going on stands in the log, whatever the route.
  void finish(const Route& route, Response response) {
    if (route.method != "GET") {
      spdlog::info("asked for over HTTP by={} token={} {} {} status={}", peer_,
                   token_name_.empty() ? "none" : token_name_, route.method,
                   text_of(request_.target()), response.status);
    }
    send(std::move(response));
  }

  static Response called(const Route& route, const Request& request) {
    try {
      return route.handle(request);
    } catch (const std::exception& e) {
      spdlog::error("request failed, this is a bug: report it with the log path={}: {}", route.path,
                    e.what());
      return error(500, "internal error", e.what());
    }
  }

  static Response bug(const Route& route, const std::exception& e) {
    spdlog::error("request failed, this is a bug path={}: {}", route.path, e.what());
    return error(500, "internal error", e.what());
  }

  void send(Response response) {
    reply_ = {};
    reply_.version(11);
    reply_.result(static_cast<unsigned>(response.status));
    reply_.set(bhttp::field::server, "lockstepd");
    reply_.set(bhttp::field::content_type, response.content_type);
    if (!response.content_encoding.empty()) {
      reply_.set(bhttp::field::content_encoding, response.content_encoding);
    }
    reply_.set(bhttp::field::cache_control, response.cache_control);
    reply_.set("X-Content-Type-Options", "nosniff");
    reply_.set("Referrer-Policy", "no-referrer");
    reply_.set("Content-Security-Policy", content_policy);
    if (response.status == 401) reply_.set(bhttp::field::www_authenticate, "Bearer");
    if (!allow_.empty()) reply_.set(bhttp::field::allow, std::exchange(allow_, {}));
    if (caller_.origin && is_allowed_origin()) {
      reply_.set(bhttp::field::access_control_allow_origin, *caller_.origin);
      reply_.set(bhttp::field::vary, "Origin");
    }
    reply_.keep_alive(!last_);
    const auto size = response.body.size();
    if (request_.method() != bhttp::verb::head) reply_.body() = std::move(response.body);
    if (response.status != 204) {
      reply_.content_length(size);
    } else {
      reply_.erase(bhttp::field::content_type);
    }
    wait_for_peer(shared_.amid);
    stream_.expires_after(request_deadline);
    serializer_.emplace(reply_);
    bhttp::async_write(stream_, *serializer_,
                       [self = shared_from_this()](error_code failed, std::size_t) {
                         self->peer_has_answered();
                         if (failed) return;
                         if (self->last_) {
                           error_code ignored;
                           self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
                         } else {
                           self->read();
                         }
                       });
  }

  bool is_allowed_origin() const {
    const auto& origins = shared_.config.access.origins;
    return std::find(origins.begin(), origins.end(), *caller_.origin) != origins.end();
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  const bool is_local_;
  const std::string peer_;
  std::optional<bhttp::request_parser<bhttp::string_body>> parser_;
  BeastRequest request_;
  Caller caller_;
  std::string token_name_;  ///< that the caller has shown; empty: none
  std::string allow_;
  bool last_ = false;
  std::weak_ptr<Later> later_;
  bhttp::response<bhttp::string_body> reply_;
  std::optional<bhttp::response_serializer<bhttp::string_body>> serializer_;
};

void Later::answer(Response response) {
  const Lock lock{mutex_};
  if (!session_) return;
  asio::post(io_, [session = std::exchange(session_, nullptr), &route = route_,
                   response = std::move(response)]() mutable {
    session->answer_late(route, std::move(response));
  });
}

}  // namespace

// ---------------------------------------------------------------------------------------------

class Server::Impl {
 public:
  Impl(ServerConfig config, std::vector<Route> routes, std::shared_ptr<Feed> feed)
      : shared_{std::move(config), std::move(routes), std::move(feed)} {}

  ~Impl() {
    asio::post(shared_.io, [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    shared_.waiting.join();
    shared_.waiting_for_others.join();
    shared_.io.stop();
    if (thread_.joinable()) thread_.join();
    for (const auto& later : shared_.later) later->forget();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<Done, std::string> listen() {
    const auto& [host, port, access] = shared_.config;
    const std::string where = host + ":" + std::to_string(port);
    error_code failed;
    const auto address = asio::ip::make_address(host, failed);
    if (failed) return where + " is not an address: " + failed.message();
    const tcp::endpoint endpoint{address, port};
    acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address{true}, failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(tcp::acceptor::max_listen_connections, failed);
    if (failed) return "can't listen on " + where + ": " + failed.message();
    accept();
    thread_ = std::thread{[this] { shared_.io.run(); }};
    return done;
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept(peer_, [this](error_code failed, tcp::socket socket) {
      if (failed == asio::error::operation_aborted) return;
      if (failed) {
        // No file descriptor is free, say: they come back, and asking at once would spin.
        retry_.expires_after(std::chrono::milliseconds{100});
        retry_.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      if (make_room()) std::make_shared<Session>(shared_, std::move(socket), peer_)->read();
      accept();
    });
  }

  /// False: there are as many as there may be, and none of them waits for its peer.
  bool make_room() {
    if (shared_.connections < most_connections) return true;
    const auto& among = shared_.idle.empty() ? shared_.amid : shared_.idle;
    if (among.empty()) return false;
    among.front()->hang_up();
    return true;
  }

  Shared shared_;
  tcp::acceptor acceptor_{shared_.io};
  tcp::endpoint peer_;
  asio::steady_timer retry_{shared_.io};
  std::thread thread_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Server::~Server() = default;

Result<std::unique_ptr<Server>, std::string> Server::start(ServerConfig config,
                                                           std::vector<Route> routes,
                                                           std::shared_ptr<Feed> feed) {
  auto impl = std::make_unique<Impl>(std::move(config), std::move(routes), std::move(feed));
  if (auto listening = impl->listen(); !listening) return listening.error();
  return std::unique_ptr<Server>{new Server{std::move(impl)}};
}

std::uint16_t Server::port() const noexcept {
  return impl_->port();
}

}  // namespace lockstep::http
