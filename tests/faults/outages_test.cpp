// Services that are not there yet, or go at the worst moment.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// A port where every visitor is sent away at once, and counted.
class ClosedDoor {
 public:
  ClosedDoor() : listening_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(listening_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listening_, 16) == 0);
    REQUIRE(getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread{[this] {
      for (int visitor = 0; (visitor = accept(listening_, nullptr, nullptr)) >= 0;) {
        close(visitor);
        ++visitors_;
      }
    }};
  }
  ~ClosedDoor() {
    shutdown(listening_, SHUT_RDWR);
    thread_.join();
    close(listening_);
  }
  ClosedDoor(const ClosedDoor&) = delete;
  ClosedDoor& operator=(const ClosedDoor&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int visitors() const { return visitors_; }

 private:
  const int listening_;
  int port_ = 0;
  std::atomic<int> visitors_{0};
  std::thread thread_;
};

/// While it lives, COMMIT on the target takes effect and then waits for ever for a standby.
class SilentCommit {
 public:
  explicit SilentCommit(Database& target) : target_{target} { set("'nobody'"); }
  ~SilentCommit() {
    try {
      set("''");
    } catch (const std::exception& error) {
      UNSCOPED_INFO("commits stay silent: " << error.what());
    }
  }
  SilentCommit(const SilentCommit&) = delete;
  SilentCommit& operator=(const SilentCommit&) = delete;

 private:
  void set(const std::string& standbys) {
    target_.exec("SET synchronous_commit = local");
    target_.exec("ALTER SYSTEM SET synchronous_standby_names = " + standbys);
    target_.exec("SELECT pg_reload_conf()");
  }
  Database& target_;
};

const std::string ours = "FROM pg_stat_activity WHERE application_name = 'lockstep'";

}  // namespace

TEST_CASE("a target that does not answer is tried in silence, and SIGTERM ends that") {
  const ClosedDoor door;
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "no_target"};
  DaemonConfig config{feed.name, {feed.topic}};
  config.target_url = "postgresql://postgres:secret-word@" + door.address() + "/target_db";
  Daemon daemon{feed.name, config};
  eventually(seconds{30}, "some tries", [&] { return door.visitors() >= 5; });
  CHECK(daemon.count_in_log("target unavailable") == 1);
  CHECK(daemon.count_in_log("Z warn") == 1);
  CHECK(daemon.count_in_log("secret-word") == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("brokers that do not answer are tried in silence, and SIGTERM ends that") {
  const ClosedDoor door;
  DaemonConfig config{unique("no_brokers"), {"feed.public.none"}};
  config.brokers = door.address();
  config.log_level = "info";
  Daemon daemon{config.pipeline, config};
  eventually(seconds{30}, "some tries", [&] { return door.visitors() >= 5; });
  daemon.await_log("kafka unreachable", seconds{10});
  CHECK(daemon.count_in_log("kafka unreachable") == 1);
  CHECK(daemon.count_in_log("Z warn") == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a daemon that starts before its services works when they come") {
  const auto service = GENERATE(as<std::string>{}, "target", "kafka");
  CAPTURE(service);
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "before_" + service};
  feed.load(200, 100);
  Outage outage{service, Outage::How::stop};
  Daemon daemon{feed.name, {feed.name, {feed.topic}}};
  const std::string lost = service == "target" ? "target unavailable" : "kafka unreachable";
  daemon.await_log(lost, seconds{20});
  CHECK(daemon.running());
  outage.end();
  feed.await_equal(target);
  CHECK(daemon.logged(service + " is back"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("SIGTERM ends a daemon in time whose service has gone") {
  const auto service = GENERATE(as<std::string>{}, "target", "kafka");
  CAPTURE(service);
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "gone_" + service};
  feed.load(200, 100);
  Daemon daemon{feed.name, {feed.name, {feed.topic}}};
  feed.await_equal(target);
  const Outage outage{service, Outage::How::kill};
  if (service == "target") {
    feed.load(200, 100, 2);
    daemon.await_log("target unavailable", seconds{20});
  } else {
    daemon.await_log("kafka unreachable", seconds{20});
  }
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a COMMIT that took effect although its answer was lost is not repeated") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "lost_answer"};
  DaemonConfig config{feed.name, {feed.topic}};
  config.max_events = 200;
  feed.load(100, 50);
  Daemon daemon{feed.name, config};
  feed.await_equal(target);
  const auto begin = feed.progress(target, feed.name);
  {
    const SilentCommit silent{target};
    feed.load(4000, 500, 2);
    for (int lost = 0; lost < 5; ++lost) {
      const auto before = feed.progress(target, feed.name);
      eventually(seconds{20}, "a commit that waits for its standby", [&] {
        return target.text("SELECT count(*) " + ours + " AND wait_event = 'SyncRep'") != "0";
      });
      target.exec("SELECT pg_terminate_backend(pid) " + ours + " AND wait_event = 'SyncRep'");
      eventually(seconds{20}, "the commit took effect",
                 [&] { return feed.progress(target, feed.name) > before; });
    }
    CHECK(feed.progress(target, feed.name) < feed.end());
  }
  // The last one waits without end: the reload does not reach it, its session's end does.
  target.exec("SELECT pg_terminate_backend(pid) " + ours + " AND wait_event = 'SyncRep'");
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK(begin < feed.progress(target, feed.name));
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
