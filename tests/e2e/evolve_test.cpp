// Tables that the target does not have, tables that change while they are written, and tables with
// other names.
#include <algorithm>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "load.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// Column and type, and whether it may be NULL, as psql's \d shows them.
std::vector<std::string> columns_of(Database& database, const std::string& table) {
  std::vector<std::string> columns;
  for (const auto& row :
       database.exec("SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || "
                     "CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END FROM pg_attribute a "
                     "WHERE a.attrelid = '" +
                     table +
                     "'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> "
                     "'synced_at' ORDER BY a.attnum")) {
    columns.push_back(*row[0]);
  }
  return columns;
}

/// "a", "b"
std::string columns_in_sql(Database& database, const std::string& table) {
  return database.text(
      "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE "
      "attrelid = '" +
      table + "'::regclass AND attnum > 0 AND NOT attisdropped");
}

/// Writes to a table in small transactions, whatever columns it has by then.
Again writes_to(const std::string& table) {
  return Again{[table, next = 1000](Database& database) mutable {
    const std::string id = std::to_string(next++);
    database.exec("INSERT INTO " + table + " (id, stable) VALUES (" + id + ", 'new')");
    database.exec("UPDATE " + table + " SET stable = stable || '+' WHERE id % 10 = " + id +
                  " % 10");
    if (next % 5 == 0) database.exec("DELETE FROM " + table + " WHERE id = " + id);
  }};
}

}  // namespace

TEST_CASE("tables are made like the source's, type by type") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  const std::string table = "made" + run;
  const std::string keys = "made_keys" + run;
  const std::string arrays = "made_arrays" + run;
  for (Database* database : {&source, &target}) {
    database->exec("CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS ltree");
    database->exec("CREATE TYPE \"Mood" + run +
                   "\" AS ENUM ('sad', 'happy');"
                   "CREATE DOMAIN posint" +
                   run +
                   " AS integer CHECK (VALUE > 0);"
                   "CREATE SCHEMA \"Other" +
                   run + "\"; CREATE TYPE \"Other" + run + "\".pair" + run +
                   " AS (a text, b integer)");
  }
  source.exec("CREATE TYPE only_here" + run + " AS ENUM ('x'); CREATE DOMAIN number_here" + run +
              " AS numeric(10,2); CREATE TYPE row_here" + run + " AS (a text, b integer)");
  const std::vector<std::string> types{"bool",
                                       "int2",
                                       "int4",
                                       "int8",
                                       "serial",
                                       "bigserial",
                                       "smallserial",
                                       "int4 GENERATED ALWAYS AS IDENTITY",
                                       "float4",
                                       "float8",
                                       "numeric",
                                       "numeric(10,2)",
                                       "numeric(5)",
                                       "numeric(3,-2)",
                                       "numeric(3,5)",
                                       "money",
                                       "char",
                                       "char(5)",
                                       "bpchar",
                                       "varchar",
                                       "varchar(20)",
                                       "text",
                                       "name",
                                       "\"char\"",
                                       "bytea",
                                       "bit",
                                       "bit(5)",
                                       "date",
                                       "time",
                                       "time(0)",
                                       "time(3)",
                                       "timetz",
                                       "timetz(2)",
                                       "timestamp",
                                       "timestamp(0)",
                                       "timestamp(3)",
                                       "timestamptz",
                                       "timestamptz(3)",
                                       "interval",
                                       "interval(0)",
                                       "uuid",
                                       "json",
                                       "jsonb",
                                       "xml",
                                       "inet",
                                       "cidr",
                                       "macaddr",
                                       "macaddr8",
                                       "point",
                                       "box",
                                       "line",
                                       "lseg",
                                       "path",
                                       "polygon",
                                       "circle",
                                       "int4range",
                                       "int8range",
                                       "numrange",
                                       "tsrange",
                                       "tstzrange",
                                       "daterange",
                                       "int4multirange",
                                       "oid",
                                       "pg_lsn",
                                       "xid8",
                                       "jsonpath",
                                       "tsvector",
                                       "citext",
                                       "ltree",
                                       "\"Mood" + run + "\"",
                                       "posint" + run,
                                       "\"Other" + run + "\".pair" + run,
                                       "interval year to month",
                                       "regtype",
                                       "only_here" + run,
                                       "number_here" + run,
                                       "row_here" + run};
  std::string definitions;
  for (std::size_t i = 0; i < types.size(); ++i) {
    definitions += ", c" + std::to_string(i) + " " + types[i];
  }
  std::string array_definitions;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i].ends_with("serial") || types[i].ends_with("IDENTITY")) continue;
    array_definitions += ", c" + std::to_string(i) + " " + types[i] + "[]";
  }
  source.exec("CREATE TABLE " + table + " (id bigint PRIMARY KEY, needed text NOT NULL" +
              definitions + ")");
  source.exec("CREATE TABLE " + arrays + " (id bigint PRIMARY KEY" + array_definitions + ")");
  source.exec("INSERT INTO " + arrays + " VALUES (1)");
  source.exec("CREATE TABLE " + keys + " (v text, b int, a varchar(9), PRIMARY KEY (a, b))");
  source.exec("INSERT INTO " + table + " (id, needed) VALUES (1, 'x')");
  source.exec("INSERT INTO " + keys + " VALUES ('v', 2, 'one')");
  const Connector connector{"made" + run, {table, keys, arrays}};
  Daemon daemon{
      table, DaemonConfig{
                 table, {connector.topic(table), connector.topic(keys), connector.topic(arrays)}}};
  await_equal(source, target, table);
  await_equal(source, target, keys);

  std::vector<std::string> other;
  const auto want = columns_of(source, table);
  const auto have = columns_of(target, table);
  REQUIRE(have.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (have[i] != want[i]) other.push_back(want[i] + " -> " + have[i]);
  }
  const auto c = [&](const std::string& type) {
    const auto at = std::find(types.begin(), types.end(), type) - types.begin();
    return "c" + std::to_string(at) + " ";
  };
  // The precision is not told apart from the fields; a type that is not there is one that fits.
  CHECK(other ==
        std::vector<std::string>{
            c("interval year to month") + "interval year to month -> " +
                c("interval year to month") + "interval",
            c("regtype") + "regtype -> " + c("regtype") + "text",
            c("only_here" + run) + "only_here" + run + " -> " + c("only_here" + run) + "text",
            c("number_here" + run) + "number_here" + run + " -> " + c("number_here" + run) + "text",
            c("row_here" + run) + "row_here" + run + " -> " + c("row_here" + run) + "text"});
  CHECK(columns_of(target, keys) == columns_of(source, keys));

  eventually(seconds{30}, "the arrays",
             [&] { return target.number("SELECT count(*) FROM " + arrays) == 1; });
  std::vector<std::string> other_arrays;
  const auto made = columns_of(target, arrays);
  for (const auto& want_array : columns_of(source, arrays)) {
    const auto has_name = [&](const std::string& column) {
      return column.starts_with(want_array.substr(0, want_array.find(' ') + 1));
    };
    const auto have_array = std::find_if(made.begin(), made.end(), has_name);
    if (have_array != made.end() && *have_array == want_array) continue;
    other_arrays.push_back(want_array + " -> " + (have_array == made.end() ? "" : *have_array));
  }
  // Debezium sends some arrays never, and those of bits as NULL (debezium-config/README.md).
  const auto array = [&](const std::string& type, const std::string& name,
                         const std::string& becomes) {
    return c(type) + name + "[] -> " + (becomes.empty() ? "" : c(type) + becomes);
  };
  CHECK(other_arrays ==
        std::vector<std::string>{array("money", "money", ""), array("name", "name", ""),
                                 array("bit", "bit(1)", "text"), array("bit(5)", "bit(5)", "text"),
                                 array("interval", "interval", ""),
                                 array("interval(0)", "interval(0)", ""), array("xml", "xml", ""),
                                 array("point", "point", ""),
                                 array("interval year to month", "interval year to month", ""),
                                 array("regtype", "regtype", "text[]"),
                                 array("only_here" + run, "only_here" + run, "text[]"),
                                 array("number_here" + run, "number_here" + run, "text[]"),
                                 array("row_here" + run, "row_here" + run, "text[]")});
  CHECK(target.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND "
                    "conrelid = '" +
                    keys + "'::regclass") == "PRIMARY KEY (a, b)");
  CHECK(target.text("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = "
                    "'synced_at' AND attrelid = '" +
                    keys + "'::regclass") == "timestamp with time zone");
  CHECK(daemon.count_in_log("statement: CREATE TABLE ") == 3);

  source.exec("UPDATE " + table + " SET c" + std::to_string(types.size() - 1) +
              " = '(\"a, b\",1)', c" + std::to_string(types.size() - 3) + " = 'x', c" +
              std::to_string(types.size() - 2) + " = 1.50");
  await_equal(source, target, table);
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a table that changes under load loses nothing, and its old rows are as the source's") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string table = unique("evolving");
  source.exec("CREATE TABLE " + table +
              " (id int PRIMARY KEY, stable text NOT NULL, first text, count int, short varchar(5),"
              " amount numeric(6,2), unused text, last int)");
  source.exec("INSERT INTO " + table +
              " SELECT i, 'old', 'first ' || i, i, 'short', i / 4.0, 'x', i FROM "
              "generate_series(1, 500) i");
  const Connector connector{unique("evolving"), {table}};
  DaemonConfig config{table, {connector.topic(table)}};
  config.max_events = 50;  // many batches, so that changes come in the middle of them and between
  Daemon daemon{table, config};
  Again writes = writes_to(table);
  const auto change = [&](const std::string& alter, const std::string& update) {
    source.exec("ALTER TABLE " + table + " " + alter);
    writes.await_more();
    source.exec("UPDATE " + table + " SET " + update + " WHERE id % 7 = 0");
    writes.await_more();
  };
  writes.await_more();
  change("ADD COLUMN maybe int", "maybe = id");
  change("ADD COLUMN seven int NOT NULL DEFAULT 7", "seven = id");
  change("ADD COLUMN word text NOT NULL DEFAULT 'a word'", "word = 'another'");
  change("DROP COLUMN unused", "maybe = maybe + 1");
  change("RENAME COLUMN first TO begin", "begin = 'renamed ' || id");
  change("ALTER COLUMN count TYPE bigint", "count = 5000000000 + id");
  change("ALTER COLUMN short TYPE varchar(40)", "short = repeat('long', 10)");
  change("ALTER COLUMN amount TYPE numeric(12,4)", "amount = 12345678.1234");
  change("ALTER COLUMN short TYPE text", "short = repeat('longer', 100)");
  daemon.kill();  // the next change is found by a daemon that has seen no row before it
  change("ALTER COLUMN stable DROP NOT NULL, ADD COLUMN later numeric(5,1) NOT NULL DEFAULT 1.5",
         "stable = NULL");
  daemon.start();
  change("RENAME COLUMN last TO final", "final = -1");
  writes.end();
  await_equal(source, target, table);

  const auto have = columns_of(target, table);
  for (const auto& column : columns_of(source, table)) {
    CAPTURE(column);
    CHECK(std::find(have.begin(), have.end(), column) != have.end());
  }
  CHECK(std::find(have.begin(), have.end(), "unused text") != have.end());  // nothing is dropped
  CHECK(target.number("SELECT count(*) FROM " + table + " WHERE unused = 'x'") == 500);
  for (const auto& line : daemon.lines_with("table stopped")) UNSCOPED_INFO(line);
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.count_in_log(" RENAME COLUMN ") == 2);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("tables and columns arrive under the names of the rules") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  const std::string one = "mapped" + run;
  const std::string leaf = "mapped_leaf" + run;
  const std::string other = "other" + run;
  const std::string definition =
      " (id int PRIMARY KEY, full_name text, password text NOT NULL, mail text)";
  for (const auto& table : {one, leaf, other}) source.exec("CREATE TABLE " + table + definition);
  source.exec("INSERT INTO " + one +
              " VALUES (1, 'Ann', 'secret', 'a@b.c'), (2, 'Bob', 'x', NULL)");
  source.exec("INSERT INTO " + other + " VALUES (1, 'Eve', 'y', NULL)");
  const Connector connector{"mapped" + run, {one, leaf, other}};
  DaemonConfig config{one, {connector.topic(one), connector.topic(leaf), connector.topic(other)}};
  config.sink["tables"] =
      "[{match: public.mapped*, to: crm" + run +
      ".people, columns: {exclude: [password], rename: {full_name: name, id: nr}}}"
      ", {match: 'public.*', to: 'copy_*'}]";
  Daemon daemon{one, config};
  const auto people = [&] {
    return target.text(
        "SELECT string_agg(nr || ' ' || name || coalesce(' ' || mail, ''), ', ' ORDER "
        "BY nr) FROM crm" +
        run + ".people");
  };
  eventually(seconds{60}, "the snapshot", [&] { return people() == "1 Ann a@b.c, 2 Bob"; });
  source.exec("UPDATE " + one + " SET mail = 'b@b.c' WHERE id = 2; DELETE FROM " + one +
              " WHERE id = 1; INSERT INTO " + one + " VALUES (3, 'Cy', 'z', NULL)");
  eventually(seconds{30}, "the changes", [&] { return people() == "2 Bob b@b.c, 3 Cy"; });
  CHECK(columns_of(target, "crm" + run + ".people") ==
        std::vector<std::string>{"nr integer NOT NULL", "name text", "mail text"});
  eventually(seconds{30}, "the other table",
             [&] { return target.text("SELECT password FROM copy_other" + run) == "y"; });

  source.exec("INSERT INTO " + leaf + " VALUES (9, 'Zoe', 'z', NULL)");
  daemon.await_log("target table crm" + run + ".people takes the rows of source table public." +
                       one + ", and those of public." + leaf + " would overwrite them",
                   seconds{30});
  source.exec("UPDATE " + one + " SET mail = 'c@b.c' WHERE id = 3");
  eventually(seconds{30}, "the first goes on",
             [&] { return people() == "2 Bob b@b.c, 3 Cy c@b.c"; });
  CHECK(daemon.count_in_log("table stopped") == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("evolve: labels of enums, tables without a key, and keys that are made anew") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  const std::string mood = "Mood" + run;
  const std::string moods = "moods" + run;
  const std::string keyless = "keyless" + run;
  const std::string keyed = "keyed" + run;
  for (auto* database : {&source, &target}) {
    database->exec("CREATE TYPE \"" + mood + "\" AS ENUM ('sad', 'happy')");
  }
  source.exec("CREATE TABLE " + moods + " (id int PRIMARY KEY, one \"" + mood + "\", more \"" +
              mood + "\"[]); INSERT INTO " + moods + " VALUES (1, 'sad', '{happy}')");
  source.exec("CREATE TABLE " + keyless + " (a int, t text); ALTER TABLE " + keyless +
              " REPLICA IDENTITY FULL; INSERT INTO " + keyless +
              " SELECT i / 3, 'old' FROM generate_series(1, 30) i");
  source.exec("CREATE TABLE " + keyed + " (id int PRIMARY KEY, v text); INSERT INTO " + keyed +
              " SELECT i, 'old' FROM generate_series(1, 10) i");
  const Connector connector{"leftovers" + run, {moods, keyless, keyed}};
  Daemon daemon{moods, DaemonConfig{moods,
                                    {connector.topic(moods), connector.topic(keyless),
                                     connector.topic(keyed)}}};
  const auto await_all_rows = [&](const std::string& table) {
    const std::string all = "SELECT string_agg(row(" + columns_in_sql(source, table) +
                            ")::text, E'\\n' ORDER BY row(" + columns_in_sql(source, table) +
                            ")::text) FROM " + table;
    const auto want = source.text(all);
    eventually(seconds{30}, table + " is " + want,
               [&] { return target.text(all) == want ? "" : target.text(all); });
  };
  await_equal(source, target, moods);
  await_all_rows(keyless);
  await_equal(source, target, keyed);

  // Debezium does not tell that the type has changed, nor does PostgreSQL tell it.
  source.exec("ALTER TYPE \"" + mood + "\" ADD VALUE 'so so' BEFORE 'happy'");
  source.exec("ALTER TYPE \"" + mood + "\" ADD VALUE 'it''s, \"ok\"'");
  source.exec("INSERT INTO " + moods +
              " VALUES (2, 'so so', '{sad,\"it''s, \\\"ok\\\"\"}'), (3, 'happy', '{}')");
  source.exec("UPDATE " + moods + " SET one = 'so so' WHERE id = 1");
  await_equal(source, target, moods);
  CHECK(daemon.count_in_log("statement: ALTER TYPE public.\"" + mood + "\" ADD VALUE") == 2);
  CHECK(daemon.logged("the new label is its last"));

  // The row before a change has the new columns, too, and goes before the row after it comes.
  source.exec("ALTER TABLE " + keyless + " ADD COLUMN n int NOT NULL DEFAULT 7");
  source.exec("DELETE FROM " + keyless + " WHERE ctid IN (SELECT ctid FROM " + keyless +
              " WHERE a = 2 LIMIT 1)");
  source.exec("UPDATE " + keyless + " SET t = 'new' WHERE a = 3");
  source.exec("ALTER TABLE " + keyless + " ALTER a TYPE bigint, ADD COLUMN m text");
  source.exec("UPDATE " + keyless + " SET a = 5000000000, m = 'm' WHERE a = 4; INSERT INTO " +
              keyless + " VALUES (1, 'last', 1, NULL)");
  await_all_rows(keyless);
  CHECK(columns_of(target, keyless) ==
        std::vector<std::string>{"a bigint", "t text", "n integer NOT NULL", "m text"});

  // In one batch, so that what came before it has to be applied before the table is altered.
  CHECK(daemon.stop() == 0);
  source.exec("UPDATE " + keyed + " SET v = 'new' WHERE id < 5; DELETE FROM " + keyed +
              " WHERE id = 9");
  source.exec("ALTER TABLE " + keyed +
              " ADD COLUMN region text NOT NULL DEFAULT 'x', DROP CONSTRAINT " + keyed +
              "_pkey, ADD PRIMARY KEY (region, id)");
  source.exec("INSERT INTO " + keyed + " VALUES (1, 'other', 'y'); UPDATE " + keyed +
              " SET v = 'newest' WHERE id = 1 AND region = 'x'; DELETE FROM " + keyed +
              " WHERE id = 8");
  daemon.start();
  daemon.await_log("table stopped", seconds{30});
  const auto cause = daemon.lines_with("table stopped").back();
  INFO(cause);
  eventually(seconds{10}, "what came before the new key", [&] {
    return target.number("SELECT count(*) FROM " + keyed + " WHERE v = 'new'") == 4;
  });
  std::smatch said;
  REQUIRE(std::regex_search(
      cause, said,
      std::regex{": (ALTER TABLE [^,]* DROP CONSTRAINT [^,]*, ADD PRIMARY KEY \\([^)]*\\)).*, "
                 "after (ALTER TABLE .*), then reload"}));
  target.exec(said[2]);
  target.exec(said[1]);
  daemon.reload();
  await_equal(source, target, keyed);
  CHECK(daemon.count_in_log("table stopped") == 1);
  CHECK(daemon.stop() == 0);
}
