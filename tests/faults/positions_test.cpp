// A position that the log does not hold any more is told, never jumped over.
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

/// A daemon that has applied some changes of `feed` and is stopped.
struct Begun {
  explicit Begun(const std::string& name)
      : pipeline{unique(name)},
        feed{kafka, target, name},
        other{kafka, target, name + "_other"},
        daemon{pipeline, {pipeline, {feed.topic, other.topic}}} {
    feed.load(100, 50);
    other.load(10, 10);
    feed.await_equal(target);
    other.await_equal(target);
    REQUIRE(daemon.stop() == 0);
    at = feed.progress(target, pipeline);
    REQUIRE(at == feed.end());
  }

  void set_position(std::int64_t offset) {
    target.exec("UPDATE lockstep.progress SET next_offset = " + std::to_string(offset) +
                " WHERE pipeline = '" + pipeline + "' AND topic = '" + feed.topic + "'");
  }

  /// Its table stands still with a line that says what to do; the other table goes on.
  void check_stopped() {
    daemon.await_log("table stopped", seconds{30});
    other.load(10, 10, 7);
    other.await_equal(target);
    const auto lines = daemon.lines_with("table stopped");
    REQUIRE(lines.size() == 1);
    INFO(lines[0]);
    CHECK(lines[0].find(feed.topic + "[0]@") != std::string::npos);
    CHECK(lines[0].find("not in the log") != std::string::npos);
    CHECK(lines[0].find("snapshot") != std::string::npos);
  }

  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  std::string pipeline;
  Feed feed;
  Feed other;
  Daemon daemon;
  std::int64_t at = 0;
};

}  // namespace

TEST_CASE("a row goes with its delete alone, and with its tombstone alone, in a renamed topic") {
  Begun test{"deleted"};
  const std::string topic = unique("renamed");
  test.kafka.create_topic(topic);
  Daemon daemon{topic, {topic, {topic}}};
  const auto put = [&](char op, std::int64_t id) {
    test.kafka.produce(topic, 0, test.feed.key(id), test.feed.value(op, id, 1000 + id, "x"));
  };
  const auto await = [&](const std::string& ids) {
    test.kafka.flush();
    eventually(seconds{30}, "what is left", [&]() -> std::string {
      const auto left =
          test.target.text("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), 'none') FROM " +
                           test.feed.name + " WHERE version > 1000");
      return left == ids ? "" : left;
    });
  };
  for (std::int64_t id = 1001; id < 1006; ++id) put('c', id);
  await("1001 1002 1003 1004 1005");
  put('d', 1001);  // compaction or a setting has left nothing else
  test.kafka.produce(topic, 0, test.feed.key(1002), std::nullopt);
  await("1003 1004 1005");
  REQUIRE(daemon.stop() == 0);
  daemon.start();
  test.kafka.produce(topic, 0, test.feed.key(1003), std::nullopt);
  await("1004 1005");
  put('d', 1004);
  await("1005");
}

TEST_CASE("a position beyond the end of the log stops the table") {
  Begun test{"beyond"};
  test.set_position(test.at + 1000);
  test.feed.upsert(1);
  test.feed.flush();
  test.daemon.start();
  test.check_stopped();
  CHECK(test.feed.progress(test.target, test.pipeline) == test.at + 1000);

  test.set_position(test.at);
  test.daemon.reload();
  test.feed.await_equal(test.target);
  check_only_forward(test.target, test.feed.name);
}

TEST_CASE("a position that retention has passed stops the table") {
  Begun test{"retention"};
  test.feed.load(100, 50, 2);
  test.kafka.delete_records(test.feed.topic, 0, test.at + 20);
  test.daemon.start();
  test.check_stopped();
  CHECK(test.feed.progress(test.target, test.pipeline) == test.at);
}

TEST_CASE("a topic that was made anew while the daemon was away stops the table") {
  Begun test{"anew"};
  test.kafka.delete_topic(test.feed.topic);
  test.kafka.create_topic(test.feed.topic);
  test.feed.upsert(1000);
  test.feed.flush();
  test.daemon.start();
  test.check_stopped();
  CHECK(test.feed.progress(test.target, test.pipeline) == test.at);
}

TEST_CASE("a topic that is made anew while the daemon reads it stops the table") {
  Begun test{"anew_live"};
  test.daemon.start();
  test.daemon.await_log("reading", seconds{30}, 4);
  test.kafka.delete_topic(test.feed.topic);
  test.kafka.create_topic(test.feed.topic);
  test.feed.upsert(1000);
  test.feed.flush();
  test.check_stopped();
  CHECK(test.feed.progress(test.target, test.pipeline) == test.at);

  test.set_position(0);
  test.daemon.reload();
  test.feed.await_equal(test.target);
}
