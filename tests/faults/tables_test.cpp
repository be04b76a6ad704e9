// A table that can't go on stops alone, says why once, and keeps its position.
#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

TEST_CASE("a table that the target refuses stops alone, and goes on once it is mended") {
  struct Case {
    std::string name;
    std::string damage;  ///< % is the table
    std::string repair;  ///< empty: make the table anew
    std::string says;
  };
  const auto c = GENERATE(values<Case>({
      {"missing", "DROP TABLE %", "", "does not exist"},
      {"no_column", "ALTER TABLE % DROP COLUMN note", "ALTER TABLE % ADD COLUMN note text",
       "has no column \"note\""},
      {"wrong_type", "ALTER TABLE % ALTER note TYPE bytea USING NULL",
       "ALTER TABLE % ALTER note TYPE text USING NULL", "column \"note\""},
      {"not_null", "ALTER TABLE % ADD COLUMN extra int NOT NULL", "ALTER TABLE % DROP COLUMN extra",
       "SQLSTATE 23502"},
      {"check", "ALTER TABLE % ADD CONSTRAINT c CHECK (version <> 40)",
       "ALTER TABLE % DROP CONSTRAINT c", "SQLSTATE 23514"},
      {"no_key", "ALTER TABLE % DROP CONSTRAINT %_pkey", "ALTER TABLE % ADD PRIMARY KEY (id)",
       "has no primary key"},
  }));
  CAPTURE(c.name);
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed sound{kafka, target, "sound_" + c.name};
  Feed hurt{kafka, target, "hurt_" + c.name};
  const auto on_table = [&](std::string sql) {
    for (auto at = sql.find('%'); at != std::string::npos; at = sql.find('%')) {
      sql.replace(at, 1, hurt.name);
    }
    return sql;
  };
  target.exec(on_table(c.damage));
  sound.load(50, 20);
  hurt.load(50, 50);

  const std::string pipeline = unique(c.name);
  Daemon daemon{pipeline, {pipeline, {sound.topic, hurt.topic}}};
  daemon.await_log("table stopped", seconds{30});
  sound.await_equal(target);
  sound.load(50, 20, 2);  // the other goes on after it, too
  hurt.upsert(1);
  hurt.flush();
  sound.await_equal(target);

  const auto lines = daemon.lines_with("table stopped");
  REQUIRE(lines.size() == 1);
  INFO(lines[0]);
  CHECK(lines[0].find(hurt.topic + "[0]@") != std::string::npos);
  CHECK(lines[0].find(c.says) != std::string::npos);
  CHECK(daemon.lines_with("Z error ").size() == 1);
  CHECK(hurt.progress(target, pipeline) == 0);

  REQUIRE(daemon.stop() == 0);
  if (c.repair.empty()) {
    target.exec("DROP TABLE " + hurt.name + "_audit");
    target.exec(create_audited_table(hurt.name));
  } else {
    target.exec(on_table(c.repair));
  }
  daemon.start();
  hurt.await_equal(target);
  check_only_forward(target, hurt.name);
  REQUIRE(daemon.stop() == 0);
}

TEST_CASE("a record that nobody can read stops its table in front of it") {
  const auto poison = GENERATE(as<std::string>{}, "\x01\xff garbage", "{\"payload\":{\"op\":\"c\"",
                               "{}", "[]", "", "{\"schema\":null,\"payload\":{\"op\":\"x\"}}");
  CAPTURE(poison);
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  const std::string pipeline = unique("poison");
  Feed sound{kafka, target, pipeline + "_sound"};
  Feed hurt{kafka, target, pipeline + "_hurt"};
  hurt.load(30, 20);
  const auto bad = hurt.end();
  kafka.produce(hurt.topic, 0, hurt.key(1), poison);
  hurt.load(30, 20, 2);
  sound.load(30, 20);

  Daemon daemon{pipeline, {pipeline, {sound.topic, hurt.topic}}};
  daemon.await_log("table stopped", seconds{30});
  sound.await_equal(target);
  eventually(seconds{20}, "all before the record is applied",
             [&] { return hurt.progress(target, pipeline) == bad; });
  const auto lines = daemon.lines_with("table stopped");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find(hurt.topic + "[0]@" + std::to_string(bad) + ": ") != std::string::npos);
  REQUIRE(daemon.stop() == 0);

  // What docs/operation.md says: look at the record, then step over it by hand.
  target.exec("UPDATE lockstep.progress SET next_offset = next_offset + 1 WHERE pipeline = '" +
              pipeline + "' AND topic = '" + hurt.topic + "'");
  daemon.start();
  hurt.await_equal(target);
  check_only_forward(target, hurt.name);
  REQUIRE(daemon.stop() == 0);
}
