// Rows of the largest sizes that brokers and connectors are set up for.
#include <algorithm>
#include <string>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;

TEST_CASE("large: rows of 50 MB arrive, in little more memory than they take") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string table = unique("large");
  source.exec("CREATE TABLE " + table +
              " (id int PRIMARY KEY, n int, raw bytea, text text); ALTER TABLE " + table +
              " ALTER raw SET STORAGE EXTERNAL, ALTER text SET STORAGE EXTERNAL");
  // Random, or it would be packed to nothing on its way: 32 bytes a hash.
  source.exec("INSERT INTO " + table +
              " SELECT 1, 0, string_agg(sha256(i::text::bytea), ''), NULL FROM generate_series(1, "
              "50000000 / 32) i; INSERT INTO " +
              table + " VALUES (2, 0, NULL, repeat('0123456789', 5000000))");
  const Connector connector{unique("large"),
                            {table},
                            {{"topic.creation.default.max.message.bytes", "100000000"},
                             {"producer.override.max.request.size", "200000000"},
                             {"producer.override.buffer.memory", "200000000"}}};
  Daemon daemon{table, DaemonConfig{table, {connector.topic(table)}}};
  const auto rows = [&](Database& database) {
    return database.text(
        "SELECT string_agg(id || ' ' || n || ' ' || coalesce(md5(raw), md5(text)), "
        "', ' ORDER BY id) FROM " +
        table);
  };
  const auto await = [&] {
    const auto want = rows(source);
    eventually(std::chrono::seconds{60}, "the rows", [&] { return rows(target) == want; });
  };
  await();
  source.exec("UPDATE " + table + " SET n = 1; INSERT INTO " + table + " SELECT 3, 3, raw FROM " +
              table + " WHERE id = 1");
  await();
  CHECK(daemon.peak_kib() < 700 * 1024);
  CHECK(daemon.stop() == 0);
}
