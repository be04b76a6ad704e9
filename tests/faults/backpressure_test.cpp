// A target that does not take what the topics hold: memory stays bounded, the group stays as it is.
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

TEST_CASE("a locked table stops the reading, not the membership, and costs no memory") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "backlog"};
  feed.load(100'000, 20'000);
  DaemonConfig config{feed.name, {feed.topic}};
  config.max_bytes = "1MiB";
  config.properties = {{"session.timeout.ms", "6000"}, {"heartbeat.interval.ms", "1000"}};
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  Daemon daemon{feed.name, config};
  daemon.await_log("partitions paused", seconds{30});
  constexpr seconds locked{11};  // longer than the session's and any other short timeout
  const auto begin = Clock::now();
  long most_kib = 0;
  eventually(locked + seconds{5}, "a long lock has passed", [&] {
    most_kib = std::max(most_kib, daemon.resident_kib());
    return Clock::now() - begin > locked;
  });
  CHECK(most_kib < 64 * 1024);
  CHECK(feed.progress(target, feed.name) == 0);
  CHECK(kafka.members("lockstep." + feed.name) == 1);
  other.exec("COMMIT");
  eventually(seconds{120}, "all is applied", [&] {
    most_kib = std::max(most_kib, daemon.resident_kib());
    return feed.progress(target, feed.name) == feed.end();
  });
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK(most_kib < 64 * 1024);
  CHECK(daemon.count_in_log("partitions assigned") == 1);
  CHECK(daemon.count_in_log("partitions given back") == 0);

  CHECK(daemon.stop() == 0);
}

TEST_CASE("SIGTERM ends a daemon in time whose transaction waits for a lock") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "stuck"};
  feed.load(1000, 100);
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  Daemon daemon{feed.name, {feed.name, {feed.topic}}};
  eventually(seconds{20}, "it waits for the table", [&] {
    return target.text(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
               "AND wait_event_type = 'Lock'") == "1";
  });
  CHECK(daemon.stop() == 0);
  other.exec("COMMIT");
  daemon.start();
  feed.await_equal(target);
  check_only_forward(target, feed.name);
}

TEST_CASE("partitions that were paused when a second daemon came and went are read on") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Database other{Stack::from_environment().target_url};
  Feed feed{kafka, target, "paused", 2};
  feed.load(12'000, 2000);
  const auto member = [&](const std::string& name) {
    DaemonConfig config{feed.name, {feed.topic}};
    config.max_bytes = "1MiB";
    config.properties = {{"group.instance.id", feed.name + name}};
    return config;
  };
  other.exec("BEGIN; LOCK TABLE " + feed.name);
  Daemon first{feed.name + "_first", member("first")};
  first.await_log("partitions paused", seconds{30});
  Daemon second{feed.name + "_second", member("second")};
  second.await_log("partitions paused", seconds{30});
  first.await_log("partitions paused", seconds{30}, 2);
  CHECK(second.stop() == 0);
  first.await_log("partitions assigned", seconds{30}, 3);
  CHECK(feed.progress(target, feed.name, 0) == 0);
  other.exec("COMMIT");
  feed.await_equal(target);
  check_only_forward(target, feed.name);
  CHECK(first.stop() == 0);
}
