// Snapshots of tables that are written meanwhile: the first one, those that a signal asks for, and
// those that a connector takes whenever it starts. In the stream among the changes is what else
// Debezium writes: signals and their watermarks, heartbeats, logical messages.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "kafka.hpp"
#include "load.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// Rows come, change, go, come again and get other ids, among messages that are no changes. Those
/// below 0 are left alone.
Again mixed_writes(const std::string& table) {
  return Again{[table, step = 0](Database& database) mutable {
    const auto id = [&](int factor) { return std::to_string(step * factor % 600 + 1); };
    ++step;
    database.exec("BEGIN; INSERT INTO " + table + " SELECT " + std::to_string(1000 + step) +
                  ", 'new', big FROM " + table + " WHERE id = -1 ON CONFLICT DO NOTHING; UPDATE " +
                  table + " SET v = v || '+' WHERE id IN (" + id(11) + ", " + id(17) +
                  "); DELETE FROM " + table + " WHERE id = " + id(7) + "; UPDATE " + table +
                  " SET id = id + 100000 WHERE id = " + id(13) + " AND NOT EXISTS (SELECT FROM " +
                  table + " WHERE id = 100000 + " + id(13) +
                  "); SELECT pg_logical_emit_message(true, 'lockstep', 'within'); COMMIT");
    database.exec("SELECT pg_logical_emit_message(false, 'lockstep', 'alone'); INSERT INTO " +
                  table + " SELECT " + id(5) + ", 'again', big FROM " + table +
                  " WHERE id = -1 ON CONFLICT DO NOTHING");
  }};
}

void create(Database& source, const std::string& table) {
  source.exec("CREATE TABLE " + table + " (id int PRIMARY KEY, v text, big text); ALTER TABLE " +
              table + " ALTER big SET STORAGE EXTERNAL; INSERT INTO " + table +
              " SELECT i, 'v' || i, i || repeat('long text ', 300) FROM generate_series(-100, 600) "
              "i WHERE i <> 0");
}

/// What only a new snapshot mends.
void damage(Database& target, const std::string& table) {
  target.exec("DELETE FROM " + table + " WHERE id BETWEEN -50 AND -2; UPDATE " + table +
              " SET v = 'wrong', big = NULL WHERE id < -50");
}

void await_mended(Database& source, Database& target, const std::string& table) {
  const std::string digest =
      "SELECT md5(string_agg(id || v || big, ',' ORDER BY id)) FROM " + table + " WHERE id < 0";
  const auto want = source.text(digest);
  eventually(seconds{60}, "the snapshot of " + table, [&] { return target.text(digest) == want; });
}

}  // namespace

TEST_CASE("snapshots: rows are the source's, whoever writes while a snapshot is taken") {
  const auto& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  Database cut{stack.target_url};
  const std::string small = unique("small");
  cut.exec("CREATE SCHEMA " + small + "; SET search_path = " + small);
  const std::string table = unique("snapshot");
  const std::string later = unique("snapshot_later");
  const std::string signals = unique("signals");
  create(source, table);
  create(source, later);
  source.exec("CREATE TABLE " + signals +
              " (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048)); "
              "GRANT INSERT, DELETE ON " +
              signals + " TO debezium");
  const auto ask_for_snapshot = [&](const std::string& of, const std::string& type) {
    source.exec("INSERT INTO " + signals +
                " VALUES (gen_random_uuid(), 'execute-snapshot', '{\"data-collections\": "
                "[\"public[.]" +
                of + "\"], \"type\": \"" + type + "\"}')");
  };
  const std::string prefix = unique("snapshots");
  const Connector::Settings settings{{"signal.data.collection", "public." + signals},
                                     {"incremental.snapshot.chunk.size", "37"},
                                     {"heartbeat.interval.ms", "50"}};
  std::optional<Connector> connector;
  Again writes = mixed_writes(table);
  writes.await_more();
  connector.emplace(prefix, std::vector<std::string>{table, signals}, settings);

  // All that the connector writes, the signals too; and, in small batches, its tables alone.
  DaemonConfig all{prefix + "_all", {"^(__debezium-heartbeat[.])?" + prefix + "([.].*)?$"}};
  DaemonConfig some{prefix + "_some", {connector->topic(table), connector->topic(later)}};
  some.max_events = 7;
  some.sink = {{"schema", small}};
  Daemon daemon{prefix, {all, some}};
  const auto damage_all = [&](const std::string& what) {
    for (auto* database : {&target, &cut}) damage(*database, what);
  };
  const auto await_all_mended = [&](const std::string& what) {
    for (auto* database : {&target, &cut}) await_mended(source, *database, what);
  };
  await_all_mended(table);
  // An application has a column of its own in hot rows.
  target.exec("ALTER TABLE " + table + " ADD COLUMN mine int NOT NULL DEFAULT 0");
  Again application{
      [&table](Database& database) {
        database.exec("UPDATE " + table + " SET mine = mine + 1 WHERE id IN (SELECT id FROM " +
                      table + " WHERE id > 0 ORDER BY random() LIMIT 10 FOR UPDATE SKIP LOCKED)");
      },
      stack.target_url};

  damage_all(table);
  ask_for_snapshot(table, "incremental");
  await_all_mended(table);

  damage_all(table);
  ask_for_snapshot(table, "blocking");
  await_all_mended(table);

  // An update that leaves a TOASTed value as it was may come before its row: it must bring it.
  source.exec("ALTER TABLE " + later + " REPLICA IDENTITY FULL");
  Again more_writes = mixed_writes(later);
  connector->add(later);
  more_writes.await_more();
  ask_for_snapshot(later, "incremental");
  await_all_mended(later);

  writes.end();
  more_writes.end();
  application.end();
  for (auto* database : {&target, &cut}) {
    await_equal(source, *database, table);
    await_equal(source, *database, later);
  }
  await_equal(source, target, signals);
  // Each window's mark is written and deleted again.
  CHECK(Kafka{}.end(connector->topic(signals), 0) > 30);

  // A new connector, and so a new snapshot, knows nothing of rows that are gone: docs/operation.md.
  connector.reset();
  source.exec("DELETE FROM " + table + " WHERE id IN (-7, -8); UPDATE " + table +
              " SET v = 'while nobody looked' WHERE id = -9");
  const auto before = target.text("SELECT now()");
  auto always = settings;
  always["topic.prefix"] = prefix;
  always["snapshot.mode"] = "always";
  always["table.include.list"] = "public." + table;  // the signals only published
  connector.emplace(unique("snapshots"), std::vector<std::string>{table, signals}, always);
  const auto gone = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM " + table +
                    " WHERE synced_at < '" + before + "'";
  for (auto* database : {&target, &cut}) {
    eventually(seconds{60}, "rows that no snapshot brought",
               [&] { return database->text(gone) == "-8 -7" ? "" : database->text(gone); });
    database->exec("DELETE FROM " + table + " WHERE synced_at < '" + before + "'");
    await_equal(source, *database, table);
  }

  Again last_writes = mixed_writes(table);
  damage_all(table);
  connector->restart();
  await_all_mended(table);
  damage_all(table);
  ask_for_snapshot(table, "incremental");
  await_all_mended(table);
  last_writes.end();
  for (auto* database : {&target, &cut}) await_equal(source, *database, table);
  CHECK(target.number("SELECT count(*) FROM lockstep.progress WHERE topic IN ('" + prefix +
                      ".message', '__debezium-heartbeat." + prefix + "')") == 2);
  for (const auto& line : daemon.lines_with("table stopped")) UNSCOPED_INFO(line);
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
