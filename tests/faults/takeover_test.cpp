// Two daemons, one pipeline: one works, the other takes over, and a stalled one does no harm.
#include <functional>

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

DaemonConfig member(const Feed& feed, const std::string& name) {
  DaemonConfig config{feed.name, {feed.topic}};
  config.max_events = 500;
  config.properties = {{"group.instance.id", feed.name + name},
                       {"session.timeout.ms", "3000"},
                       {"heartbeat.interval.ms", "500"}};
  return config;
}

}  // namespace

TEST_CASE("the second daemon takes over from one that is stopped, and from one that is killed") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "takeover"};
  feed.load(1000, 2000);
  Daemon first{feed.name + "_first", member(feed, "first")};
  Daemon second{feed.name + "_second", member(feed, "second")};
  feed.await_equal(target);
  const auto has_the_partition = [](const Daemon& daemon) {
    const auto lines = daemon.lines_with("partitions assigned");
    return !lines.empty() && lines.back().ends_with("count=1");
  };
  // Both are there and much is to be done when the one that is at it goes.
  const auto both_are_there = [&] {
    eventually(seconds{30}, "two members, one of which has the partition", [&] {
      return kafka.members("lockstep." + feed.name) == 2 &&
             has_the_partition(first) != has_the_partition(second);
    });
  };
  const auto take_over = [&](unsigned seed, const std::function<void(Daemon&)>& end) {
    CAPTURE(seed);
    both_are_there();
    Database other{Stack::from_environment().target_url};
    other.exec("BEGIN; LOCK TABLE " + feed.name);
    feed.load(20'000, 2000, seed);
    eventually(seconds{20}, "it waits for the table", [&] {
      return target.text(
                 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
                 "AND wait_event_type = 'Lock'") == "1";
    });
    Daemon& owner = has_the_partition(first) ? first : second;
    Daemon& next = has_the_partition(first) ? second : first;
    REQUIRE(next.running());
    REQUIRE(feed.progress(target, feed.name) + 20'000 <= feed.end());
    const auto applied = next.count_in_log("batch applied");
    end(owner);
    other.exec("COMMIT");
    feed.await_equal(target);
    CHECK(next.count_in_log("batch applied") > applied);
    owner.start();
  };
  take_over(2, [](Daemon& owner) { CHECK(owner.stop() == 0); });
  take_over(3, [](Daemon& owner) { owner.kill(); });
  take_over(4, [](Daemon& owner) { owner.kill(); });
  check_only_forward(target, feed.name);
  both_are_there();
  CHECK(first.stop() == 0);
  CHECK(second.stop() == 0);
}

TEST_CASE(
    "a daemon that stalls in a transaction does not hold up the next, and wakes up harmless") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "zombie"};
  feed.load(2000, 500);
  Daemon stalled{feed.name + "_stalled", member(feed, "stalled")};
  feed.await_equal(target);

  // It has moved its position, not yet committed, and waits for the table.
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  feed.load(5000, 500, 2);
  eventually(seconds{20}, "it waits for the table", [&] {
    return target.text(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
               "AND wait_event_type = 'Lock'") == "1";
  });
  stalled.freeze();
  other.exec("COMMIT");

  Daemon second{feed.name + "_second", member(feed, "second")};
  feed.await_equal(target);
  feed.load(1000, 500, 3);
  feed.await_equal(target);
  stalled.thaw();
  stalled.await_log("partitions given back", seconds{30});
  feed.load(1000, 500, 4);
  feed.await_equal(target);
  CHECK(second.count_in_log("table stopped") == 0);
  CHECK(stalled.count_in_log("table stopped") == 0);

  // And it can still do its work.
  CHECK(second.stop() == 0);
  feed.load(1000, 500, 5);
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK(stalled.stop() == 0);
}
