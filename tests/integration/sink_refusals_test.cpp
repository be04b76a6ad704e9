// What a target refuses, what it only refuses for now, and what the messages say of it.
#include <chrono>
#include <thread>

#include "catch.hpp"
#include "database.hpp"
#include "lockstep/model/advice.hpp"
#include "lockstep/postgres/sink.hpp"
#include "sink_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using namespace lockstep::test;
using Kind = SinkError::Kind;

namespace {

SinkError error_of(const Result<Done, SinkError>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

/// "t[0]@17", or "" where it is not known.
std::string culprit_of(const SinkError& error) {
  if (!error.culprit) return "";
  return to_string(error.culprit->partition) + "@" + std::to_string(error.culprit->offset.value);
}

}  // namespace

TEST_CASE("sink: what the target refuses leaves rows and position alone, and can be mended") {
  Fixture f{"refused"};
  REQUIRE(f.sink->apply(std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "a")).batch));
  struct Case {
    std::string_view name;
    std::string breaking;
    std::string mending;
    std::string want;  ///< part of the message
  };
  const Case cases[] = {
      {"a constraint", "", "ALTER TABLE sink_test.refused DROP CONSTRAINT refused_v_check",
       "target table sink_test.refused can't take record t[0]@2: violates check constraint "
       "\"refused_v_check\" (SQLSTATE 23514)"},
      {"a missing table", "ALTER TABLE sink_test.refused RENAME TO elsewhere",
       "ALTER TABLE sink_test.elsewhere RENAME TO refused",
       "target table sink_test.refused does not exist: create it, " + then_reload},
      {"a missing column", "ALTER TABLE sink_test.refused RENAME v TO w",
       "ALTER TABLE sink_test.refused RENAME w TO v",
       "has no column \"v\" (string at the source): add it, " + then_reload},
      {"a value that does not fit", "ALTER TABLE sink_test.refused ALTER v TYPE varchar(2)",
       "ALTER TABLE sink_test.refused ALTER v TYPE text",
       "column \"v\" (character varying(2)) of target table sink_test.refused can't take the value "
       "of record t[0]@2: value too long (SQLSTATE 22001)"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      if (!c.breaking.empty()) f.target.exec(c.breaking);
      // A new session: the old one has planned with the catalog as it was.
      const auto sink = f.open();
      const Made batch = std::move(Made{f.relation, 1, 3}.remove(1).upsert(2, "bad"));
      const auto result = sink->apply(batch.batch);
      CHECK(kind_of(result) == Kind::refused);
      CHECK_THAT(result.error().message, ContainsSubstring(c.want));
      CHECK(f.progress() == "1");
      f.target.exec(c.mending);
      if (c.name != "a constraint") {
        f.target.exec("ALTER TABLE sink_test.refused DROP CONSTRAINT refused_v_check");
      }
      CHECK(f.rows() == "1:a");
      const auto again = sink->apply(batch.batch);
      INFO((again ? "" : again.error().message));
      CHECK(again.has_value());
      CHECK(f.rows() == "2:bad");
      CHECK(f.progress() == "3");
    }
  }
}

TEST_CASE("sink: a refusal names table, column, type and record, never the value") {
  struct Case {
    std::string name;
    std::string damage;  ///< % is the table
    std::string value;
    std::string want;  ///< the whole message
    std::string sqlstate;
    ValueType type = ValueType::text;
  };
  const auto c = GENERATE(values<Case>({
      {"an enum",
       "CREATE TYPE sink_test.mood AS ENUM ('ok'); ALTER TABLE % ALTER v TYPE "
       "sink_test.mood USING NULL",
       "secret",
       "column \"v\" (enum sink_test.mood) of target table % can't take the value of record "
       "t[0]@4: invalid input value (SQLSTATE 22P02)",
       "22P02"},
      {"a length", "ALTER TABLE % ALTER v TYPE varchar(3)", "secret",
       "column \"v\" (character varying(3)) of target table % can't take the value of record "
       "t[0]@4: value too long (SQLSTATE 22001)",
       "22001"},
      {"a range", "ALTER TABLE % ALTER v TYPE int2 USING NULL", "77777777777",
       "column \"v\" (smallint) of target table % can't take the value of record t[0]@4: number "
       "out of range (SQLSTATE 22003)",
       "22003", ValueType::integer},
      {"a domain",
       "CREATE DOMAIN sink_test.lower AS text CONSTRAINT is_lower CHECK (value <> "
       "'SECRET'); ALTER TABLE % ALTER v TYPE sink_test.lower",
       "SECRET",
       "target table % can't take record t[0]@4: violates check constraint \"is_lower\" of domain "
       "sink_test.lower (SQLSTATE 23514)",
       "23514"},
      {"a unique column",
       "ALTER TABLE % ADD CONSTRAINT v_once UNIQUE (v); INSERT INTO % VALUES "
       "(99, 'secret')",
       "secret",
       "target table % can't take record t[0]@4: violates unique constraint \"v_once\" (SQLSTATE "
       "23505)",
       "23505"},
      {"a constraint that is checked at COMMIT",
       "ALTER TABLE % ADD CONSTRAINT v_late UNIQUE (v) DEFERRABLE INITIALLY DEFERRED; INSERT INTO "
       "% VALUES (99, 'secret')",
       "secret",
       "target table % can't take record t[0]@4: violates unique constraint \"v_late\" (SQLSTATE "
       "23505)",
       "23505"},
      {"a trigger",
       "CREATE FUNCTION sink_test.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = "
       "'secret' THEN RAISE 'not %%', NEW.v; END IF; RETURN NEW; END $$; CREATE TRIGGER f BEFORE "
       "INSERT ON % FOR EACH ROW EXECUTE FUNCTION sink_test.f()",
       "secret",
       "target table % can't take record t[0]@4: raised by a trigger or function of the target "
       "(SQLSTATE P0001)",
       "P0001"},
      {"a trigger with a SQLSTATE of another class",
       "CREATE FUNCTION sink_test.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not %%', "
       "NEW.v USING ERRCODE = '42501'; END $$; CREATE TRIGGER f BEFORE INSERT ON % FOR EACH ROW "
       "WHEN (NEW.v = 'secret') EXECUTE FUNCTION sink_test.f()",
       "secret",
       "target table %: the server's words are left out, they may hold values (SQLSTATE 42501)",
       "42501"},
      {"a view", "DROP TABLE %; CREATE VIEW % AS SELECT 1 AS id", "secret",
       "target table % does not exist: create it, " + then_reload, ""},
  }));
  CAPTURE(c.name);
  const auto on_table = [](std::string text) {
    for (auto at = text.find('%'); at != std::string::npos; at = text.find('%', at + 1)) {
      if (text.compare(at, 2, "%%") == 0) {
        text.erase(at, 1);
      } else {
        text.replace(at, 1, "sink_test.named");
      }
    }
    return text;
  };
  Database{Stack::from_environment().target_url}.exec(
      "DROP SCHEMA IF EXISTS sink_test CASCADE");  // the types of other cases
  Fixture f{"named"};
  f.target.exec(on_table("ALTER TABLE % DROP CONSTRAINT named_v_check;" + c.damage));
  const Layout layout{
      {{"id", ValueType::integer, "int32", ""}, {"v", c.type, "as the case says", ""}}};
  Made made{f.relation, std::nullopt, 9};
  made.row_layout = &layout;
  const std::string fine = c.type == ValueType::integer ? "7" : "ok";
  for (int id = 0; id < 9; ++id) {
    if (id == 4) {
      made.upsert(id, c.value);
    } else if (c.name.find("unique") == std::string::npos &&
               c.name.find("COMMIT") == std::string::npos) {
      made.upsert(id, fine);
    } else {
      made.upsert(id, fine + std::to_string(id));
    }
  }
  const auto error = error_of(f.sink->apply(made.batch));
  CHECK(error.kind == Kind::refused);
  CHECK(error.message == on_table(c.want));
  CHECK(error.sqlstate == c.sqlstate);
  CHECK(
      culprit_of(error) ==
      (c.want.find("@4") == std::string::npos ? (error.is_about_table ? "t[0]@0" : "") : "t[0]@4"));
  CHECK(error.message.find(c.value) == std::string::npos);
  CHECK(f.progress() == "none");
}

TEST_CASE("sink: one bad record is found among thousands, of the right partition, in seconds") {
  Fixture f{"found"};
  Made made{f.relation, 100, 5100};
  made.batch.slices.push_back(made.batch.slices[0]);
  made.batch.slices[1].partition.partition = 1;
  for (int id = 0; id < 5000; ++id) made.upsert(id, id == 3217 ? "bad" : "good");
  for (auto& change : made.batch.changes)
    change.partition = static_cast<std::int32_t>(change.offset.value % 2);
  f.target.exec(
      "INSERT INTO lockstep.progress SELECT 'sink_test.found', 't', p, 100, '', now(), "
      "now() FROM generate_series(0, 1) p");
  const auto begin = std::chrono::steady_clock::now();
  const auto error = error_of(f.sink->apply(made.batch));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{6});
  CHECK(culprit_of(error) == "t[1]@3317");
  CHECK_THAT(error.message, ContainsSubstring("can't take record t[1]@3317: "));
  CHECK(f.rows().empty());
  CHECK(f.progress() == "100");
}

TEST_CASE("sink: a search that takes too long names the range, and what came before can go") {
  Fixture f{"slow"};
  f.target.exec(
      "CREATE OR REPLACE FUNCTION sink_test.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM pg_sleep(3); RETURN NEW; END $$;"
      "CREATE TRIGGER slow BEFORE INSERT ON sink_test.slow EXECUTE FUNCTION sink_test.slow()");
  Made made{f.relation, std::nullopt, 8};
  for (int id = 0; id < 8; ++id) made.upsert(id, id == 6 ? "bad" : "good");
  const auto begin = std::chrono::steady_clock::now();
  const auto error = error_of(f.sink->apply(made.batch));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{9});
  CHECK(error.kind == Kind::waits);
  CHECK(culprit_of(error) == "t[0]@4");
  CHECK(error.message ==
        "target table sink_test.slow can't take one of the records t[0]@4..7: "
        "violates check constraint \"slow_v_check\" (SQLSTATE 23514)");
}

TEST_CASE("sink: a schema that changes while the session lives is taken as it is now") {
  struct Case {
    std::string name;
    std::string change;
    std::string rows = "1:ok 2:ok";
  };
  const std::string drop_check = "ALTER TABLE sink_test.altered DROP CONSTRAINT altered_v_check;";
  const auto c = GENERATE_COPY(values<Case>({
      {"a column's type, to an enum",
       drop_check + "CREATE TYPE sink_test.altered_mood AS ENUM ('ok'); ALTER TABLE "
                    "sink_test.altered ALTER v TYPE sink_test.altered_mood USING "
                    "v::sink_test.altered_mood"},
      {"a column's type, to a wider one", "ALTER TABLE sink_test.altered ALTER v TYPE varchar(20)"},
      {"the key's type", "ALTER TABLE sink_test.altered ALTER id TYPE bigint"},
      {"the key's type, to text", "ALTER TABLE sink_test.altered ALTER id TYPE text"},
      {"a column dropped and made anew",
       "ALTER TABLE sink_test.altered DROP v; ALTER TABLE sink_test.altered ADD v varchar(9)",
       "2:ok"},
      {"the table made anew",
       "DROP TABLE sink_test.altered; CREATE TABLE sink_test.altered (v varchar(5), synced_at "
       "timestamptz, id bigint PRIMARY KEY)",
       "2:ok"},
      {"a key that becomes an identity",
       "ALTER TABLE sink_test.altered ALTER id ADD GENERATED ALWAYS AS IDENTITY"},
      {"a column that becomes generated",
       "ALTER TABLE sink_test.altered DROP v; ALTER TABLE sink_test.altered ADD v text GENERATED "
       "ALWAYS AS ('ok') STORED"},
      {"another schema of the same name",
       "ALTER SCHEMA sink_test RENAME TO sink_test_old; CREATE SCHEMA sink_test; CREATE TABLE "
       "sink_test.altered (id int PRIMARY KEY, v text, synced_at timestamptz); DROP SCHEMA "
       "sink_test_old CASCADE",
       "2:ok"},
  }));
  CAPTURE(c.name);
  Database{Stack::from_environment().target_url}.exec("DROP SCHEMA IF EXISTS sink_test CASCADE");
  Fixture f{"altered"};
  REQUIRE(
      f.sink->apply(std::move(Made{f.relation, std::nullopt, 2}.upsert(1, "ok").remove(7)).batch));
  f.target.exec(c.change);
  const auto applied =
      f.sink->apply(std::move(Made{f.relation, 2, 4}.upsert(2, "ok").remove(8)).batch);
  INFO((applied ? "" : applied.error().message));
  CHECK(applied.has_value());
  CHECK(f.rows() == c.rows);
  CHECK(f.progress() == "4");
}

TEST_CASE("sink: an enum that has become a text takes what was no value of it") {
  Fixture f{"freed"};
  f.target.exec(
      "DROP TYPE IF EXISTS sink_test.freed_mood CASCADE; CREATE TYPE sink_test.freed_mood AS ENUM "
      "('ok'); ALTER TABLE sink_test.freed DROP CONSTRAINT freed_v_check, ALTER v TYPE "
      "sink_test.freed_mood USING NULL");
  REQUIRE(f.sink->apply(std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "ok")).batch));
  f.target.exec("ALTER TABLE sink_test.freed ALTER v TYPE text");
  CHECK(f.sink->apply(std::move(Made{f.relation, 1, 2}.upsert(2, "new")).batch).has_value());
  CHECK(f.rows() == "1:ok 2:new");
}

TEST_CASE("sink: a refusal is tried again only if the statement was older than the batch") {
  Fixture f{"counted"};
  f.target.exec(
      "DROP SEQUENCE IF EXISTS sink_test.tries; CREATE SEQUENCE sink_test.tries;"
      "CREATE OR REPLACE FUNCTION sink_test.count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF NEW.v = 'never' THEN PERFORM nextval('sink_test.tries'); RAISE 'no' USING ERRCODE = "
      "'42501'; END IF; RETURN NEW; END $$;"
      "CREATE TRIGGER count BEFORE INSERT ON sink_test.counted FOR EACH ROW EXECUTE FUNCTION "
      "sink_test.count()");
  const auto tries = [&] {  // they stay although the transaction rolls back
    return f.target.text(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM sink_test.tries");
  };
  const Made batch = std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "never"));
  CHECK(kind_of(f.sink->apply(batch.batch)) == Kind::refused);
  CHECK(tries() == "1");
  CHECK(kind_of(f.sink->apply(batch.batch)) == Kind::refused);
  CHECK(tries() == "2");
  REQUIRE(f.sink->apply(std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "a")).batch));
  CHECK(kind_of(f.sink->apply(std::move(Made{f.relation, 1, 2}.upsert(1, "never")).batch)) ==
        Kind::refused);
  CHECK(tries() == "4");
}

TEST_CASE("sink: a table that is locked is busy, soon, and its batch applied later") {
  Fixture f{"locked"};
  REQUIRE(f.sink->apply(std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "a")).batch));
  const Made batch = std::move(Made{f.relation, 1, 2}.upsert(1, "b"));
  f.target.exec("BEGIN; LOCK TABLE sink_test.locked IN ACCESS EXCLUSIVE MODE");
  SECTION("lock_timeout") {
    const auto begin = std::chrono::steady_clock::now();
    const auto error = error_of(f.sink->apply(batch.batch));
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{4});
    CHECK(error.kind == Kind::busy);
    CHECK(error.sqlstate == "55P03");
  }
  SECTION("an administrator who cancels what waits") {
    const std::jthread administrator{[] {
      Database other{Stack::from_environment().target_url};
      for (int i = 0; i < 500; ++i) {
        if (other.number("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE "
                         "wait_event_type = 'Lock' AND application_name = 'lockstep'") > 0) {
          return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
      }
    }};
    const auto error = error_of(f.sink->apply(batch.batch));
    CHECK(error.kind == Kind::busy);
    CHECK(error.sqlstate == "57014");
  }
  f.target.exec("ROLLBACK");
  CHECK(f.progress() == "1");
  CHECK(f.sink->apply(batch.batch).has_value());
  CHECK(f.rows() == "1:b");
}

TEST_CASE("sink: a position table that can't be used is about no one table") {
  Fixture f{"no_progress"};
  Database admin{Stack::from_environment().target_url};
  REQUIRE(f.sink->positions({{"t", 0}}));
  admin.exec("ALTER TABLE lockstep.progress RENAME next_offset TO elsewhere");
  const auto positions = f.sink->positions({{"t", 0}});
  admin.exec("ALTER TABLE lockstep.progress RENAME elsewhere TO next_offset");
  REQUIRE_FALSE(positions.has_value());
  CHECK(positions.error().kind == Kind::unavailable);
  CHECK(positions.error().sqlstate == "42703");
  CHECK(f.sink->positions({{"t", 0}}).has_value());
}
