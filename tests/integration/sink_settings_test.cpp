// What is written does not depend on how the target's database, or the role, is set up.
#include <fstream>

#include "catch.hpp"
#include "database.hpp"
#include "lockstep/postgres/parked.hpp"
#include "lockstep/postgres/sink.hpp"
#include "sink_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using namespace lockstep::test;
using Kind = SinkError::Kind;

namespace {

/// A database of the test's own; gone with this object.
class OwnDatabase {
 public:
  OwnDatabase(const std::string& name, const std::string& options)
      : name_{name}, url_{Stack::from_environment().target_url} {
    Database admin{url_};
    admin.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)");
    admin.exec("CREATE DATABASE " + name + " " + options);
  }
  ~OwnDatabase() {
    try {
      Database{url_}.exec("DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
    } catch (const std::exception&) {  // the next run drops it
    }
  }
  OwnDatabase(const OwnDatabase&) = delete;
  OwnDatabase& operator=(const OwnDatabase&) = delete;

  std::string url() const { return url_.substr(0, url_.rfind('/')) + "/" + name_; }

 private:
  const std::string name_;
  const std::string url_;
};

/// The two blocks of SQL under "Rights on the target" in docs/operation.md, the role (which the
/// stack has) aside, and for table t.
std::vector<std::string> documented_rights() {
  std::ifstream file{std::string{LOCKSTEP_SOURCE_DIR} + "/docs/operation.md"};
  std::vector<std::string> blocks;
  bool in_section = false;
  bool in_block = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) in_section = line == "## Rights on the target";
    const bool is_sql = in_section && line.starts_with("    ");
    if (is_sql && !in_block) blocks.emplace_back();
    in_block = is_sql;
    if (const auto at = line.find("users, orders"); at != std::string::npos) {
      line.replace(at, 13, "t");
    }
    if (is_sql && line.find("CREATE ROLE") == std::string::npos) blocks.back() += line + "\n";
  }
  return blocks;
}

}  // namespace

TEST_CASE("sink: a role with the documented rights, and no more, is enough") {
  const auto rights = documented_rights();
  REQUIRE(rights.size() == 2);
  const auto makes_its_table = GENERATE(true, false);
  const auto schema_change = GENERATE(SchemaChange::pause, SchemaChange::evolve);
  CAPTURE(makes_its_table, schema_change == SchemaChange::evolve);
  const OwnDatabase own{"sink_test_rights", ""};
  Database target{own.url()};
  target.exec("CREATE TABLE t (id int PRIMARY KEY, v text)");
  auto url = own.url();
  url.replace(url.find("postgres:postgres@"), 18, "lockstep:lockstep@");
  const Relation relation{"public", "t"};
  const auto sink = postgres::make_sink(
      {"p", url, "", "", MissingTable::pause, schema_change, {}, {}, /*parks_keys=*/true});

  const auto refused = sink->apply(std::move(Made{relation, std::nullopt, 1}.upsert(1, "a")).batch);
  CHECK(kind_of(refused) == Kind::unavailable);  // of no use for any table
  CHECK(refused.error().message ==
        "permission denied for database sink_test_rights (SQLSTATE 42501); docs/operation.md, "
        "Rights on the target");

  auto sql = rights[0];
  if (!makes_its_table) sql.replace(sql.find("CREATE SCHEMA"), std::string::npos, rights[1]);
  target.exec(sql);
  REQUIRE(sink->apply(std::move(Made{relation, std::nullopt, 1}.upsert(1, "a")).batch));
  REQUIRE(sink->apply(std::move(Made{relation, 1, 2}.upsert(1, "b")).batch));
  REQUIRE(sink->apply(std::move(Made{relation, 2, 3}.truncate()).batch));
  REQUIRE(sink->apply(std::move(Made{relation, 3, 5}.upsert(2, "c").remove(1)).batch));
  CHECK(target.text("SELECT string_agg(id || v, ' ') FROM t") == "2c");
  Made with_letter{relation, 5, 6};
  Letter& letter = with_letter.batch.letters.emplace_back();
  letter.stage = Letter::Stage::apply;
  letter.topic = "t";
  letter.row_key = "id=\"9\"";
  REQUIRE(sink->apply(with_letter.batch));
  Made truncated{relation, 6, 7};
  truncated.batch.unparks = true;
  REQUIRE(sink->apply(truncated.truncate().batch));
  CHECK(target.text("SELECT next_offset FROM lockstep.progress") == "7");
}

TEST_CASE("sink: a table of positions of an older version is upgraded in place, by its owner") {
  const OwnDatabase own{"sink_test_older", ""};
  Database target{own.url()};
  target.exec(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE SCHEMA lockstep;"
      "CREATE TABLE lockstep.progress (pipeline text, topic text, partition integer,"
      " next_offset bigint NOT NULL, source_position text, source_time timestamptz,"
      " updated_at timestamptz NOT NULL, PRIMARY KEY (pipeline, topic, partition));"
      "INSERT INTO lockstep.progress VALUES ('p', 't', 0, 7, '', now(), now());"
      "GRANT USAGE ON SCHEMA public, lockstep TO lockstep;"
      "GRANT SELECT, INSERT, UPDATE, DELETE ON t, lockstep.progress TO lockstep");
  const Relation relation{"public", "t"};
  auto url = own.url();
  url.replace(url.find("postgres:postgres@"), 18, "lockstep:lockstep@");
  const postgres::SinkConfig config{"p", url, "", ""};
  const auto sink = postgres::make_sink(config);

  const auto refused = sink->positions({{"t", 0}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Kind::unavailable);
  const std::string says = refused.error().message;
  CHECK_THAT(says, ContainsSubstring("lockstep.progress is of an older version, and the role may "
                                     "not alter it: have its owner run ALTER TABLE "));
  const auto checked = postgres::check_target(config, {});
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message == says);
  CHECK_FALSE(postgres::ParkedRows{config}.list());

  SECTION("who runs what the message says") {
    target.exec(says.substr(says.find("ALTER")));
  }
  SECTION("a role that owns it") {
    target.exec("ALTER TABLE lockstep.progress OWNER TO lockstep");
    CHECK(postgres::check_target(config, {}));
  }
  CHECK(*sink->positions({{"t", 0}}) == SinkPositions{{{"t", 0}, {{7}}}});
  Made made{relation, 7, 8};
  made.batch.slices[0].relation = &relation;
  REQUIRE(sink->apply(made.upsert(1, "a").batch));
  CHECK(*sink->positions({{"t", 0}}) ==
        SinkPositions{{{"t", 0}, {{8}, SourceTables{relation, false}}}});
}

TEST_CASE("sink: a database in LATIN1 gets the characters that it has, and no others") {
  const OwnDatabase own{"sink_test_latin1",
                        "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"};
  Database target{own.url()};
  target.exec("CREATE TABLE t (id int PRIMARY KEY, v text)");
  const Relation relation{"public", "t"};
  const auto sink = postgres::make_sink({"p", own.url(), "", ""});

  REQUIRE(sink->apply(std::move(Made{relation, std::nullopt, 1}.upsert(1, "café")).batch));
  CHECK(target.text("SELECT length(v) || ' ' || ascii(right(v, 1)) FROM t") == "4 233");
  for (const auto* lacking : {"€", "漢"}) {
    const auto applied =
        sink->apply(std::move(Made{relation, 1, 4}.upsert(2, "b").upsert(3, lacking)).batch);
    CHECK(kind_of(applied) == Kind::refused);
    CHECK(applied.error().sqlstate == "22P05");
    CHECK(applied.error().message ==
          "column \"v\" (text) of target table public.t can't take the value of record t[0]@2: a "
          "character that the encoding of the target's database lacks (SQLSTATE 22P05)");
  }
  REQUIRE(sink->apply(std::move(Made{relation, 1, 2}.upsert(2, "b")).batch));
  CHECK(target.text("SELECT count(*) FROM t") == "2");
}

TEST_CASE("sink: settings of the database and the role change nothing of what is written") {
  const OwnDatabase own{"sink_test_settings", "TEMPLATE template0"};
  {
    Database admin{own.url()};
    admin.exec(
        "CREATE TABLE public.t (id varchar PRIMARY KEY, d date, ts timestamp, tz timestamptz, "
        "i interval, b bytea, n bigint, x xml, synced_at timestamptz);"
        "CREATE SCHEMA shadow;"
        "CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT "
        "timestamptz '2000-01-01' $$;"
        "CREATE FUNCTION shadow.never(varchar, varchar) RETURNS bool LANGUAGE sql AS 'SELECT "
        "false';"
        "CREATE OPERATOR shadow.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = "
        "shadow.never);"
        "CREATE FUNCTION shadow.never(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';"
        "CREATE OPERATOR shadow.= (LEFTARG = text, RIGHTARG = text, FUNCTION = shadow.never);"
        "CREATE FUNCTION shadow.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$ SELECT "
        "'shadow'::pg_catalog.text $$;"
        "CREATE DOMAIN shadow.text AS varchar CHECK (false);"
        "CREATE DOMAIN shadow.int8 AS varchar CHECK (false)");
    for (const auto* setting :
         {"datestyle = 'SQL, DMY'", "timezone = 'America/New_York'", "client_encoding = 'LATIN1'",
          "standard_conforming_strings = off", "bytea_output = 'escape'", "xmloption = document",
          "intervalstyle = 'sql_standard'", "default_transaction_isolation = 'serializable'",
          "search_path = shadow, pg_catalog, public"}) {
      admin.exec("ALTER DATABASE sink_test_settings SET " + std::string{setting});
    }
  }
  const Layout key{{{"id", ValueType::text, "string", ""}}};
  const Layout row{{{"id", ValueType::text, "string", ""},
                    {"d", ValueType::date, "", ""},
                    {"ts", ValueType::timestamp, "", ""},
                    {"tz", ValueType::timestamptz, "", ""},
                    {"i", ValueType::interval, "", ""},
                    {"b", ValueType::bytes, "", ""},
                    {"n", ValueType::integer, "", ""},
                    {"x", ValueType::text, "", ""}}};
  const Relation relation{"public", "t"};
  const auto batch_of = [&](std::optional<std::int64_t> expected, std::int64_t next, Op op,
                            std::string_view id) {
    Batch batch;
    Slice slice;
    slice.partition = {"t", 0};
    if (expected) slice.expected = NextOffset{*expected};
    slice.next = {next};
    batch.slices.push_back(slice);
    const Cell cells[] = {Cell{id},
                          Cell{"2024-02-03"},
                          Cell{"2024-02-03 04:05:06"},
                          Cell{"0044-03-15 12:00:00+00 BC"},
                          Cell{"-1 years 3 days"},
                          Cell{"\\x41\\"},
                          Cell{"42"},
                          Cell{"a <b/> c\\"}};
    Change change;
    change.op = op;
    change.relation = &relation;
    change.key_layout = &key;
    change.key = batch.arena.copy(std::span<const Cell>{cells, 1});
    change.key_bytes = id;
    change.row_layout = &row;
    change.row = batch.arena.copy(std::span<const Cell>{cells});
    batch.changes.push_back(change);
    return batch;
  };
  const auto sink = postgres::make_sink({"p", own.url(), "", "synced_at"});
  const auto applied = sink->apply(batch_of(std::nullopt, 1, Op::create, "é"));
  INFO((applied ? "" : applied.error().message));
  REQUIRE(applied.has_value());

  Database target{own.url()};
  target.exec(
      "SET search_path = public; SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET "
      "intervalstyle = 'postgres'; SET client_encoding = 'UTF8'; SET bytea_output = 'hex'");
  CHECK(target.exec("SELECT id, d, ts, tz, i, b, n, x, synced_at > '2001-01-01' FROM t") ==
        Rows{{"é", "2024-02-03", "2024-02-03 04:05:06", "0044-03-15 12:00:00+00 BC",
              "-1 years +3 days", "\\x5c7834315c", "42", "a <b/> c\\", "t"}});
  REQUIRE(sink->apply(batch_of(1, 2, Op::remove, "é")));
  CHECK(target.text("SELECT count(*) FROM t") == "0");
}
