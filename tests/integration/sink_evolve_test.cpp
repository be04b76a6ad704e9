// Tables that the sink makes and alters, in the transaction of the rows that need it.
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "database.hpp"
#include "lockstep/postgres/sink.hpp"
#include "sink_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using namespace lockstep::test;
using Kind = SinkError::Kind;

namespace {

Column column(const std::string& name, const std::string& declared, ValueType type,
              bool optional = true) {
  Column made{name, type, "described", declared};
  made.declared = declared;
  made.optional = optional;
  return made;
}

const Column id_column = column("id", "INT4", ValueType::integer, false);
const Column v_column = column("v", "TEXT", ValueType::text);

/// A pipeline and a schema of the test's own, and a sink that makes and alters.
struct Evolving {
  explicit Evolving(const std::string& name)
      : config{.pipeline = unique(name),
               .url = Stack::from_environment().target_url,
               .schema = "",
               .synced_at = "synced_at",
               .missing_table = MissingTable::create,
               .schema_change = SchemaChange::evolve},
        relation{config.pipeline, "t"},
        table{config.pipeline + ".t"},
        sink{postgres::make_sink(config)} {}

  std::string rows() {
    return target.text(
        "SELECT coalesce(string_agg(to_jsonb(t) - 'synced_at' #>> '{}', ' ' ORDER BY "
        "id), '') FROM " +
        table + " t");
  }
  std::string types() {
    return target.text(
        "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || "
        "CASE WHEN attnotnull THEN '!' ELSE '' END, ', ' ORDER BY attnum) FROM "
        "pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attrelid = '" +
        table + "'::regclass");
  }
  bool exists() { return target.text("SELECT to_regclass('" + table + "') IS NOT NULL") == "t"; }

  Database target{Stack::from_environment().target_url};
  postgres::SinkConfig config;
  const Relation relation;
  const std::string table;
  std::unique_ptr<Sink> sink;
};

/// The next batch of a partition of a topic of one table.
class Next {
 public:
  explicit Next(const Evolving& evolving) : relation_{evolving.relation} {}

  Next& row(const Layout& layout, int id, const std::vector<std::string>& others) {
    Change& change = add(Op::create, id);
    std::vector<Cell> cells{change.key[0]};
    for (const auto& other : others) {
      cells.push_back(other == "NULL" ? Cell{} : Cell{batch_.arena.copy(other)});
    }
    change.row_layout = &layout;
    change.row = batch_.arena.copy(std::span<const Cell>{cells});
    return *this;
  }
  Next& remove(int id) {
    add(Op::remove, id);
    return *this;
  }
  Next& truncate() {
    Change& change = add(Op::truncate, 0);
    change.key = {};
    change.key_layout = nullptr;
    return *this;
  }
  Result<Done, SinkError> apply(Sink& sink) {
    Slice slice;
    slice.partition = {"t", 0};
    if (next_ > 0) slice.expected = NextOffset{next_};
    slice.next = {next_ + static_cast<std::int64_t>(batch_.changes.size())};
    batch_.slices = {slice};
    auto applied = sink.apply(batch_);
    if (applied) {
      next_ = slice.next.value;
      batch_ = {};
    }
    return applied;
  }

 private:
  Change& add(Op op, int id) {
    const Cell key[] = {Cell{batch_.arena.copy(std::to_string(id))}};
    Change change;
    change.op = op;
    change.relation = &relation_;
    change.offset = {next_ + static_cast<std::int64_t>(batch_.changes.size())};
    change.key_layout = &id_key;
    change.key = batch_.arena.copy(std::span<const Cell>{key});
    change.key_bytes = change.key[0].view();
    batch_.changes.push_back(change);
    return batch_.changes.back();
  }

  Batch batch_;
  std::int64_t next_ = 0;
  const Relation& relation_;
};

}  // namespace

TEST_CASE("sink: a missing table and its schema are made with its first row") {
  Evolving evolving{"evolve_made"};
  Next next{evolving};
  const Layout layout{{id_column, column("n", "NUMERIC", ValueType::numeric, false), v_column}};
  REQUIRE(next.remove(1).truncate().remove(2).apply(*evolving.sink));
  CHECK_FALSE(evolving.exists());  // nothing is there that could be removed
  REQUIRE(next.remove(1)
              .row(layout, 1, {"1.5", "a"})
              .row(layout, 2, {"2", "NULL"})
              .apply(*evolving.sink));
  CHECK(evolving.types() == "id integer!, n numeric!, v text, synced_at timestamp with time zone");
  REQUIRE(next.remove(1).apply(*evolving.sink));
  CHECK(evolving.rows() == R"({"n": 2, "v": null, "id": 2})");
}

TEST_CASE("sink: a connection that is lost in front of a new table's first row is had anew") {
  Evolving evolving{"evolve_lost"};
  const Layout layout{{id_column, v_column}};
  REQUIRE(evolving.sink->positions({{"t", 0}}));
  evolving.target.exec(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep'");
  Next next{evolving};
  CHECK(kind_of(next.row(layout, 1, {"a"}).apply(*evolving.sink)) == Kind::unavailable);
  REQUIRE(next.apply(*evolving.sink));
  CHECK(evolving.rows() == R"({"v": "a", "id": 1})");
}

TEST_CASE("sink: a table that is made by many at once is made once") {
  Evolving evolving{"evolve_many"};
  const Layout layout{{id_column, v_column}};
  std::vector<std::future<bool>> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(std::async(std::launch::async, [&evolving, &layout, i] {
      auto config = evolving.config;
      config.pipeline += "_" + std::to_string(i);  // a position of its own
      const auto sink = postgres::make_sink(config);
      return Next{evolving}.row(layout, i, {"x"}).apply(*sink).has_value();
    }));
  }
  for (auto& one : all) CHECK(one.get());
  CHECK(evolving.target.number("SELECT count(*) FROM " + evolving.table) == 6);
}

TEST_CASE("sink: rows before and after a change of columns in one batch, each on its own columns") {
  Evolving evolving{"evolve_one_batch"};
  Next next{evolving};
  const Column last = column("last", "TEXT", ValueType::text);
  Column more = column("more", "INT4", ValueType::integer, false);
  more.default_value = "7";
  const Layout before{{id_column, v_column, last}};
  const Layout renamed{{id_column, column("w", "TEXT", ValueType::text), last}};
  const Layout added{{id_column, column("w", "TEXT", ValueType::text), last, more}};
  REQUIRE(next.row(before, 1, {"a", "x"}).row(before, 2, {"b", "x"}).apply(*evolving.sink));
  const auto applied = next.row(renamed, 1, {"a2", "x"})
                           .row(before, 3, {"c", "x"})
                           .row(renamed, 4, {"d", "x"})
                           .remove(2)
                           .row(added, 5, {"e", "x", "8"})
                           .row(renamed, 6, {"f", "x"})
                           .apply(*evolving.sink);
  INFO((applied ? "" : applied.error().message));
  REQUIRE(applied);
  CHECK(evolving.types() ==
        "id integer!, w text, last text, synced_at timestamp with time zone, "
        "more integer!");
  CHECK(evolving.target.text("SELECT string_agg(id || w || more, ' ' ORDER BY id) FROM " +
                             evolving.table) == "1a27 3c7 4d7 5e8 6f7");
}

TEST_CASE("sink: a name that may be a renamed column or another one is the operator's to decide") {
  Evolving evolving{"evolve_unclear"};
  Next next{evolving};
  const Layout before{{id_column, v_column}};
  const Layout after{{id_column, column("w", "TEXT", ValueType::text)}};
  const auto choice = GENERATE(0, 1, 2);
  REQUIRE(next.row(before, 1, {"a"}).apply(*evolving.sink));
  const auto refused = next.row(after, 2, {"b"}).apply(*evolving.sink);
  CHECK(kind_of(refused) == Kind::refused);
  const std::string alter = "ALTER TABLE \"" + evolving.config.pipeline + "\".\"t\" ";
  CHECK_THAT(refused.error().message,
             ContainsSubstring("Run " + alter + "RENAME COLUMN \"v\" TO \"w\", or " + alter +
                               "ADD COLUMN \"w\" text"));
  CHECK(evolving.rows() == R"({"v": "a", "id": 1})");
  if (choice == 0) {
    evolving.target.exec(alter + "RENAME COLUMN v TO w");
    REQUIRE(next.apply(*evolving.sink));
    CHECK(evolving.rows() == R"({"w": "a", "id": 1} {"w": "b", "id": 2})");
  } else if (choice == 1) {
    evolving.target.exec(alter + "ADD COLUMN w text");
    REQUIRE(next.apply(*evolving.sink));
    CHECK(evolving.rows() == R"({"v": "a", "w": null, "id": 1} {"v": null, "w": "b", "id": 2})");
  } else {
    // With a row between the two changes there is nothing to decide, for another sink either.
    Next other{evolving};
    evolving.target.exec("DELETE FROM lockstep.progress WHERE pipeline = '" +
                         evolving.config.pipeline + "'");
    const Layout between{{id_column}};
    REQUIRE(other.row(between, 3, {}).apply(*evolving.sink));
    REQUIRE(other.row(after, 4, {"d"}).apply(*postgres::make_sink(evolving.config)));
    CHECK(evolving.target.text("SELECT w FROM " + evolving.table + " WHERE id = 4") == "d");
  }
}

TEST_CASE("sink: what is altered stays as it was if the rows are refused") {
  Evolving evolving{"evolve_refused"};
  Next next{evolving};
  const Layout before{{id_column, v_column}};
  const Layout after{{id_column, v_column, column("n", "VARCHAR", ValueType::text)}};
  REQUIRE(next.row(before, 1, {"a"}).apply(*evolving.sink));
  evolving.target.exec("ALTER TABLE " + evolving.table + " ADD CHECK (v <> 'bad')");
  const auto refused = next.row(after, 2, {"b", "x"})
                           .row(after, 3, {"bad", "y"})
                           .row(after, 4, {"c", "z"})
                           .apply(*evolving.sink);
  CHECK(kind_of(refused) == Kind::refused);
  CHECK_THAT(refused.error().message,
             ContainsSubstring("t[0]@2"));  // found in spite of the new column
  CHECK(evolving.types() == "id integer!, v text, synced_at timestamp with time zone");
  evolving.target.exec("ALTER TABLE " + evolving.table + " DROP CONSTRAINT t_v_check");
  REQUIRE(next.apply(*evolving.sink));
  CHECK(evolving.types() ==
        "id integer!, v text, synced_at timestamp with time zone, n character varying");
}

TEST_CASE("sink: a table that is locked waits, and is altered when it is not") {
  Evolving evolving{"evolve_locked"};
  Next next{evolving};
  const Layout before{{id_column, v_column}};
  const Layout after{{id_column, v_column, column("n", "INT4", ValueType::integer)}};
  REQUIRE(next.row(before, 1, {"a"}).apply(*evolving.sink));
  Database other{Stack::from_environment().target_url};
  other.exec("BEGIN");
  other.exec("SELECT FROM " + evolving.table);
  next.row(after, 2, {"b", "3"});
  CHECK(kind_of(next.apply(*evolving.sink)) == Kind::busy);
  other.exec("COMMIT");
  REQUIRE(next.apply(*evolving.sink));
  CHECK(evolving.rows() == R"({"n": null, "v": "a", "id": 1} {"n": 3, "v": "b", "id": 2})");
}

TEST_CASE("sink: an owner that was overtaken alters nothing") {
  Evolving evolving{"evolve_overtaken"};
  Next next{evolving};
  Next stale{evolving};
  const Layout before{{id_column, v_column}};
  const Layout after{{id_column, v_column, column("n", "INT4", ValueType::integer)}};
  REQUIRE(next.row(before, 1, {"a"}).row(before, 2, {"b"}).apply(*evolving.sink));
  CHECK(kind_of(stale.row(after, 3, {"c", "1"}).apply(*evolving.sink)) == Kind::moved);
  CHECK(evolving.types() == "id integer!, v text, synced_at timestamp with time zone");
}

TEST_CASE("sink: without the right to, the statement to run is told") {
  Evolving evolving{"evolve_rights"};
  const std::string role = evolving.config.pipeline;
  evolving.target.exec("CREATE ROLE " + role + " LOGIN PASSWORD 'r'; CREATE SCHEMA " + role +
                       "; GRANT USAGE ON SCHEMA " + role + ", lockstep TO " + role +
                       "; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lockstep TO " +
                       role);
  auto config = evolving.config;
  config.url.replace(config.url.find("postgres:postgres@"), 18, role + ":r@");
  const auto sink = postgres::make_sink(config);
  Next next{evolving};
  const Layout before{{id_column, v_column}};
  const Layout after{{id_column, v_column, column("n", "INT4", ValueType::integer)}};

  const auto not_made = next.row(before, 1, {"a"}).apply(*sink);
  CHECK(kind_of(not_made) == Kind::refused);
  CHECK_THAT(not_made.error().message,
             ContainsSubstring("permission denied for schema") &&
                 ContainsSubstring(": CREATE TABLE \"" + role + "\".\"t\" (\"id\" int4 NOT NULL"));
  REQUIRE(next.apply(*evolving.sink));
  evolving.target.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON " + evolving.table + " TO " + role);
  const auto not_altered = next.row(after, 2, {"b", "1"}).apply(*sink);
  CHECK(kind_of(not_altered) == Kind::refused);
  CHECK_THAT(not_altered.error().message,
             ContainsSubstring("must be owner of table t") &&
                 ContainsSubstring(": ALTER TABLE \"" + role + "\".\"t\" ADD COLUMN \"n\" int4"));
  evolving.target.exec("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("sink: an enum gets the labels that the source's has, if it is of its name") {
  Evolving evolving{"evolve_enum"};
  const std::string schema = evolving.config.pipeline;
  evolving.target.exec("CREATE SCHEMA " + schema + "; CREATE TYPE " + schema +
                       ".mood AS ENUM ('sad'); CREATE TYPE " + schema + ".other AS ENUM ('sad')");
  const auto enum_column = [](const std::string& name, const std::string& declared) {
    Column made = column(name, declared, ValueType::text);
    made.described = "io.debezium.data.Enum (string)";
    return made;
  };
  const Layout layout{{id_column, enum_column("m", "MOOD"), enum_column("n", "OTHER")}};
  const auto labels = [&] {
    return evolving.target.text(
        "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM "
        "pg_enum WHERE enumtypid = '" +
        schema + ".mood'::regtype");
  };
  Next next{evolving};
  REQUIRE(next.row(layout, 1, {"sad", "sad"}).apply(*evolving.sink));
  auto others = evolving.config;
  others.schema_change = SchemaChange::pause;
  const auto pausing = postgres::make_sink(others);
  next.row(layout, 2, {"sad", "sad"}).row(layout, 3, {"ok", "NULL"}).row(layout, 4, {"so", "NULL"});
  const auto refused = next.apply(*pausing);
  CHECK(kind_of(refused) == Kind::refused);
  CHECK_THAT(refused.error().message,
             ContainsSubstring("column \"m\": enum type " + schema +
                               ".mood lacks a label of the source's: ALTER TYPE " + schema +
                               ".mood ADD VALUE 'ok', with BEFORE or AFTER"));
  REQUIRE(refused.error().culprit);
  CHECK(refused.error().culprit->offset == RecordOffset{2});
  CHECK(labels() == "sad");
  REQUIRE(next.apply(*evolving.sink));
  CHECK(labels() == "sad ok so");
  CHECK(evolving.target.text("SELECT string_agg(m::text, ' ' ORDER BY id) FROM " +
                             evolving.table) == "sad sad ok so");

  // A type of another name is not the source's.
  evolving.target.exec("ALTER TYPE " + schema + ".other RENAME TO of_mine");
  const auto of_mine = next.row(layout, 5, {"ok", "new"}).apply(*evolving.sink);
  CHECK(kind_of(of_mine) == Kind::refused);
  CHECK_THAT(of_mine.error().message,
             ContainsSubstring("ALTER TYPE " + schema + ".of_mine ADD VALUE 'new'"));
  evolving.target.exec("ALTER TYPE " + schema + ".of_mine ADD VALUE 'new'");
  REQUIRE(next.apply(*evolving.sink));

  const std::string role = schema;
  evolving.target.exec("CREATE ROLE " + role + " LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA " +
                       schema + ", lockstep TO " + role +
                       "; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lockstep, " +
                       schema + " TO " + role);
  others = evolving.config;
  others.url.replace(others.url.find("postgres:postgres@"), 18, role + ":r@");
  const auto not_owner = next.row(layout, 6, {"newest", "sad"}).apply(*postgres::make_sink(others));
  CHECK(kind_of(not_owner) == Kind::refused);
  CHECK_THAT(not_owner.error().message,
             ContainsSubstring("ADD VALUE 'newest'") && ContainsSubstring("must be owner of type"));
  evolving.target.exec("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("sink: columns that the target lacks are not written where they are to be ignored") {
  Evolving evolving{"evolve_ignore"};
  Next next{evolving};
  const Layout before{{id_column, v_column}};
  REQUIRE(next.row(before, 1, {"a"}).apply(*evolving.sink));
  auto config = evolving.config;
  config.schema_change = SchemaChange::ignore;
  const auto sink = postgres::make_sink(config);
  const Layout after{{id_column, column("n", "INT4", ValueType::integer), v_column}};
  REQUIRE(next.row(after, 2, {"5", "b"}).apply(*sink));
  CHECK(evolving.rows() == R"({"v": "a", "id": 1} {"v": "b", "id": 2})");
  config.schema_change = SchemaChange::pause;
  const auto refused = next.row(after, 3, {"5", "c"}).apply(*postgres::make_sink(config));
  CHECK(kind_of(refused) == Kind::refused);
  CHECK_THAT(refused.error().message,
             ContainsSubstring("has no column \"n\" (described at the source)"));
}

TEST_CASE("sink: the second source of a table is refused, whichever connection it comes by") {
  Evolving evolving{"evolve_owner"};
  evolving.config.tables = {{"*.t*", evolving.config.pipeline + ".one", {}, {{"v", "w"}}}};
  const auto sinks = postgres::make_sinks(evolving.config, 2);
  const Layout layout{{id_column, v_column}};
  Next next{evolving};
  REQUIRE(next.row(layout, 1, {"a"}).apply(*sinks[0]));
  const Relation leaf{evolving.relation.schema, "t_2024"};
  Made second{leaf, 1, 2};
  second.row_layout = &layout;
  const auto refused = sinks[1]->apply(second.upsert(1, "overwritten").batch);
  CHECK(kind_of(refused) == Kind::refused);
  CHECK_THAT(refused.error().message,
             ContainsSubstring(".one takes the rows of source table " + evolving.table +
                               ", and those of " + to_string(leaf) + " would overwrite them") &&
                 ContainsSubstring("publish_via_partition_root"));
  REQUIRE(next.row(layout, 2, {"b"}).apply(*sinks[1]));
  CHECK(evolving.target.text("SELECT string_agg(w, '' ORDER BY id) FROM " +
                             evolving.config.pipeline + ".one") == "ab");
}
