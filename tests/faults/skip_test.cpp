// An operator skips the record that stops a table: that one, and no other, is in the dead-letter
// topic before the position is past it, through any kill.
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"
#include "web.hpp"

using namespace lockstep::test;
using std::chrono::seconds;
using Json = nlohmann::json;

namespace {

struct SkipTest {
  explicit SkipTest(const std::string& name, int partitions = 1)
      : feed{kafka, target, "skip_" + name, partitions} {
    config = {feed.name, {feed.topic}};
    config.listen = "127.0.0.1:0";
    config.tokens = {{"alice", secret}};
    config.sink = {{"missing_table", "pause"}, {"dead_letter_topic", letters_topic()}};
  }

  std::string letters_topic() const { return feed.name + ".lost"; }
  /// The offset that it gets.
  std::int64_t produce(std::int64_t id, const std::string& value, int partition = 0,
                       const std::map<std::string, std::string>& headers = {}) {
    feed.flush();
    const auto offset = feed.end(partition);
    kafka.produce(feed.topic, partition, feed.key(id), value, headers);
    feed.flush();
    return offset;
  }
  WebAnswer call(const Daemon& daemon, const std::string& method, const std::string& path) const {
    return web_call(daemon.http_port(), method, path, {{"Authorization", "Bearer " + secret}});
  }
  WebAnswer skip(const Daemon& daemon, const std::string& query = "") const {
    return call(daemon, "POST",
                "/pipelines/" + feed.name + "/tables/" + feed.topic + "/skip" + query);
  }
  Json table(const Daemon& daemon) const {
    const auto status = Json::parse(call(daemon, "GET", "/status").body);
    return status["pipelines"][0].value("tables", Json::array({Json::object()})).at(0);
  }
  /// Waits until the table has stopped at this record, and what came before it is applied.
  void await_stopped_by(const Daemon& daemon, std::int64_t offset, int partition = 0) {
    const Json record{{"partition", partition}, {"offset", offset}};
    eventually(seconds{30}, "stopped by " + record.dump(), [&]() -> std::string {
      const auto now = table(daemon);
      const bool is_so = now.value("stopped_by", Json{}) == record && now["held_bytes"] == 0;
      return is_so ? "" : now.dump();
    });
  }

  const std::string secret = "alices-secret-of-28-letters";
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed;
  DaemonConfig config;
};

}  // namespace

TEST_CASE("the record that stops a table is skipped, and the next of its row is applied") {
  SkipTest test{"one"};
  auto& feed = test.feed;
  test.config.max_events = 1;  // of what is in one batch, the last change of a row is enough
  test.target.exec("ALTER TABLE " + feed.name + " ADD CHECK (note <> 'forbidden')");
  const auto refused_value = feed.value('c', 1002, 1, "forbidden");
  feed.load(30, 10);
  const auto unreadable = test.produce(1001, "{nonsense", 0, {{"trace", "abc"}});
  feed.upsert(1001, "later");
  const auto refused = test.produce(1002, refused_value);
  feed.upsert(1002, "later");
  feed.load(30, 10, 2);
  feed.flush();

  Daemon daemon{feed.name, test.config};
  test.await_stopped_by(daemon, unreadable);
  const auto other = test.skip(daemon, "?partition=0&offset=" + std::to_string(unreadable + 1));
  CHECK(other.status == 409);
  CHECK_THAT(other.body, ContainsSubstring("nothing to skip"));
  CHECK_THAT(other.body, ContainsSubstring("malformed JSON"));
  CHECK(test.skip(daemon, "?partition=0").status == 400);
  CHECK(test.skip(daemon, "?partition=0&offset=x").status == 400);

  const auto skipped = test.skip(daemon, "?partition=0&offset=" + std::to_string(unreadable));
  INFO(skipped.body);
  CHECK(skipped.status == 200);
  const auto answer = Json::parse(skipped.body);
  CHECK(answer["done"] == "skip");
  CHECK(answer["topic"] == feed.topic);
  CHECK(answer["partition"] == 0);
  CHECK(answer["offset"] == unreadable);
  CHECK_THAT(answer["cause"].get<std::string>(), ContainsSubstring("malformed JSON"));
  CHECK(feed.progress(test.target, feed.name) > unreadable);  // once it is answered
  test.await_stopped_by(daemon, refused);

  int starts = 1;
  const auto start_again = [&] {
    daemon.kill();
    daemon.start();
    daemon.await_log("HTTP is served at", seconds{30}, ++starts);  // at another port
  };
  start_again();
  test.await_stopped_by(daemon, refused);
  CHECK(test.skip(daemon).status == 200);  // whichever it is
  start_again();                           // it was answered, so it is for good
  feed.await_equal(test.target);
  const auto nothing = test.skip(daemon);
  CHECK(nothing.status == 409);
  CHECK_THAT(nothing.body, ContainsSubstring("the table has not stopped: it is reading"));
  check_only_forward(test.target, feed.name);

  const auto letters = test.kafka.records(test.letters_topic());
  REQUIRE(letters.size() == 2);
  CHECK(letters[0].value == "{nonsense");
  CHECK(letters[0].headers.at("trace") == "abc");
  CHECK(letters[0].headers.at("lockstep.offset") == std::to_string(unreadable));
  CHECK(letters[0].headers.at("lockstep.error").starts_with("value: malformed JSON"));
  CHECK(letters[1].value == refused_value);
  CHECK(letters[1].headers.at("lockstep.offset") == std::to_string(refused));
  CHECK_THAT(letters[1].headers.at("lockstep.error"), ContainsSubstring("check constraint"));
  for (const auto& letter : letters) {
    CHECK(letter.headers.at("lockstep.stage") == "skipped");
    CHECK_FALSE(letter.headers.contains("lockstep.key"));
  }

  // Who it was stands in the log, not with what.
  const auto lines = daemon.lines_with("asked for over HTTP by=127.0.0.1:");
  REQUIRE(lines.size() == 6);
  for (const auto& line : lines) CHECK_THAT(line, ContainsSubstring(" token=alice POST "));
  CHECK_THAT(lines[0], ContainsSubstring("/skip?partition=0&offset=" +
                                         std::to_string(unreadable + 1) + " status=409"));
  CHECK_THAT(lines[4], ContainsSubstring("/tables/" + feed.topic + "/skip status=200"));
  CHECK_FALSE(daemon.logged(test.secret));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a letter that can't be delivered leaves its table stopped, and the answer says why") {
  SkipTest test{"undelivered"};
  auto& feed = test.feed;
  test.kafka.create_topic(test.letters_topic(), 1, {{"max.message.bytes", "100"}});
  feed.load(10, 5);
  const auto bad = test.produce(1001, "{nonsense");
  feed.load(10, 5, 2);
  feed.flush();
  Daemon daemon{feed.name, test.config};
  test.await_stopped_by(daemon, bad);
  const auto failed = test.skip(daemon);
  CHECK(failed.status == 503);
  CHECK_THAT(failed.body, ContainsSubstring("not skipped"));
  CHECK_THAT(failed.body, ContainsSubstring("dead letters can't be delivered: "));
  test.await_stopped_by(daemon, bad);
  CHECK(feed.progress(test.target, feed.name) == bad);

  test.kafka.delete_topic(test.letters_topic());
  // It is made anew; that takes the producer a moment to notice.
  eventually(seconds{30}, "the table goes on", [&]() -> std::string {
    const auto asked = test.skip(daemon);
    const bool goes_on = asked.body.find("the table has not stopped") != std::string::npos;
    return asked.status == 200 || goes_on ? "" : asked.body;
  });
  feed.await_equal(test.target);
  const auto letters = test.kafka.records(test.letters_topic());
  REQUIRE_FALSE(letters.empty());
  CHECK(letters[0].headers.at("lockstep.error").find("not skipped") == std::string::npos);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("where no record stops a table, or it is gone, nothing is skipped, and it is said why") {
  SkipTest test{"nothing"};
  auto& feed = test.feed;
  feed.load(10, 5);
  const auto bad = test.produce(1001, "{nonsense");
  feed.load(10, 5, 2);
  feed.flush();
  Daemon daemon{feed.name, test.config};
  test.await_stopped_by(daemon, bad);
  test.kafka.delete_records(feed.topic, 0, bad + 1);
  const auto gone = test.skip(daemon);
  CHECK(gone.status == 503);
  CHECK_THAT(gone.body, ContainsSubstring("this offset is not in the log"));
  const auto no_record = test.skip(daemon);
  CHECK(no_record.status == 409);
  CHECK_THAT(no_record.body, ContainsSubstring("it is not one record that stops the table"));

  test.target.exec("UPDATE lockstep.progress SET next_offset = " + std::to_string(bad + 1) +
                   " WHERE pipeline = '" + feed.name + "'");
  daemon.reload();
  feed.await_equal(test.target);
  test.target.exec("DROP TABLE " + feed.name);
  feed.upsert(1);
  feed.flush();
  daemon.await_log("does not exist: create it", seconds{30});
  const auto no_table = test.skip(daemon);
  CHECK(no_table.status == 409);
  CHECK_THAT(no_table.body, ContainsSubstring("does not exist: create it"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("of several partitions each record that stops the table is skipped by itself") {
  SkipTest test{"partitions", 2};
  auto& feed = test.feed;
  feed.load(20, 10);
  const std::int64_t bad[] = {test.produce(1000, "{nonsense", 0),
                              test.produce(1001, "{nonsense", 1)};
  feed.load(20, 10, 2);
  feed.flush();
  Daemon daemon{feed.name, test.config};
  daemon.await_log("table stopped", seconds{30});
  const int first = test.table(daemon)["stopped_by"]["partition"];
  test.await_stopped_by(daemon, bad[first], first);
  CHECK(test.skip(daemon).status == 200);
  test.await_stopped_by(daemon, bad[1 - first], 1 - first);
  CHECK(test.skip(daemon).status == 200);
  feed.await_equal(test.target);
  CHECK(test.kafka.records(test.letters_topic()).size() == 2);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a skipped record that gives its row another key leaves no row under the old one") {
  SkipTest test{"key"};
  auto& feed = test.feed;
  test.config.sink["on_error"] = "dead_letter";
  test.target.exec("ALTER TABLE " + feed.name + " ADD CONSTRAINT small CHECK (id < 100)");
  feed.load(20, 10);
  feed.upsert(50, "moves");
  feed.flush();
  test.produce(50, feed.value('d', 50, 1000, ""), 0, {{"__debezium.newkey", R"({"id":150})"}});
  const auto create = test.produce(150, feed.value('c', 150, 1001, "moves"), 0,
                                   {{"__debezium.oldkey", R"({"id":50})"}});
  feed.load(20, 10, 2);
  feed.flush();
  Daemon daemon{feed.name, test.config};
  test.await_stopped_by(daemon, create);
  CHECK(test.skip(daemon).status == 200);
  CHECK(test.target.number("SELECT count(*) FROM " + feed.name + " WHERE id = 50") == 0);
  CHECK(test.target.number("SELECT count(*) FROM lockstep.parked WHERE pipeline = '" + feed.name +
                           "'") == 0);
  test.target.exec("ALTER TABLE " + feed.name + " DROP CONSTRAINT small");
  test.produce(150, feed.value('u', 150, 1002, "now"));
  eventually(seconds{30}, "its next change is applied", [&] {
    return test.target.text("SELECT string_agg(id || note, ' ') FROM " + feed.name +
                            " WHERE id >= 50") == "150now";
  });
  CHECK(daemon.stop() == 0);
}
