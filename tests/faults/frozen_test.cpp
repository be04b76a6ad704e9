// A broker that keeps its connections and says nothing, at the moment when it is asked something.
#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

/// The daemon stands still and the truncate is in its sockets' buffers. False: no fetch was under
/// way, so it is still with the broker.
bool has_come(Daemon& daemon, Feed& feed) {
  const auto& brokers = Stack::from_environment().brokers;
  const int port = std::stoi(brokers.substr(brokers.rfind(':') + 1));
  daemon.freeze();
  feed.truncate();
  feed.flush();
  constexpr std::size_t less_than_the_record = 300;  // and more than an answer without one
  const auto end = Clock::now() + seconds{2};
  while (Clock::now() < end) {
    if (daemon.unread_from(port) > less_than_the_record) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a TRUNCATE that comes when the broker falls silent makes its table wait, not stop") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "truncated"};
  DaemonConfig config{feed.name, {feed.topic}};
  config.properties = {{"fetch.wait.max.ms", "500"}, {"session.timeout.ms", "30000"}};
  Daemon daemon{feed.name, config};
  feed.load(100, 50);
  feed.await_equal(target);
  for (int tries = 0; !has_come(daemon, feed); ++tries) {
    REQUIRE(tries < 10);
    daemon.kill();  // it must not know the topic's partitions already
    daemon.start();
    feed.load(100, 50);
    feed.await_equal(target);
  }
  Outage silence{"kafka", Outage::How::freeze};
  const auto begin = Clock::now();
  daemon.thaw();
  daemon.await_log("table waits", seconds{10});
  CHECK(daemon.lines_with("table waits").at(0).find("TRUNCATE") != std::string::npos);
  eventually(seconds{10}, "a long silence", [&] { return Clock::now() - begin > seconds{6}; });
  CHECK(target.number("SELECT count(*) FROM " + feed.name) > 0);
  silence.end();
  feed.load(100, 50, 2);
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK_FALSE(daemon.logged("table stopped"));
  daemon.await_log("table goes on", seconds{10});  // said after the COMMIT that was waited for
  CHECK(daemon.count_in_log("table goes on") == 1);
  CHECK(daemon.stop() == 0);
}
