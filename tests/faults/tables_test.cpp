// A table that can't go on stops alone, says why once, keeps its position, and goes on after SIGHUP
// once it is mended.
#include <memory>
#include <optional>

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

/// One pipeline with a sound table and any number of others.
struct Tables {
  explicit Tables(const std::string& name)
      : pipeline{unique(name)}, sound{kafka, target, name + "_sound"} {}

  Feed& add(const std::string& name) {
    return *hurt.emplace_back(std::make_unique<Feed>(kafka, target, name));
  }
  void start() {
    std::vector<std::string> topics{sound.topic};
    for (const auto& feed : hurt) topics.push_back(feed->topic);
    DaemonConfig config{pipeline, topics};
    config.sink = {{"missing_table", "pause"}, {"schema_change", "pause"}};
    daemon = std::make_unique<Daemon>(pipeline, config);
  }
  /// All but the sound one stop, each with one line.
  void await_all_stopped() {
    daemon->await_log("table stopped", seconds{30}, static_cast<int>(hurt.size()));
    CHECK(daemon->count_in_log("table stopped") == static_cast<int>(hurt.size()));
    CHECK(daemon->count_in_log("Z error ") == static_cast<int>(hurt.size()));
  }
  std::string line_of(const Feed& feed) const {
    const auto lines = daemon->lines_with("table stopped");
    for (const auto& line : lines) {
      if (line.find("topic=" + feed.topic + " ") != std::string::npos) return line;
    }
    return "";
  }
  void check_sound_goes_on(unsigned seed) {
    sound.load(50, 20, seed);
    sound.await_equal(target);
  }

  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  const std::string pipeline;
  Feed sound;
  std::vector<std::unique_ptr<Feed>> hurt;
  std::unique_ptr<Daemon> daemon;
};

}  // namespace

TEST_CASE("tables that the target refuses stop alone, and go on after SIGHUP once mended") {
  // The offset in "topic[0]@40: …"; none in "topic[0]@0..49: …".
  const auto record_in = [](const std::string& line,
                            const std::string& topic) -> std::optional<std::int64_t> {
    const auto begin = line.find(topic + "[0]@") + topic.size() + 4;
    const auto end = line.find_first_not_of("0123456789", begin);
    if (end == begin || line[end] != ':') return std::nullopt;
    return std::stoll(line.substr(begin, end - begin));
  };
  struct Case {
    std::string name;
    std::string damage;  ///< % is the table
    std::string repair;  ///< empty: make the table anew
    std::string says;
  };
  const Case cases[] = {
      {"missing", "DROP TABLE %", "", "does not exist"},
      {"no_column", "ALTER TABLE % DROP COLUMN note", "ALTER TABLE % ADD COLUMN note text",
       "has no column \"note\""},
      {"wrong_type", "ALTER TABLE % ALTER note TYPE bytea USING NULL",
       "ALTER TABLE % ALTER note TYPE text USING NULL", "column \"note\""},
      {"not_null", "ALTER TABLE % ADD COLUMN extra int NOT NULL", "ALTER TABLE % DROP COLUMN extra",
       "column \"extra\" (integer), NOT NULL without a default"},
      {"check", "ALTER TABLE % ADD CONSTRAINT c CHECK (version <> 40)",
       "ALTER TABLE % DROP CONSTRAINT c", "SQLSTATE 23514"},
      {"no_key", "ALTER TABLE % DROP CONSTRAINT %_pkey", "ALTER TABLE % ADD PRIMARY KEY (id)",
       "has no primary key"},
  };
  Tables tables{"refused"};
  const auto exec = [&](std::string sql, const Feed& feed) {
    for (auto at = sql.find('%'); at != std::string::npos; at = sql.find('%')) {
      sql.replace(at, 1, feed.name);
    }
    tables.target.exec(sql);
  };
  const auto repair = [&](const Case& c, const Feed& feed) {
    if (!c.repair.empty()) return exec(c.repair, feed);
    tables.target.exec("DROP TABLE " + feed.name + "_audit");
    tables.target.exec(create_audited_table(feed.name));
  };
  for (const auto& c : cases) {
    Feed& feed = tables.add(c.name);
    exec(c.damage, feed);
    feed.load(50, 50);
  }
  tables.sound.load(50, 20);
  tables.start();
  tables.await_all_stopped();
  for (const auto& feed : tables.hurt) {
    feed->upsert(1);
    feed->flush();
  }
  tables.check_sound_goes_on(2);
  Daemon& daemon = *tables.daemon;
  for (std::size_t i = 0; i < tables.hurt.size(); ++i) {
    const Feed& feed = *tables.hurt[i];
    const auto line = tables.line_of(feed);
    INFO(line);
    CHECK(line.find(feed.topic + "[0]@") != std::string::npos);
    CHECK(line.find(cases[i].says) != std::string::npos);
    // What came before the record is applied, where it is known which one it is.
    const auto want = record_in(line, feed.topic).value_or(0);
    CHECK((want > 0) == (cases[i].name == "check"));
    eventually(seconds{20}, "the position stands in front of the record",
               [&] { return feed.progress(tables.target, tables.pipeline) == want; });
  }
  CHECK(daemon.count_in_log("table stopped") == 6);

  // One is mended: it goes on, the others stop again for their old cause.
  repair(cases[0], *tables.hurt[0]);
  daemon.reload();
  tables.hurt[0]->await_equal(tables.target);
  daemon.await_log("table stopped", seconds{30}, 6 + 5);
  CHECK(tables.hurt[1]->progress(tables.target, tables.pipeline) == 0);

  for (std::size_t i = 1; i < tables.hurt.size(); ++i) repair(cases[i], *tables.hurt[i]);
  daemon.reload();
  for (const auto& feed : tables.hurt) {
    feed->await_equal(tables.target);
    check_only_forward(tables.target, feed->name);
  }
  tables.check_sound_goes_on(3);
  check_only_forward(tables.target, tables.sound.name);
  CHECK(daemon.count_in_log("table stopped") == 6 + 5);
  CHECK(daemon.count_in_log("partitions assigned") == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("records that nobody can read stop their tables in front of them, until passed over") {
  const std::string poisons[] = {
      "\x01\xff garbage",
      "{\"payload\":{\"op\":\"c\"",
      "{}",
      "[]",
      "",
      "{\"schema\":null,\"payload\":{\"op\":\"x\"}}",
  };
  Tables tables{"poison"};
  std::vector<std::int64_t> bad;
  for (const auto& poison : poisons) {
    Feed& feed = tables.add("poisoned");
    feed.load(30, 20);
    bad.push_back(feed.end());
    tables.kafka.produce(feed.topic, 0, feed.key(1), poison);
    feed.load(30, 20, 2);
  }
  tables.sound.load(30, 20);
  tables.start();
  tables.await_all_stopped();
  tables.check_sound_goes_on(2);
  for (std::size_t i = 0; i < tables.hurt.size(); ++i) {
    CAPTURE(poisons[i]);
    const Feed& feed = *tables.hurt[i];
    eventually(seconds{20}, "all before the record is applied",
               [&] { return feed.progress(tables.target, tables.pipeline) == bad[i]; });
    CHECK(tables.line_of(feed).find(feed.topic + "[0]@" + std::to_string(bad[i]) + ": ") !=
          std::string::npos);
  }

  // What docs/operation.md says: look at the record, then step over it by hand.
  tables.target.exec(
      "UPDATE lockstep.progress SET next_offset = next_offset + 1 WHERE pipeline = '" +
      tables.pipeline + "' AND topic LIKE '%poisoned%'");
  tables.daemon->reload();
  for (const auto& feed : tables.hurt) {
    feed->await_equal(tables.target);
    check_only_forward(tables.target, feed->name);
  }
  tables.check_sound_goes_on(3);
  check_only_forward(tables.target, tables.sound.name);
  CHECK(tables.daemon->stop() == 0);
}

TEST_CASE("SIGHUP changes nothing where nothing has stopped") {
  Tables tables{"reload"};
  tables.sound.load(20'000, 2000);
  tables.start();
  tables.daemon->await_log("reading pipeline=", seconds{30});
  for (int i = 1; i <= 5; ++i) {
    tables.daemon->reload();
    tables.daemon->await_log("reloading", seconds{10}, i);
  }
  tables.sound.await_equal(tables.target);
  check_only_forward(tables.target, tables.sound.name);
  CHECK(tables.daemon->count_in_log("reading pipeline=") == 1);
  CHECK(tables.daemon->count_in_log("Z warn") == 0);
  CHECK(tables.daemon->count_in_log("Z error") == 0);
  CHECK(tables.daemon->stop() == 0);
}
