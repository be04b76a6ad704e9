// The server with real connections on loopback: what it answers, and what it does not put up with.
#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "catch.hpp"
#include "eventually.hpp"
#include "lockstep/http/server.hpp"
#include "logged.hpp"
#include "web.hpp"

using namespace lockstep::http;
using namespace lockstep::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

std::vector<Route> routes() {
  return {{"GET", "/open", Access::open, Waits::not_at_all,
           [](const Request&) { return Response{.body = "open"}; }},
          {"GET", "/page", Access::page, Waits::not_at_all,
           [](const Request&) { return Response{.body = "page"}; }},
          {"POST", "/echo/{what}", Access::guarded, Waits::for_pipelines,
           [](const Request& request) {
             const auto x = request.query.find("x");
             return Response{.body = request.parameters[0] + "|" +
                                     (x == request.query.end() ? "" : x->second) + "|" +
                                     request.body};
           }},
          {"GET", "/throws", Access::open, Waits::for_pipelines,
           [](const Request&) -> Response { throw std::runtime_error{"no"}; }}};
}

struct Served {
  explicit Served(AccessRules access = {}, std::vector<Route> with = routes())
      : feed{std::make_shared<Feed>()} {
    auto started = Server::start({"127.0.0.1", 0, std::move(access)}, std::move(with), feed);
    REQUIRE(started);
    server = std::move(*started);
    port = server->port();
  }
  std::shared_ptr<Feed> feed;
  std::unique_ptr<Server> server;
  int port = 0;
};

}  // namespace

TEST_CASE("server: a route may answer later, from any thread, and hold up nobody meanwhile") {
  std::vector<Reply> replies;
  std::mutex mutex;
  const auto waiting = [&] {
    const std::lock_guard lock{mutex};
    return replies.size();
  };
  auto with = routes();
  with.push_back(
      {"GET", "/later", Access::open, Waits::not_at_all, {}, [&](const Request&, Reply reply) {
         const std::lock_guard lock{mutex};
         replies.push_back(std::move(reply));
       }});
  with.push_back(
      {"GET", "/fails", Access::open, Waits::not_at_all, {}, [](const Request&, const Reply&) {
         throw std::runtime_error{"no"};
       }});
  std::optional<Served> served{std::in_place, AccessRules{}, with};
  const int port = served->port;
  const auto call = [port] { return web_call(port, "GET", "/later"); };
  auto first = std::async(std::launch::async, call);
  eventually(seconds{5}, "it waits", [&] { return waiting() == 1; });
  CHECK(web_call(port, "GET", "/open").status == 200);
  CHECK(web_call(port, "GET", "/fails").status == 500);
  replies[0]({.body = "now"});
  replies[0]({.body = "twice"});
  CHECK(first.get().body == "now");

  std::vector<std::unique_ptr<WebConnection>> others;
  for (int i = 0; i < 64; ++i) {
    others.push_back(std::make_unique<WebConnection>(port));
    others.back()->send("GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  eventually(seconds{5}, "all wait", [&] { return waiting() == 65; });
  CHECK(call().status == 503);
  served.reset();
  CHECK(others[7]->is_closed(seconds{5}));
  replies[9]({.body = "too late"});  // goes nowhere
}

TEST_CASE("server: routes by method and path, and says what there is instead") {
  const Served served;
  CHECK(web_call(served.port, "GET", "/open").body == "open");
  const auto echo = web_call(served.port, "POST", "/echo/a%2Fb?x=1+2", {}, "hello");
  CHECK(echo.status == 200);
  CHECK(echo.body.find("a/b|1 2|hello") == 0);
  const auto head = web_call(served.port, "HEAD", "/open");
  CHECK(head.status == 200);
  CHECK(head.headers.at("content-length") == "4");
  CHECK(head.body.empty());
  CHECK(web_call(served.port, "GET", "/nothing").status == 404);
  const auto other = web_call(served.port, "DELETE", "/open");
  CHECK(other.status == 405);
  CHECK(other.headers.at("allow") == "GET");
  const auto failed = web_call(served.port, "GET", "/throws");
  CHECK(failed.status == 500);
  CHECK(nlohmann::json::parse(failed.body).at("detail") == "no");
  for (const auto* header :
       {"x-content-type-options", "content-security-policy", "cache-control"}) {
    CHECK(head.headers.count(header) == 1);
  }
}

TEST_CASE("server: who asks for a change is in the log by name, whatever comes of it") {
  const std::string secret = "0123456789abcdef";
  AccessRules rules;
  rules.tokens = {{"token", "another-secret-of-16"}, {"alice", secret}};
  const Served served{rules};
  Logged log;
  const WebHeaders shown{{"Authorization", "Bearer " + secret}};
  const auto line_of = [&](const std::string& method, const std::string& target) {
    web_call(served.port, method, target, shown);
    std::string lines;
    for (const auto& line : log.take()) lines += line + "\n";
    CHECK(lines.find(secret) == std::string::npos);
    return lines;
  };
  const auto echoed = line_of("POST", "/echo/a%2Fb?x=1");
  CHECK(echoed.starts_with("info asked for over HTTP by=127.0.0.1:"));
  CHECK(echoed.ends_with(" token=alice POST /echo/a%2Fb?x=1 status=200\n"));
  CHECK(line_of("GET", "/page").empty());
  CHECK(line_of("POST", "/nowhere").empty());
}

TEST_CASE("server: guards what it is told to") {
  const Served served{
      {.tokens = {{"token", "0123456789abcdef"}}, .hosts = {}, .origins = {"https://ops.example"}}};
  CHECK(web_call(served.port, "GET", "/open").status == 200);
  CHECK(web_call(served.port, "POST", "/echo/x").status == 401);
  const WebHeaders shown{{"Authorization", "Bearer 0123456789abcdef"}};
  CHECK(web_call(served.port, "POST", "/echo/x", shown).status == 200);
  auto cross = shown;
  cross.emplace_back("Origin", "https://evil.example");
  CHECK(web_call(served.port, "POST", "/echo/x", cross).status == 403);
  cross.back().second = "https://ops.example";
  const auto allowed = web_call(served.port, "POST", "/echo/x", cross);
  CHECK(allowed.status == 200);
  CHECK(allowed.headers.at("access-control-allow-origin") == "https://ops.example");
  CHECK(web_call(served.port, "GET", "/page", {{"Host", "evil.example"}}).status == 403);

  CHECK(WebSocketClient(served.port, "/ws/a").status() == 401);
  CHECK(WebSocketClient(served.port, "/ws/a", {{"Origin", "https://evil.example"}},
                        "lockstep, bearer.0123456789abcdef")
            .status() == 403);
  CHECK(WebSocketClient(served.port, "/ws/a", {}, "lockstep, bearer.wrong").status() == 401);
  CHECK(WebSocketClient(served.port, "/ws/a", {}, "lockstep, bearer.0123456789abcdef").status() ==
        101);
}

TEST_CASE("server: what is no request, or too large a one, is refused") {
  const Served served;
  const auto answer_to = [&](const std::string& bytes) {
    WebConnection connection{served.port};
    connection.send(bytes);
    return connection.receive_all(seconds{5});
  };
  CHECK(answer_to("hello\r\n\r\n").find("HTTP/1.1 400") == 0);
  CHECK(answer_to("GET noslash HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .find("HTTP/1.1 400") == 0);
  CHECK(answer_to("GET /open HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x') +
                  "\r\n\r\n")
            .find("HTTP/1.1 431") == 0);
  CHECK(answer_to("POST /echo/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n")
            .find("HTTP/1.1 413") == 0);
  // Chunks are counted, too.
  CHECK(answer_to("POST /echo/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n11170\r\n" +
                  std::string(0x11170, 'x') + "\r\n0\r\n\r\n")
            .find("HTTP/1.1 413") == 0);
  std::mt19937 random{7};
  for (int i = 0; i < 200; ++i) {
    std::string garbage;
    for (auto left = random() % 200; left > 0; --left) garbage += static_cast<char>(random());
    WebConnection connection{served.port};
    connection.send(garbage);
  }
  CHECK(web_call(served.port, "GET", "/open").status == 200);
}

TEST_CASE("server: several requests on one connection are answered in order") {
  const Served served;
  WebConnection connection{served.port};
  const std::string get = "GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n";
  connection.send(get + get + "GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const auto answers = connection.receive_all(seconds{5});
  const auto first = answers.find("\r\n\r\nopen");
  const auto second = answers.find("\r\n\r\nopen", first + 1);
  REQUIRE(second != std::string::npos);
  CHECK(answers.find("\r\n\r\npage", second) != std::string::npos);
}

TEST_CASE("server: a thousand idle connections make room for one that has something to say") {
  const Served served;
  std::vector<std::unique_ptr<WebConnection>> idle;
  for (int i = 0; i < 900; ++i) idle.push_back(std::make_unique<WebConnection>(served.port));
  CHECK(web_call(served.port, "GET", "/open").status == 200);
  CHECK(idle.front()->is_closed(seconds{5}));  // the longest idle
  CHECK_FALSE(idle.back()->is_closed(milliseconds{0}));
}

TEST_CASE("server: requests that are never finished make room for one that is") {
  const Served served;
  std::vector<std::unique_ptr<WebConnection>> slow;
  for (int i = 0; i < 300; ++i) {
    slow.push_back(std::make_unique<WebConnection>(served.port));
    slow.back()->send("GET /open HTT");
  }
  CHECK(web_call(served.port, "GET", "/open").status == 200);
  CHECK(slow.front()->is_closed(seconds{5}));
  CHECK_FALSE(slow.back()->is_closed(milliseconds{0}));
}

TEST_CASE("server: WebSockets that are closed and don't hang up make room") {
  const Served served;
  std::vector<std::unique_ptr<WebSocketClient>> deaf;
  const auto join = [&](int id) {
    deaf.push_back(std::make_unique<WebSocketClient>(served.port, "/ws/" + std::to_string(id)));
  };
  SECTION("too many browsers") {
    for (int i = 0; i < 300; ++i) join(i);
  }
  SECTION("one replaced by the next, while it is sent what it does not read") {
    const std::string text(16 * 1024 * 1024, 'x');
    for (int i = 0; i < 300; ++i) {
      join(0);
      eventually(seconds{5}, "it has joined", [&] { return served.feed->clients() == 1; });
      if (i < 3) served.feed->publish(text);
    }
  }
  WebConnection one{served.port};
  one.send("GET /open HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(one.receive_all(seconds{5}).starts_with("HTTP/1.1 200"));
}

TEST_CASE("server: who sends a request byte by byte is hung up on", "[slow]") {
  const Served served;
  WebConnection slow{served.port};
  slow.send("GET /open HTT");
  CHECK(web_call(served.port, "GET", "/open").status == 200);
  CHECK(slow.is_closed(seconds{15}));
}

TEST_CASE("server: a route that waits holds up no other") {
  std::promise<void> go;
  std::atomic<int> begun{0};
  const auto wait = go.get_future().share();
  auto with = routes();
  with.push_back(
      {"GET", "/waits", Access::open, Waits::for_pipelines, [&begun, wait](const Request&) {
         ++begun;
         wait.wait();
         return Response{.body = "waited"};
       }});
  const Served served{{}, std::move(with)};
  std::vector<std::unique_ptr<WebConnection>> waiting;
  for (int i = 0; i < 70; ++i) {
    waiting.push_back(std::make_unique<WebConnection>(served.port));
    waiting.back()->send("GET /waits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  }
  eventually(seconds{5}, "one is under way", [&] { return begun > 0; });
  CHECK(web_call(served.port, "GET", "/open").body == "open");
  // More than may wait are told so at once.
  eventually(seconds{5}, "no more are taken",
             [&] { return web_call(served.port, "POST", "/echo/x").status == 503; });
  go.set_value();
  CHECK(waiting.front()->receive_all(seconds{5}).find("waited") != std::string::npos);
}

TEST_CASE("server: WebSockets get what is published, each under its own id") {
  const Served served;
  WebSocketClient one{served.port, "/ws/one"};
  WebSocketClient two{served.port, "/ws/two"};
  REQUIRE(one.status() == 101);
  eventually(seconds{5}, "both have joined", [&] { return served.feed->clients() == 2; });
  served.feed->publish("a");
  CHECK(one.receive(seconds{5}) == "a");
  CHECK(two.receive(seconds{5}) == "a");
  {
    WebSocketClient again{served.port, "/ws/one"};
    CHECK_FALSE(one.receive(seconds{5}));
    CHECK(one.close_code() == 4000);
    eventually(seconds{5}, "it has joined", [&] { return served.feed->clients() == 2; });
    served.feed->publish("b");
    CHECK(again.receive(seconds{5}) == "a");  // who comes late
    CHECK(again.receive(seconds{5}) == "b");
  }
  eventually(seconds{5}, "who is gone has left", [&] { return served.feed->clients() == 1; });
  CHECK(WebSocketClient(served.port, "/ws").status() == 404);
}

TEST_CASE("server: a browser that does not read holds up neither the publisher nor the others") {
  const Served served;
  WebSocketClient slow{served.port, "/ws/slow"};
  WebSocketClient quick{served.port, "/ws/quick"};
  eventually(seconds{5}, "both have joined", [&] { return served.feed->clients() == 2; });
  const std::string text(64 * 1024, 'x');
  for (int i = 0; i < 400; ++i) {
    served.feed->publish(text + std::to_string(i));
    REQUIRE(quick.receive(seconds{5}) == text + std::to_string(i));
  }
  // What it has missed is told, once it reads again.
  int texts = 0;
  std::string said;
  while (auto next = slow.receive(seconds{5})) {
    said = *next;
    if (said.find("dropped") != std::string::npos) break;
    ++texts;
  }
  CHECK(nlohmann::json::parse(said).at("texts").get<int>() == 400 - texts);
}

TEST_CASE("server: an address that is taken, or none, is an error that says which") {
  const Served served;
  const auto taken =
      Server::start({"127.0.0.1", static_cast<std::uint16_t>(served.port), {}}, routes());
  REQUIRE_FALSE(taken);
  CHECK(taken.error() ==
        "can't listen on 127.0.0.1:" + std::to_string(served.port) + ": Address already in use");
  CHECK_FALSE(Server::start({"nowhere", 0, {}}, routes()));
}
