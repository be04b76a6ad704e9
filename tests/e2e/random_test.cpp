// Random histories of rows, keys and tables through the whole of it, in batches of random size.
#include <chrono>
#include <random>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "seed.hpp"
#include "stack.hpp"

using namespace lockstep::test;

namespace {

// One has all that can be in the way of another: keys that change, a unique value, references to
// itself, TOAST. `numbers` has keys that look different and are equal, `keyless` none.
const std::string tables = R"(
CREATE TABLE rows% (id int PRIMARY KEY, u int UNIQUE,
                    parent int REFERENCES rows% ON UPDATE CASCADE ON DELETE SET NULL,
                    n int, big text);
ALTER TABLE rows% ALTER big SET STORAGE EXTERNAL;
CREATE TABLE numbers% (a numeric, b text, n int, big text, PRIMARY KEY (b, a));
ALTER TABLE numbers% ALTER big SET STORAGE EXTERNAL;
CREATE TABLE keyless% (a int, b text);)";

/// Transactions of one to four actions each; what breaks a constraint is undone. Counts the rows
/// that each kind of action had an effect on.
const std::string history = R"(
CREATE PROCEDURE history%(steps int, INOUT counts jsonb) LANGUAGE plpgsql AS $$
DECLARE kind int; what text; k int; l int; rows int; f text;
BEGIN
  FOR i IN 1..steps LOOP
    FOR j IN 1..1 + floor(random() * 4) LOOP
      kind := floor(random() * 100); k := 1 + floor(random() * 12); l := 1 + floor(random() * 12);
      f := repeat('0', floor(random() * 3)::int);
      BEGIN
        IF kind < 16 THEN
          what := 'insert';
          INSERT INTO rows% VALUES (k, 1 + floor(random() * 9), (SELECT id FROM rows% ORDER BY
            random() LIMIT 1), i, repeat(i || ' ', 900));
        ELSIF kind < 26 THEN
          what := 'update';
          UPDATE rows% SET n = i WHERE id = k;
        ELSIF kind < 31 THEN
          what := 'update of the large';
          UPDATE rows% SET big = repeat(i || '.', 900) WHERE id IN (k, l);
        ELSIF kind < 38 THEN
          what := 'unique value';
          UPDATE rows% SET u = CASE WHEN random() < 0.3 THEN NULL ELSE l END WHERE id = k;
        ELSIF kind < 42 THEN
          what := 'swap of unique values';
          UPDATE rows% SET u = -1 WHERE id = k;
          UPDATE rows% r SET u = s.u FROM (SELECT l AS u) s WHERE id = l;
          UPDATE rows% SET u = k + 20 WHERE id = k;
        ELSIF kind < 50 THEN
          what := 'key change';
          UPDATE rows% SET id = l WHERE id = k AND k <> l;
        ELSIF kind < 54 THEN
          what := 'rotation';
          UPDATE rows% SET id = -1 WHERE id = k;
          UPDATE rows% SET id = k WHERE id = l;
          UPDATE rows% SET id = l WHERE id = -1;
        ELSIF kind < 62 THEN
          what := 'delete';
          DELETE FROM rows% WHERE id = k;
        ELSIF kind < 63 THEN
          what := 'truncate';
          SELECT count(*) INTO rows FROM rows%;
          TRUNCATE rows%;
        ELSIF kind < 70 THEN
          what := 'number insert';
          INSERT INTO numbers% VALUES (('1.5' || f)::numeric + k % 3, 'b', i, repeat(i || ' ', 900));
        ELSIF kind < 75 THEN
          what := 'number update';
          UPDATE numbers% SET n = i WHERE a = 1.5 + k % 3;
        ELSIF kind < 79 THEN
          what := 'number key change';
          UPDATE numbers% SET a = ('1.5' || f)::numeric + l % 3 WHERE a = 1.5 + k % 3;
        ELSIF kind < 83 THEN
          what := 'number delete';
          DELETE FROM numbers% WHERE a = 1.5 + k % 3;
        ELSIF kind < 90 THEN
          what := 'keyless insert';
          INSERT INTO keyless% SELECT k % 3, CASE WHEN l < 6 THEN NULL ELSE 'b' END
            FROM generate_series(1, 3);
        ELSIF kind < 95 THEN
          what := 'keyless update';
          UPDATE keyless% SET a = l % 3 WHERE ctid IN (SELECT ctid FROM keyless% WHERE a = k % 3
            LIMIT 2);
        ELSE
          what := 'keyless delete';
          DELETE FROM keyless% WHERE ctid IN (SELECT ctid FROM keyless% WHERE a = k % 3 LIMIT 2);
        END IF;
        IF what <> 'truncate' THEN GET DIAGNOSTICS rows = ROW_COUNT; END IF;
        counts := counts || jsonb_build_object(what, coalesce((counts->>what)::int, 0) + rows);
      EXCEPTION WHEN integrity_constraint_violation THEN NULL;
      END;
    END LOOP;
    COMMIT;
  END LOOP;
END $$)";

std::string with(std::string text, const std::string& suffix) {
  for (auto at = text.find('%'); at != std::string::npos; at = text.find('%', at)) {
    if (at + 2 < text.size() && text[at + 1] == ' ' && text[at + 2] >= '0' && text[at + 2] <= '9') {
      ++at;  // the operator
    } else {
      text.replace(at, 1, suffix);
    }
  }
  return text;
}

std::string digests_of(Database& database, const std::string& table, const std::string& columns) {
  return database.text(
      "SELECT coalesce(string_agg(r, E'\\n' ORDER BY r), '') FROM (SELECT left(row(" + columns +
      ")::text, 60) || md5(row(" + columns + ")::text) AS r FROM " + table + ") rows");
}

}  // namespace

TEST_CASE("random: whatever happens to rows, keys and tables, both sides are equal in the end") {
  const unsigned number = new_seed();
  INFO("LOCKSTEP_SEED=" << number);
  std::mt19937 random{number};
  const auto below = [&](int n) { return std::uniform_int_distribution<int>{0, n - 1}(random); };
  const auto& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::string suffix = unique("");
  const std::string small = unique("random");
  const std::string name = unique("random");
  source.exec(with(tables, suffix));
  source.exec("ALTER TABLE keyless" + suffix + " REPLICA IDENTITY FULL");
  source.exec(with(history, suffix));
  target.exec("CREATE SCHEMA " + small);
  for (const auto& schema : {std::string{"public"}, small}) {
    target.exec("SET search_path = " + schema);
    target.exec(with(tables, suffix));
  }
  target.exec("RESET search_path");

  const Connector connector{name, {"rows" + suffix, "numbers" + suffix, "keyless" + suffix}};
  DaemonConfig some{name + "_some", {"^" + name + "[.]public[.].*"}};
  some.max_events = 100 + below(1000);
  some.sink = {{"synced_at", "\"\""}};
  DaemonConfig few = some;
  few.pipeline = name + "_few";
  few.max_events = 1 + below(20);
  few.sink["schema"] = small;
  Daemon daemon{name, {some, few}};

  source.exec("SELECT setseed(" + std::to_string(below(1000)) + " / 1000.0)");
  const auto counts = source.exec("CALL history" + suffix + "(2500, '{}')");
  const std::string done = counts.at(0).at(0).value_or("");
  INFO(done);

  for (const auto& schema : {std::string{"public"}, small}) {
    const std::pair<std::string, std::string> tables_and_columns[] = {
        {"rows", "id, u, parent, n, big"}, {"numbers", "a, b, n, big"}, {"keyless", "a, b"}};
    for (const auto& one : tables_and_columns) {
      const auto& table = one.first;  // clang 14 has no structured bindings in lambdas
      const auto& columns = one.second;
      const auto want = digests_of(source, table + suffix, columns);
      eventually(std::chrono::seconds{50}, schema + "." + table + suffix + " has\n" + want, [&] {
        const auto have = digests_of(target, schema + "." + table + suffix, columns);
        return have == want ? "" : have;
      });
    }
  }
  for (const auto* kind : {"insert", "update", "update of the large", "unique value",
                           "swap of unique values", "key change", "rotation", "delete", "truncate",
                           "number insert", "number update", "number key change", "number delete",
                           "keyless insert", "keyless update", "keyless delete"}) {
    CAPTURE(kind);
    CHECK(source.number("SELECT coalesce(('" + done + "'::jsonb->>'" + kind + "')::int, 0)") > 5);
  }
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
