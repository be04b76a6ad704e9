// Every shape in which Debezium sends a change: what keys and rows can be like, and what becomes of
// them. All tables are written through one connector and by two pipelines: one with large batches,
// and one, into a schema of its own, with batches that cut transactions in two.
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// In SQL `%` is the table, `{name}` that of another case; at the target `@` is the schema.
struct Case {
  std::string name;
  std::string table;             ///< what CREATE TABLE % ends with
  std::vector<std::string> sql;  ///< at the source, each by itself
  std::string more{};            ///< to be done at both sides after CREATE TABLE
  std::string target{};          ///< and at the target
  std::string only_source{};     ///< and at the source
  std::string meanwhile{};       ///< at the target, once the first of `sql` has arrived
  std::string stops{};           ///< part of the cause with which it stops
  bool waits = false;            ///< it does not stop with it, but waits
  std::string check{};           ///< a query at the target, whose answer is 't'
  bool quoted = false;           ///< the name is such that it needs quotes
};

const std::string kib = "repeat('long text ', 400)";  // with STORAGE EXTERNAL it is TOASTed

const std::string toasted = "ALTER TABLE % ALTER big SET STORAGE EXTERNAL";

std::vector<Case> cases() {
  std::vector<Case> cases;
  // ---- Forms of keys
  cases.push_back({.name = "key_order",
                   .table = "(a int, b text, v text, PRIMARY KEY (b, a))",
                   .sql = {"INSERT INTO % VALUES (1, 'x', 'v'), (2, 'x', 'w'), (1, 'y', 'z')",
                           "UPDATE % SET v = 'n' WHERE b = 'x'; DELETE FROM % WHERE b = 'y'"}});
  cases.push_back({.name = "key_grows",
                   .table = "(id int PRIMARY KEY, region text NOT NULL, v text)",
                   .sql = {"INSERT INTO % VALUES (1, 'a', 'v')",
                           "ALTER TABLE % DROP CONSTRAINT %_pkey, ADD PRIMARY KEY (id, region)",
                           "INSERT INTO % VALUES (1, 'b', 'w')"},
                   .stops = "but the records' key is (id, region)"});
  cases.push_back({.name = "replica_index",
                   .table = "(a int NOT NULL, b text NOT NULL, v text)",
                   .sql = {"INSERT INTO % VALUES (1, 'x', 'v'), (2, 'x', 'w')",
                           "UPDATE % SET v = 'n' WHERE a = 1; UPDATE % SET a = 3 WHERE a = 2",
                           "DELETE FROM % WHERE a = 1"},
                   .more = "CREATE UNIQUE INDEX %_key ON % (b, a)",
                   .only_source = "ALTER TABLE % REPLICA IDENTITY USING INDEX %_key"});
  cases.push_back({.name = "other_key",  // message.key.columns, see below
                   .table = "(id int PRIMARY KEY, code text NOT NULL UNIQUE, v text)",
                   .sql = {"INSERT INTO % VALUES (1, 'x', 'v'), (2, 'y', 'w')",
                           "UPDATE % SET v = 'n' WHERE id = 1", "UPDATE % SET id = 3 WHERE id = 1",
                           "DELETE FROM % WHERE id = 2"},
                   .only_source = "ALTER TABLE % REPLICA IDENTITY FULL"});
  cases.push_back({.name = "no_unique_key",
                   .table = "(id int PRIMARY KEY, v text)",
                   .sql = {"INSERT INTO % VALUES (1, 'v')"},
                   .target = "ALTER TABLE % DROP CONSTRAINT %_pkey; CREATE UNIQUE INDEX ON % (id) "
                             "WHERE id > 0; ALTER TABLE % ALTER id DROP NOT NULL",
                   .stops = "has no primary key: add one on (id)"});
  cases.push_back({.name = "deferrable_key",
                   .table = "(id int PRIMARY KEY, v text)",
                   .sql = {"INSERT INTO % VALUES (1, 'v')"},
                   .target = "ALTER TABLE % DROP CONSTRAINT %_pkey, ADD CONSTRAINT %_late PRIMARY "
                             "KEY (id) DEFERRABLE",
                   .stops =
                       "has a DEFERRABLE key on (id), by which rows can't be found: ALTER "
                       "TABLE \"@\".\"%\" DROP CONSTRAINT \"%_late\", ADD PRIMARY KEY (\"id\")"});
  cases.push_back(
      {.name = "key_types",
       .table = "(n numeric, at timestamptz, u uuid, raw bytea, t text, f float8, d date, "
                "i interval, b boolean, mood %_mood, v text, "
                "PRIMARY KEY (n, at, u, raw, t, f, d, i, b, mood))",
       .sql = {"INSERT INTO % SELECT n, '2024-01-01 00:00+00', "
               "'b68a35a7-17ad-35b3-af2a-ae46edb4545b', '\\x00ff', t, f, '2024-02-29', i, true, "
               "'ok', 'v' FROM unnest(ARRAY[1.50, -0.0, 1e-7]) n, unnest(ARRAY['', 'a''b', "
               "E'\\n\\t', '\\x00', 'NULL']) t, unnest(ARRAY[0, 'NaN', '-Infinity', 1e300, "
               "0.1]::float8[]) f, unnest(ARRAY['1 mon', '-3 days 02:00']::interval[]) i",
               "UPDATE % SET v = 'w' WHERE t <> '' ", "DELETE FROM % WHERE n = 1.5 AND f = 0.1",
               "UPDATE % SET n = 2 WHERE n = 1.5 AND t = ''"}});
  cases.back().only_source = cases.back().target = "";
  cases.push_back({.name = "equal_keys",
                   .table = "(n numeric PRIMARY KEY, v text)",
                   .sql = {"INSERT INTO % VALUES (1.5, 'a'), (2, 'b')",
                           "BEGIN; DELETE FROM % WHERE n = 1.5; INSERT INTO % VALUES (1.50, 'c'); "
                           "UPDATE % SET n = 2.000 WHERE n = 2; COMMIT",
                           "BEGIN; INSERT INTO % VALUES (3.0, 'd'); DELETE FROM % WHERE n = 3; "
                           "COMMIT"}});
  cases.push_back(
      {.name = "equal_texts",
       .table = "(k citext, i interval, v text, PRIMARY KEY (k, i))",
       .sql = {"INSERT INTO % VALUES ('Anna', '1 mon', 'a'), ('bob', '1 day', 'b')",
               "BEGIN; INSERT INTO % VALUES ('Carl', '24:00', 'c'); DELETE FROM % WHERE "
               "k = 'CARL'; COMMIT",
               "BEGIN; DELETE FROM % WHERE k = 'BOB'; INSERT INTO % VALUES ('BOB', "
               "'24:00', 'd'); UPDATE % SET k = 'ANNA', i = '30 days' WHERE k = 'anna'; "
               "UPDATE % SET v = 'e' WHERE k = 'anna'; COMMIT"}});
  cases.push_back({.name = "generated",
                   .table = "(id int, twice int GENERATED ALWAYS AS (id * 2) STORED, v text, "
                            "PRIMARY KEY (id))",
                   .sql = {"INSERT INTO % (id, v) VALUES (1, 'a'), (2, 'b')",
                           "UPDATE % SET id = 5 WHERE id = 1; DELETE FROM % WHERE id = 2"}});
  // ---- Values that are not sent
  cases.push_back(
      {.name = "toast",
       .table = "(id int PRIMARY KEY, n int, big text, other text)",
       .sql =
           {"INSERT INTO % SELECT i, 0, i || " + kib + ", i || " + kib +
                " FROM generate_series(1, 20) i",
            "UPDATE % SET n = 1 WHERE id <= 10",
            "UPDATE % SET n = n + 1, big = 'short' WHERE id <= 5",
            "BEGIN; UPDATE % SET big = n || " + kib +
                " WHERE id = 7; UPDATE % SET n = 9 WHERE id = 7; UPDATE % SET other = NULL WHERE "
                "id = 7; COMMIT",
            "BEGIN; INSERT INTO % VALUES (30, 1, 'x' || " + kib +
                ", NULL); UPDATE % SET n = 2 WHERE id = 30; COMMIT",
            "UPDATE % SET n = n + 1"},
       .more = toasted + ", ALTER other SET STORAGE EXTERNAL",
       .target = "ALTER TABLE % ADD mine int DEFAULT 7",
       .meanwhile = "UPDATE % SET mine = id",
       .check = "SELECT bool_and(mine = CASE id WHEN 30 THEN 7 ELSE id END) FROM %"});
  cases.push_back({.name = "toast_lost",
                   .table = "(id int PRIMARY KEY, n int, big text)",
                   .sql = {"INSERT INTO % VALUES (1, 0, " + kib + ")", "UPDATE % SET n = 1"},
                   .more = toasted,
                   .meanwhile = "DELETE FROM %",
                   .stops = "does not have the row, and the source did not send its unchanged "
                            "TOAST value of column \"big\": copy the row from the source"});
  // ---- Keys that change
  cases.push_back(
      {.name = "moves",
       .table = "(id int PRIMARY KEY, n int, big text)",
       .sql = {"INSERT INTO % SELECT i, i, i || " + kib + " FROM generate_series(1, 30) i",
               "UPDATE % SET id = 101 WHERE id = 1",
               "UPDATE % SET id = 102 WHERE id = 2; UPDATE % SET id = 202 WHERE id = "
               "102; UPDATE % SET n = 0 WHERE id = 202",
               "BEGIN; UPDATE % SET id = 103 WHERE id = 3; DELETE FROM % WHERE id = "
               "103; INSERT INTO % VALUES (3, 3, 'new'); COMMIT",
               "BEGIN; DELETE FROM % WHERE id = 4; UPDATE % SET id = 4 WHERE id = 5; "
               "INSERT INTO % VALUES (5, 5, 'new'); COMMIT",
               "BEGIN; UPDATE % SET n = 60 WHERE id = 6; UPDATE % SET id = 106 WHERE "
               "id = 6; COMMIT",
               "UPDATE % SET id = -id WHERE id > 20",
               "BEGIN; UPDATE % SET id = 1000 WHERE id = 11; UPDATE % SET id = 11 "
               "WHERE id = 12; UPDATE % SET id = 12 WHERE id = 1000; COMMIT"},
       .more = toasted,
       .target = "ALTER TABLE % ADD mine int",
       .meanwhile = "UPDATE % SET mine = id",
       .check = "SELECT string_agg(id || ':' || mine, ' ' ORDER BY id) FILTER (WHERE "
                "id IN (-202, -106, -101, 4, -25)) = '-202:2 -106:6 -101:1 -25:25 4:5' "
                "FROM %"});
  cases.push_back(
      {.name = "rotations",
       .table = "(id int, v text, big text, PRIMARY KEY (id))",
       .sql = {"INSERT INTO % SELECT i, 'v' || i, i || " + kib + " FROM generate_series(1, 8) i",
               "UPDATE % SET id = 3 - id WHERE id <= 2",
               "UPDATE % SET id = CASE id WHEN 3 THEN 4 WHEN 4 THEN 5 ELSE 3 END WHERE "
               "id BETWEEN 3 AND 5",
               "UPDATE % SET id = id + 1 WHERE id >= 7"},
       .more = toasted,
       .only_source = "ALTER TABLE % DROP CONSTRAINT %_pkey, ADD PRIMARY KEY (id) "
                      "DEFERRABLE INITIALLY DEFERRED, REPLICA IDENTITY FULL"});
  // ---- Unique values that go from row to row
  cases.push_back(
      {.name = "unique_values",
       .table = "(id int PRIMARY KEY, pos int UNIQUE)",
       .sql = {
           "INSERT INTO % SELECT i, i FROM generate_series(1, 9) i",
           "BEGIN; UPDATE % SET pos = -1 WHERE id = 1; UPDATE % SET pos = 1 WHERE id = 2; UPDATE "
           "% SET pos = 2 WHERE id = 1; COMMIT",
           "BEGIN; UPDATE % SET pos = -1 WHERE id = 3; UPDATE % SET pos = 3 WHERE id = 4; UPDATE "
           "% SET pos = 4 WHERE id = 5; UPDATE % SET pos = 5 WHERE id = 3; COMMIT",
           "BEGIN; DELETE FROM % WHERE id = 6; INSERT INTO % VALUES (16, 6); COMMIT",
           "BEGIN; UPDATE % SET pos = NULL WHERE id = 7; INSERT INTO % VALUES (17, 7); DELETE "
           "FROM % WHERE id = 7; COMMIT"}});
  cases.push_back(
      {.name = "excluded",
       .table = "(id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH "
                "&&))",
       .sql = {"INSERT INTO % VALUES (1, '[1,5)'), (2, '[5,9)')",
               "BEGIN; UPDATE % SET during = '[1,2)' WHERE id = 1; UPDATE % SET during "
               "= '[2,9)' WHERE id = 2; COMMIT",
               "BEGIN; UPDATE % SET during = '[20,21)' WHERE id = 1; UPDATE % SET "
               "during = '[1,2)' WHERE id = 2; UPDATE % SET during = '[2,9)' WHERE id = "
               "1; COMMIT"}});
  cases.push_back(
      {.name = "tree",
       .table = "(id int PRIMARY KEY, parent int REFERENCES %, name text)",
       .sql = {
           "INSERT INTO % VALUES (1, NULL, 'root')",
           "INSERT INTO % VALUES (2, 1, 'a'); INSERT INTO % VALUES (3, 2, 'b')",
           "BEGIN; UPDATE % SET parent = NULL WHERE id = 3; DELETE FROM % WHERE id = 2; INSERT "
           "INTO % VALUES (4, 3, 'c'); UPDATE % SET parent = 4 WHERE id = 1; COMMIT",
           "BEGIN; UPDATE % SET parent = NULL WHERE id = 4; DELETE FROM % WHERE id = 3; COMMIT"}});
  // ---- Tables that refer to each other: their topics are read independently
  cases.push_back({.name = "parents",
                   .table = "(id int PRIMARY KEY, v text)",
                   .sql = {"INSERT INTO % SELECT i, 'v' FROM generate_series(1, 50) i",
                           "DELETE FROM {children}; DELETE FROM % WHERE id <= 10",
                           "BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO {children} SELECT i, "
                           "i FROM generate_series(101, 150) i; INSERT INTO % SELECT i, 'w' FROM "
                           "generate_series(101, 150) i; COMMIT",
                           "UPDATE % SET id = id + 1000 WHERE id > 140",
                           "DELETE FROM {children} WHERE id > 120; DELETE FROM % WHERE id > 120",
                           "TRUNCATE %, {children}; INSERT INTO % VALUES (1, 'last'); INSERT INTO "
                           "{children} VALUES (1, 1)",
                           "TRUNCATE % CASCADE; INSERT INTO % VALUES (2, 'very last'); INSERT INTO "
                           "{children} VALUES (2, 2), (3, NULL)"}});
  cases.push_back({.name = "children",
                   .table = "(id int PRIMARY KEY, parent int REFERENCES {parents} ON UPDATE "
                            "CASCADE DEFERRABLE)",
                   .sql = {"INSERT INTO % SELECT i, i FROM generate_series(1, 50) i"}});
  cases.push_back({.name = "orphans",  // what they refer to is in no topic
                   .table = "(id int PRIMARY KEY, parent int)",
                   .sql = {"INSERT INTO % VALUES (1, 1)"},
                   .target =
                       "CREATE TABLE %_parents (id int PRIMARY KEY); ALTER TABLE % ADD FOREIGN "
                       "KEY (parent) REFERENCES %_parents",
                   .stops = "waits for table @.%_parents: target table @.% can't take record",
                   .waits = true});
  // ---- Tables without a key
  cases.push_back({.name = "keyless",
                   .table = "(a int, t text, n numeric(9,2), at timestamp(3), big text)",
                   .sql = {"INSERT INTO % SELECT 1, 'same', 1.5, '2024-01-01', NULL FROM "
                           "generate_series(1, 1000)",
                           "INSERT INTO % SELECT i, NULL, NULL, now(), " + kib +
                               " FROM generate_series(2, 9) i",
                           "DELETE FROM % WHERE ctid IN (SELECT ctid FROM % WHERE a = 1 LIMIT 10)",
                           "UPDATE % SET t = 'other' WHERE ctid IN (SELECT ctid FROM % WHERE a = 1 "
                           "LIMIT 20)",
                           "UPDATE % SET n = 2 WHERE a > 5",
                           "BEGIN; DELETE FROM % WHERE a = 3; INSERT INTO % VALUES (3, NULL, 7); "
                           "UPDATE % SET n = 8 WHERE a = 3; COMMIT"},
                   .more = "ALTER TABLE % ALTER big SET STORAGE EXTERNAL",
                   .only_source = "ALTER TABLE % REPLICA IDENTITY FULL"});
  cases.push_back(
      {.name = "keyless_truncated",
       .table = "(a int, t text)",
       .sql = {"INSERT INTO % SELECT 1, 'x' FROM generate_series(1, 10)",
               "BEGIN; TRUNCATE %; INSERT INTO % VALUES (1, 'x'), (2, 'y'); DELETE FROM "
               "% WHERE a = 1; COMMIT"},
       .only_source = "ALTER TABLE % REPLICA IDENTITY FULL"});
  cases.push_back({.name = "keyless_inserts",
                   .table = "(a int, t text)",
                   .sql = {"INSERT INTO % VALUES (1, 'x'), (1, 'x'), (NULL, NULL)",
                           "INSERT INTO % VALUES (NULL, NULL)"}});
  cases.push_back({.name = "keyless_lost",
                   .table = "(a int, t text)",
                   .sql = {"INSERT INTO % VALUES (1, 'x'), (1, 'x')", "DELETE FROM %"},
                   .only_source = "ALTER TABLE % REPLICA IDENTITY FULL",
                   .meanwhile = "DELETE FROM % WHERE ctid IN (SELECT ctid FROM % LIMIT 1)",
                   .stops = "has no row, or too few rows, with the values of this row"});
  // ---- Names and sizes
  cases.push_back({.name = "One \"odd\" Näme",
                   .table = "(\"I d\" int, \"sélect\"\"\" text, \"from\" text, \"" +
                            std::string(63, 'x') +
                            "\" text, PRIMARY KEY (\"I d\", \"sélect\"\"\"))",
                   .sql = {"INSERT INTO % VALUES (1, 'a', 'b', 'c'), (2, 'd', 'e', 'f')",
                           "UPDATE % SET \"from\" = 'g' WHERE \"I d\" = 1; DELETE FROM % WHERE "
                           "\"I d\" = 2"},
                   .quoted = true});
  cases.push_back({.name = "key_only",
                   .table = "(id int PRIMARY KEY)",
                   .sql = {"INSERT INTO % VALUES (1), (2), (3)",
                           "UPDATE % SET id = 4 WHERE id = 1; DELETE FROM % WHERE id = 2"}});
  std::string many = "(id int PRIMARY KEY";
  for (int i = 0; i < 999; ++i) many += ", c" + std::to_string(i) + " int";
  cases.push_back({.name = "thousand_columns",
                   .table = many + ")",
                   .sql = {"INSERT INTO % (id, c0, c998) VALUES (1, 2, 3), (2, 3, 4)",
                           "UPDATE % SET c500 = 5, id = 7 WHERE id = 1"}});
  cases.push_back({.name = "synced_at_twice",
                   .table = "(id int PRIMARY KEY, synced_at timestamptz)",
                   .sql = {"INSERT INTO % VALUES (1, now())"},
                   .stops = "would have the source's column \"synced_at\" overwritten by the "
                            "time that synced_at stamps"});
  cases.push_back({.name = "deleted_and_created",  // in one batch it is an update of the row
                   .table = "(id int PRIMARY KEY, v text)",
                   .sql = {"INSERT INTO % VALUES (1, 'a')",
                           "BEGIN; DELETE FROM %; INSERT INTO % VALUES (1, 'b'); COMMIT"},
                   .target = "ALTER TABLE % ADD mine int",
                   .meanwhile = "UPDATE % SET mine = 7",
                   .check = "SELECT bool_and(mine = 7) FROM %"});
  return cases;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

/// A case on its way.
struct Run {
  Case c;
  std::string table;  ///< as in SQL
  std::string plain;  ///< without quotes

  std::string sql(const std::string& text, const std::string& schema = "public") const {
    return replaced(replaced(text, "%", c.quoted ? table : plain), "@", schema);
  }
};

/// All rows, each as text, in an order of their own; only the source's columns.
std::string rows_of(Database& database, const std::string& columns, const std::string& table) {
  return database.text("SELECT coalesce(string_agg(r, E'\\n' ORDER BY r), '') FROM (SELECT row(" +
                       columns + ")::text AS r FROM " + table + ") rows");
}

std::string first_difference(const std::string& want, const std::string& have) {
  const auto at = static_cast<std::size_t>(
      std::mismatch(want.begin(), want.end(), have.begin(), have.end()).first - want.begin());
  const auto from = at < 60 ? 0 : at - 60;
  return "differs at " + std::to_string(at) + "\n  source: …" + want.substr(from, 200) +
         "\n  target: …" + (from < have.size() ? have.substr(from, 200) : "");
}

}  // namespace

TEST_CASE("shapes: every shape of change arrives, or stops its table with what to do") {
  const auto& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::string small = unique("small");
  target.exec("CREATE SCHEMA " + small);
  for (auto* database : {&source, &target}) {
    database->exec(
        "CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS btree_gist");
  }

  std::vector<Run> runs;
  std::vector<std::string> tables;
  std::map<std::string, std::string> names;
  auto all = cases();
  for (auto& c : all) names["{" + c.name + "}"] = unique(c.name);
  const auto with_names = [&](std::string& text) {
    for (const auto& [placeholder, name] : names) text = replaced(text, placeholder, name);
  };
  for (auto& c : all) {
    Run run;
    run.plain = names["{" + c.name + "}"];
    with_names(c.table);
    for (auto& sql : c.sql) with_names(sql);
    run.table = c.quoted ? "\"" + replaced(run.plain, "\"", "\"\"") + "\"" : run.plain;
    run.c = std::move(c);
    if (run.c.name == "key_types") {
      for (auto* database : {&source, &target}) {
        database->exec(run.sql("CREATE TYPE public.%_mood AS ENUM ('ok')"));
      }
    }
    const std::string create = "CREATE TABLE % " + run.c.table + ";" + run.c.more + ";";
    source.exec(run.sql(create + run.c.only_source));
    for (const auto& schema : {std::string{"public"}, small}) {
      target.exec("SET search_path = " + schema + ", public");
      target.exec(run.sql(create + run.c.target, schema));
      target.exec(run.sql("ALTER TABLE % ADD COLUMN IF NOT EXISTS synced_at timestamptz"));
    }
    tables.push_back(run.table);
    runs.push_back(std::move(run));
  }
  target.exec("RESET search_path");
  const auto run_of = [&](const std::string& name) -> const Run& {
    return *std::find_if(runs.begin(), runs.end(), [&](const Run& r) { return r.c.name == name; });
  };

  const std::string prefix = unique("shapes");
  const Connector connector{
      prefix, tables, {{"message.key.columns", "public." + run_of("other_key").plain + ":code"}}};
  const std::string topics = "^" + prefix + "[.]public[.].*";
  DaemonConfig large{prefix + "_large", {topics}};
  DaemonConfig cut{prefix + "_small", {topics}};
  cut.max_events = 7;
  cut.sink = {{"schema", small}};
  Daemon daemon{prefix, {large, cut}};

  const auto name_in = [&](const Run& run, const std::string& schema) {
    return schema + "." + run.table;
  };
  const auto missing = [&](const Run& run, const std::string& schema) -> std::string {
    const auto columns = source.text(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE "
        "attrelid = '" +
        replaced(run.table, "'", "''") + "'::regclass AND attnum > 0 AND NOT attisdropped");
    const auto want = rows_of(source, columns, run.table);
    const auto have = rows_of(target, columns, name_in(run, schema));
    return want == have ? "" : first_difference(want, have);
  };
  const auto stopped = [&](const Run& run, const std::string& schema) {
    const auto lines = daemon.lines_with(run.c.waits ? "table waits" : "table stopped");
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(run.sql(run.c.stops, schema)) != std::string::npos &&
             line.find(run.plain) != std::string::npos &&
             line.find(schema == small ? "_small" : "_large") != std::string::npos;
    });
  };
  // All at once, each waited for in turn: the time is Debezium's.
  const auto await = [&](const Run& run, const std::string& schema, bool may_stop) {
    std::string seen;
    const auto end = std::chrono::steady_clock::now() + seconds{may_stop ? 30 : 40};
    bool arrived = false;
    while (!arrived && std::chrono::steady_clock::now() < end) {
      seen = may_stop ? (stopped(run, schema) ? "" : "not stopped") : missing(run, schema);
      arrived = seen.empty();
      const auto other = daemon.lines_with("table stopped");
      const bool failed = std::any_of(other.begin(), other.end(), [&](const std::string& line) {
        return line.find("." + run.plain + " ") != std::string::npos &&
               line.find(schema == small ? "_small" : "_large") != std::string::npos;
      });
      if (!arrived && failed && !stopped(run, schema)) {
        seen += "\nstopped: ";
        for (const auto& line : other) {
          if (line.find("." + run.plain + " ") != std::string::npos) seen += line + "\n";
        }
        break;
      }
      if (!arrived) std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
    INFO(run.c.name << " in " << schema << ": " << seen);
    CHECK(seen.empty());
    return arrived;
  };

  for (const auto& run : runs) source.exec(run.sql(run.c.sql.front()));
  for (const auto& run : runs) {
    if (run.c.sql.size() == 1) continue;
    for (const auto& schema : {std::string{"public"}, small}) {
      const bool arrived = await(run, schema, false);
      if (arrived && !run.c.meanwhile.empty()) {
        target.exec(replaced(run.c.meanwhile, "%", name_in(run, schema)));
      }
    }
  }
  for (const auto& run : runs) {
    for (std::size_t i = 1; i < run.c.sql.size(); ++i) source.exec(run.sql(run.c.sql[i]));
  }
  for (const auto& run : runs) {
    for (const auto& schema : {std::string{"public"}, small}) {
      const bool arrived = await(run, schema, !run.c.stops.empty());
      if (arrived && !run.c.check.empty()) {
        INFO(run.c.name << " in " << schema);
        CHECK(target.text(replaced(run.c.check, "%", name_in(run, schema))) == "t");
      }
    }
  }
  CHECK(daemon.stop() == 0);
}

TEST_CASE(
    "shapes: topics of several partitions, partitioned tables, and deletes without tombstones") {
  const auto& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::string spread = unique("spread");
  const std::string toasts = unique("spread_toast");
  const std::string lost = unique("spread_lost");
  const std::string root = unique("root");
  const std::string leaves = unique("leaves");  // published leaf by leaf
  for (auto* database : {&source, &target}) {
    const std::string more = database == &target ? ", synced_at timestamptz" : "";
    database->exec("CREATE TABLE " + spread + " (id int PRIMARY KEY, v text" + more + ")");
    for (const auto& table : {toasts, lost}) {
      database->exec("CREATE TABLE " + table + " (id int PRIMARY KEY, n int, big text" + more +
                     "); ALTER TABLE " + table + " ALTER big SET STORAGE EXTERNAL");
    }
    for (const auto& table : {root, leaves}) {
      database->exec("CREATE TABLE " + table + " (id int, region text, v text" + more +
                     ", PRIMARY KEY (id, region)) PARTITION BY LIST (region); CREATE TABLE " +
                     table + "_a PARTITION OF " + table + " FOR VALUES IN ('a'); CREATE TABLE " +
                     table + "_b PARTITION OF " + table + " FOR VALUES IN ('b')");
    }
  }
  source.exec("ALTER TABLE " + toasts + " REPLICA IDENTITY FULL");
  const std::string name = unique("several");
  const std::vector<std::string> tables{spread, toasts, lost, root, leaves + "_a", leaves + "_b"};
  const Connector connector{
      name,
      tables,
      {{"tombstones.on.delete", "false"}, {"topic.creation.default.partitions", "4"}}};
  source.exec("ALTER PUBLICATION " + name + " SET (publish_via_partition_root = true)");
  DaemonConfig config{name, {"^" + name + "[.]public[.].*"}};
  config.max_events = 50;
  Daemon daemon{name, config};
  source.exec("INSERT INTO " + spread + " SELECT i, 'v' || i FROM generate_series(1, 200) i");
  for (const auto& table : {toasts, lost}) {
    source.exec("INSERT INTO " + table +
                " SELECT i, i, repeat('long ', 800) || i FROM "
                "generate_series(1, 20) i");
  }
  for (const auto& table : {root, leaves}) {
    source.exec("INSERT INTO " + table +
                " SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 'v' "
                "FROM generate_series(1, 20) i");
  }
  for (const auto& table : tables) await_equal(source, target, table);

  source.exec("UPDATE " + spread + " SET id = id + 1000 WHERE id % 2 = 0; DELETE FROM " + spread +
              " WHERE id < 50; INSERT INTO " + spread + " VALUES (2, 'new')");
  source.exec("UPDATE " + toasts + " SET id = -id; UPDATE " + toasts + " SET n = 0 WHERE id < -5");
  for (const auto& table : {root, leaves}) {
    source.exec("UPDATE " + table + " SET region = 'a', v = 'w' WHERE id < 10; DELETE FROM " +
                table + " WHERE id > 15");
  }
  for (const auto& table : {spread, toasts, root, leaves}) await_equal(source, target, table);
  source.exec("UPDATE " + leaves + " SET region = 'b' WHERE id IN (3, 4); UPDATE " + leaves +
              " SET region = 'a' WHERE id = 11");
  await_equal(source, target, leaves);
  CHECK(daemon.count_in_log("table stopped") == 0);

  // The delete is applied alone: that the value was the old row's is known no more.
  source.exec("ALTER TABLE " + lost + " REPLICA IDENTITY DEFAULT");
  for (int id = 1; id <= 20; ++id) {
    source.exec("UPDATE " + lost + " SET id = id + 1000 WHERE id = " + std::to_string(id));
  }
  eventually(seconds{30}, "rows arrive, or the table stops and says what helps", [&] {
    const auto text = daemon.lines_with("table stopped");
    return target.number("SELECT count(*) FROM " + lost + " WHERE id > 1000") == 20 ||
           (!text.empty() && text.back().find("REPLICA IDENTITY FULL") != std::string::npos);
  });
  CHECK(target.number("SELECT count(*) FROM " + lost +
                      " WHERE big IS NULL OR big <> repeat('long ', 800) || (id % 1000)") == 0);
  CHECK(daemon.stop() == 0);
}
