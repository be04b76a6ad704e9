// Whatever comes to the HTTP port of a daemon that replicates: changes are applied, operators are
// answered, memory stays bounded, and connections end.
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "seed.hpp"
#include "stack.hpp"
#include "web.hpp"

using namespace lockstep::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Clock = std::chrono::steady_clock;

/// Connections that no well-meaning client would have. What is sent at first is sent as the
/// connection is made; slow ones send a byte more with each call of go_on().
class Abuse {
 public:
  Abuse(int port, unsigned seed) : port_{port}, random_{seed} {}

  void begin() {
    const auto opened = open();
    auto& one = *opened;
    const std::string host = "Host: 127.0.0.1:" + std::to_string(port_) + "\r\n";
    const std::string metrics = "GET /metrics HTTP/1.1\r\n" + host + "\r\n";
    switch (up_to(8)) {
      case 0:
        one.send(garbage(8 * 1024));
        break;
      case 1:
        one.send("GET /healthz HTTP/1.1\r\nX-Slow: ");
        slow_.push_back(opened);
        break;
      case 2:
        one.send("GET / HTTP/1.1\r\n" + host + "X-Large: " + std::string(32 * 1024, 'x'));
        break;
      case 3:
        one.send("POST /pipelines/none/pause HTTP/1.1\r\n" + host +
                 "Content-Length: 1000000000\r\n\r\n" + garbage(256 * 1024));
        break;
      case 4:
        one.send(metrics.substr(0, up_to(metrics.size() + 1)));
        one.finish();
        break;
      case 5:  // many answers, and none is read
        for (int i = 0; i < 200; ++i) one.send(metrics);
        break;
      case 6:
        one.send(web_socket(host));
        one.send(garbage(4 * 1024));
        break;
      case 7:
        one.send(web_socket(host));  // reads nothing, answers no ping
        break;
      default:
        one.send(metrics.substr(0, up_to(metrics.size())) + garbage(1024) + metrics);
    }
  }

  /// One that says nothing.
  void idle() { open(); }

  void go_on() {
    for (const auto& weak : slow_) {
      if (const auto one = weak.lock()) one->send("x");
    }
  }

 private:
  std::shared_ptr<WebConnection> open() {
    if (all_.size() == most_open) all_.pop_front();
    return all_.emplace_back(std::make_shared<WebConnection>(port_));
  }

  std::size_t up_to(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>{0, most}(random_);
  }

  std::string garbage(std::size_t most) {
    std::string bytes(1 + up_to(most), '\0');
    for (auto& byte : bytes) byte = static_cast<char>(up_to(255));
    return bytes;
  }

  std::string web_socket(const std::string& host) {
    return "GET /ws/" + std::to_string(up_to(200)) + " HTTP/1.1\r\n" + host +
           "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  }

  static constexpr std::size_t most_open = 2000;  // then the oldest is closed by us

  const int port_;
  std::mt19937 random_;
  std::deque<std::shared_ptr<WebConnection>> all_;
  std::vector<std::weak_ptr<WebConnection>> slow_;
};

/// What an operator's probe sees: "200", or what else.
std::string health(int port) {
  WebConnection probe{port};
  probe.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const auto answer = probe.receive_all(seconds{5});
  return answer.starts_with("HTTP/1.1 ") ? answer.substr(9, 3) : "no answer: " + answer;
}

/// This process has more sockets open than is usual.
void allow_many_files() {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

}  // namespace

TEST_CASE("abuse of the HTTP port: changes are applied, operators answered, memory is bounded") {
  constexpr seconds abused{15};
  constexpr long most_more_kib = 32 * 1024;
  constexpr std::size_t most_connections = 256;
  constexpr std::size_t other_files = 16;  // what reads for the live page, and the like
  std::mt19937 random{new_seed()};
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "abuse"};
  DaemonConfig config{feed.name, {feed.topic}};
  config.listen = "127.0.0.1:0";
  config.max_bytes = "4MiB";
  Daemon daemon{feed.name, config};
  const int port = daemon.http_port();
  allow_many_files();
  feed.load(20'000, 500, static_cast<unsigned>(random()));
  feed.await_equal(target);
  REQUIRE(health(port) == "200");
  const long before_kib = daemon.peak_kib();
  const auto files_before = daemon.open_files();

  Abuse abuse{port, static_cast<unsigned>(random())};
  Clock::duration longest{};
  std::size_t most_files = 0;
  const auto end = Clock::now() + abused;
  for (int round = 0; Clock::now() < end; ++round) {
    if (round == 3) {
      for (int i = 0; i < 1000; ++i) abuse.idle();
    }
    for (int i = 0; i < 40; ++i) abuse.begin();
    abuse.go_on();
    feed.load(200, 500, static_cast<unsigned>(random()));
    const auto asked = Clock::now();
    eventually(seconds{10}, "an operator is answered", [&]() -> std::string {
      const auto answer = health(port);
      return answer == "200" ? "" : answer;
    });
    longest = std::max(longest, Clock::now() - asked);
    most_files = std::max(most_files, daemon.open_files());
    eventually(seconds{10}, "what was changed meanwhile is applied",
               [&] { return feed.progress(target, feed.name) == feed.end(); });
  }
  std::cout << "the longest wait of an operator: "
            << std::chrono::duration_cast<milliseconds>(longest).count()
            << " ms; memory: " << before_kib / 1024 << " MiB, at most " << daemon.peak_kib() / 1024
            << " MiB\n";
  CHECK(daemon.peak_kib() - before_kib < most_more_kib);
  CHECK(most_files > files_before + most_connections / 2);  // it was abused
  CHECK(most_files <= files_before + most_connections + other_files);
  feed.await_equal(target);
  check_only_forward(target, feed.name);

  // It is over: nothing more is sent or read, and what is open is hung up on within the limits.
  CHECK(health(port) == "200");
  eventually(seconds{75}, "all connections are closed", [&]() -> std::string {
    const auto open = daemon.open_files();
    return open <= files_before + other_files ? "" : std::to_string(open) + " files are open";
  });
  feed.load(200, 500, static_cast<unsigned>(random()));
  feed.await_equal(target);
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
