// Changes that are gathered in Redis and loaded in one go, as Debezium sends them.
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "kafka.hpp"
#include "redis.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using nlohmann::json;
using std::chrono::seconds;

namespace {

/// A table at the source, and a pipeline that loads more than ten of its changes in one go.
struct Threshold {
  explicit Threshold(const std::string& max_time = "3600s", const std::string& max_bytes = "64MiB")
      : daemon{name, DaemonConfig{.pipeline = name,
                                  .topics = {topic},
                                  .max_bytes = max_bytes,
                                  .sink_type = "threshold",
                                  .sink = {{"redis", Stack::from_environment().redis_url},
                                           {"max_event", "10"},
                                           {"max_time", max_time}}}} {}
  ~Threshold() {
    for (const auto& one : redis.keys("lockstep:" + name + ":*")) redis.ask("DEL '" + one + "'");
  }

  /// Rows with ids of this range.
  void insert(int from, int to, const std::string& text = "'x'") {
    source.exec("INSERT INTO " + name + " SELECT i, " + text + " FROM generate_series(" +
                std::to_string(from) + ", " + std::to_string(to) + ") i");
  }
  std::string key(const std::string& of) const { return "lockstep:" + name + ":" + of; }
  std::string of_topic(const std::string& of) const { return key(of + ":" + topic); }
  std::string count() const { return redis.get(key("count")); }
  void await_count(const std::string& count) const {
    eventually(seconds{30}, "the count in redis is " + count, [&]() -> std::string {
      const auto is = this->count();
      return is == count ? "" : "'" + is + "'";
    });
  }
  /// -1: there is no table yet.
  long long loaded() {
    if (target.text("SELECT to_regclass('public." + name + "')") == "NULL") return -1;
    return target.number("SELECT count(*) FROM " + name);
  }
  void await_loaded(int rows, seconds deadline = seconds{30}) {
    eventually(deadline, std::to_string(rows) + " rows are loaded", [&]() -> std::string {
      const auto is = loaded();
      return is == rows ? "" : std::to_string(is);
    });
  }
  std::string make_table() {
    source.exec("CREATE TABLE " + name + " (id int PRIMARY KEY, name text)");
    return name;
  }

  const std::string name = unique("threshold");
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  Redis redis;
  const Connector connector{unique("threshold"), {make_table()}};
  const std::string topic = connector.topic(name);
  Daemon daemon;
};

}  // namespace

TEST_CASE(
    "up to max_event changes wait in redis, the next one makes all arrive in one transaction") {
  Threshold t;
  t.insert(1, 8);
  t.source.exec("UPDATE " + t.name + " SET name = 'second' WHERE id = 8");
  t.source.exec("DELETE FROM " + t.name + " WHERE id = 1");
  t.await_count("10");
  CHECK(t.loaded() == -1);
  const auto pending = t.redis.hash(t.of_topic("pending"));
  CHECK(pending.size() == 8);
  REQUIRE(pending.contains(R"({"id":8})"));
  CHECK(json::parse(pending.at(R"({"id":8})"))["after"]["name"] == "second");
  CHECK(json::parse(pending.at(R"({"id":1})"))["op"] == "delete");
  CHECK_FALSE(Kafka{}.committed("lockstep." + t.name, t.topic, 0));

  t.insert(9, 9);
  t.await_loaded(8);
  CHECK(t.target.number("SELECT count(DISTINCT synced_at) FROM " + t.name) == 1);
  eventually(seconds{10}, "nothing is left in redis", [&] {
    return t.count() == "0" && t.redis.hash(t.of_topic("loading")).empty() &&
           t.redis.hash(t.of_topic("pending")).empty() &&
           t.redis.get(t.key("window_start")).empty();
  });
  CHECK(t.redis.hash(t.key("load")).at("events") == "11");

  t.insert(20, 20);  // the next window has begun
  t.await_count("1");
  CHECK(t.loaded() == 8);
}

TEST_CASE("what has waited for max_time is loaded, however little it is") {
  Threshold t{"3s"};
  t.insert(1, 2);
  t.await_count("2");
  const auto start = t.redis.get(t.key("window_start"));
  t.await_loaded(2);
  CHECK(t.target.text("SELECT min(synced_at) >= timestamptz '" + start +
                      "' + interval '3 s' FROM " + t.name) == "t");
  t.daemon.await_log("events=2 reason=max_time", seconds{10});
}

TEST_CASE("a restart keeps the count and the window, and counts nothing twice") {
  Threshold t{"20s"};
  t.insert(1, 4);
  t.await_count("4");
  const auto start = t.redis.get(t.key("window_start"));
  REQUIRE(t.daemon.stop() == 0);
  CHECK(t.count() == "4");
  t.target.exec("SELECT pg_sleep_until(timestamptz '" + start + "' + interval '8 s')");
  t.daemon.start();
  t.daemon.await_log("gathering pipeline=" + t.name + " count=4 window_start=" + start,
                     seconds{20});
  t.insert(5, 5);
  t.await_count("5");
  CHECK(t.loaded() == -1);
  t.await_loaded(5);
  // Not 20 s from the restart on.
  CHECK(t.target.text("SELECT max(synced_at) < timestamptz '" + start +
                      "' + interval '28 s' FROM " + t.name) == "t");
}

TEST_CASE(
    "without redis changes are gathered and loaded all the same, and it is told when it is back") {
  Threshold t;
  t.insert(1, 4);
  t.await_count("4");
  Outage outage{"redis", Outage::How::kill};
  t.daemon.await_log("redis unavailable, gathering goes on without it", seconds{20});
  t.insert(5, 11);
  t.await_loaded(11);
  t.insert(12, 14);
  outage.end();
  t.daemon.await_log("redis is back", seconds{20});
  t.await_count("3");
  CHECK(t.redis.hash(t.of_topic("pending")).size() == 3);
  CHECK(t.loaded() == 11);
  CHECK(t.daemon.count_in_log("redis unavailable") <= 2);  // the connection is lost, then refused
}

TEST_CASE("what redis has lost is written anew") {
  Threshold t;
  t.insert(1, 4);
  t.await_count("4");
  t.redis.ask("FLUSHALL");
  t.await_count("4");
  CHECK(t.redis.hash(t.of_topic("pending")).size() == 4);
  CHECK_FALSE(t.redis.get(t.key("window_start")).empty());
  t.insert(5, 11);
  t.await_loaded(11);
}

TEST_CASE("without redis at the start a pipeline gathers what it reads") {
  Threshold t;
  t.insert(1, 4);
  t.await_count("4");
  REQUIRE(t.daemon.stop() == 0);
  Outage outage{"redis", Outage::How::stop};
  t.daemon.start();
  t.daemon.await_log("redis has not told within 5 s what was gathered before", seconds{30});
  CHECK(t.loaded() == -1);
  t.insert(5, 11);
  t.await_loaded(11);
  outage.end();
  t.await_count("0");
}

TEST_CASE(
    "a daemon that is killed in a load goes on with it: nothing is lost, nothing comes twice") {
  Threshold t;
  t.target.exec("CREATE TABLE " + t.name +
                " (id int PRIMARY KEY, name text, synced_at timestamptz);" + "CREATE TABLE " +
                t.name + "_written (id int);" + "CREATE FUNCTION " + t.name +
                "_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO " + t.name +
                "_written VALUES (NEW.id); RETURN NEW; END';" +
                "CREATE TRIGGER note AFTER INSERT OR "
                "UPDATE ON " +
                t.name + " FOR EACH ROW EXECUTE FUNCTION " + t.name + "_note()");
  Database other{Stack::from_environment().target_url};
  other.exec("BEGIN; LOCK TABLE " + t.name);
  t.insert(1, 11);
  eventually(seconds{30}, "the load has begun",
             [&] { return t.redis.hash(t.of_topic("loading")).size() == 11 && t.count() == "0"; });
  t.insert(12, 13);
  t.await_count("2");
  t.daemon.kill();
  CHECK(t.redis.hash(t.of_topic("load_until")).size() == 1);
  other.exec("ROLLBACK");
  t.daemon.start();
  eventually(seconds{60}, "the load is over", [&] {
    return t.loaded() >= 11 && t.redis.hash(t.of_topic("load_until")).empty() &&
           t.redis.hash(t.of_topic("loading")).empty();
  });
  const auto rows = t.loaded();
  CHECK(t.target.number("SELECT count(*) FROM " + t.name + "_written") == rows);
  t.await_count(std::to_string(13 - rows));
  // As many as make 11: a load takes what has come when it begins, and that is with the 11th.
  const int last = static_cast<int>(rows) + 11;
  t.insert(14, last);
  t.await_loaded(last);
  CHECK(t.target.number("SELECT count(*) FROM " + t.name + "_written") == last);
}

TEST_CASE("changes that don't fit into memory are loaded before the threshold is reached") {
  Threshold t{"3600s", "64KiB"};
  t.insert(1, 9, "repeat('x', 9000)");
  t.daemon.await_log("memory is full, loading before max_event or max_time is reached",
                     seconds{30});
  eventually(seconds{30}, "much of it is loaded", [&] { return t.loaded() >= 5; });
}

TEST_CASE("a table that stands still keeps no load from ending") {
  Threshold t;
  t.target.exec("CREATE TABLE " + t.name +
                " (id int PRIMARY KEY, name text CHECK (name <> 'bad'), synced_at timestamptz)");
  t.insert(1, 10);
  t.insert(11, 11, "'bad'");
  t.daemon.await_log("table stopped", seconds{30});
  t.daemon.await_log("load goes without what is paused or stopped", seconds{30});
  t.await_loaded(10);
  eventually(seconds{20}, "the load is over",
             [&] { return t.redis.hash(t.of_topic("load_until")).empty(); });
  t.target.exec("ALTER TABLE " + t.name + " DROP CONSTRAINT " + t.name + "_name_check");
  t.daemon.reload();
  t.await_loaded(11);
}
