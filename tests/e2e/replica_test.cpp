// What the source's users do arrives, value by value: snapshot, then every kind of change.
#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;

namespace {

constexpr auto columns =
    "(id bigint PRIMARY KEY, name text, email varchar(200), amount numeric, price numeric(20,6), "
    "at timestamptz, local timestamp, day date, flag boolean, ratio double precision, "
    "payload jsonb, raw bytea";

// Existing and streamed rows both come from here: each kind of value that trips a careless path.
std::string rows(int from) {
  const auto id = [&](int n) { return std::to_string(from + n); };
  return "(" + id(0) +
         ", 'O''Brien \"the \\ quote\"', 'a@b.c', 123456789012345678901234567890.123, 0.000001, "
         "'2024-06-01 12:00:00.123456+02', '2024-06-01 12:00:00.123456', '2024-02-29', true, 0.1, "
         "'{\"a\": [1, 2.50, null], \"ü\": \"\\\"\"}', '\\x00ff5c27'),"
         "(" +
         id(1) +
         ", E'two\\nlines\\r\\n\\ttab', '', -0.5, -99999999999999.999999, "
         "'1970-01-01 00:00:00+00', '1969-12-31 23:59:59.999999', '1969-12-31', false, -1e308, "
         "'[]', ''),"
         "(" +
         id(2) +
         ", '日本語 😀 é e\u0301', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
         "(" +
         id(3) +
         ", '', 'NULL', 0, 0, '2262-04-12 00:00:00+00', '9999-12-31 23:59:59', '9999-12-31', "
         "true, 5e-324, 'null', '\\x00'),"
         "(" +
         id(4) +
         ", '{a,\"b\",NULL}', '\\N', 1e-30, 1.5, '0001-01-01 00:00:00+00', "
         "'0001-01-01 00:00:00', '0001-01-01', false, 1.7976931348623157e308, '\"text\"', "
         "'\\x0a0d')";
}

}  // namespace

TEST_CASE("a snapshot, then every kind of change, value by value") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string name = unique("everything");
  const std::string many = unique("many");
  source.exec("CREATE TABLE " + name + columns + ")");
  target.exec("CREATE TABLE " + name + columns + ", synced_at timestamptz)");
  source.exec("CREATE TABLE " + many + " (a int, b text, v int, PRIMARY KEY (b, a))");
  target.exec("CREATE TABLE " + many +
              " (a int, b text, v int, synced_at timestamptz, PRIMARY KEY (a, b))");
  source.exec("INSERT INTO " + name + " VALUES " + rows(1));
  source.exec("INSERT INTO " + many + " SELECT i, 'k' || i % 7, i FROM generate_series(1, 5000) i");

  const Connector connector{unique("replica"), {name, many}};
  Daemon daemon{name, {name, {connector.topic(name), connector.topic(many)}}};
  await_equal(source, target, name);
  await_equal(source, target, many);
  CHECK(target.number("SELECT count(*) FROM " + name + " WHERE synced_at IS NULL") == 0);
  CHECK(target.number("SELECT count(*) FROM " + name +
                      " WHERE synced_at NOT BETWEEN now() - interval '2 minutes' AND now()") == 0);

  SECTION("inserts, updates and deletes") {
    const auto synced_at = [&](int id) {
      return target.text("SELECT synced_at FROM " + name + " WHERE id = " + std::to_string(id));
    };
    const auto changed = synced_at(1);
    const auto untouched = synced_at(2);
    source.exec("INSERT INTO " + name + " VALUES " + rows(101));
    source.exec("UPDATE " + name + " SET name = name || ' *', amount = amount * 3 WHERE id = 1");
    source.exec("UPDATE " + name + " SET name = NULL, payload = NULL, raw = NULL WHERE id = 101");
    source.exec("UPDATE " + name + " SET name = 'was null', flag = true, at = now() WHERE id = 3");
    source.exec("DELETE FROM " + name + " WHERE id IN (4, 104)");
    source.exec("UPDATE " + many + " SET v = v + 1 WHERE a % 3 = 0");
    source.exec("DELETE FROM " + many + " WHERE a % 5 = 0");
    await_equal(source, target, name);
    await_equal(source, target, many);
    CHECK(synced_at(1) > changed);
    CHECK(synced_at(2) == untouched);
  }
  SECTION("a primary key that changes, also to one that was deleted and among many") {
    source.exec("UPDATE " + name + " SET id = 50 WHERE id = 1");
    source.exec("DELETE FROM " + name + " WHERE id = 2; UPDATE " + name +
                " SET id = 2 WHERE id = 50");
    source.exec("UPDATE " + many + " SET b = b || '+' WHERE a <= 100");
    source.exec("UPDATE " + many + " SET a = a + 10000, v = 0 WHERE a BETWEEN 200 AND 300");
    await_equal(source, target, name);
    await_equal(source, target, many);
  }
  SECTION("the last state of a row that one transaction changes many times") {
    source.exec("BEGIN; INSERT INTO " + name + " (id, name) VALUES (7, 'a'); UPDATE " + name +
                " SET name = 'b' WHERE id = 7; DELETE FROM " + name +
                " WHERE id = 7; INSERT INTO " + name + " (id, name) VALUES (7, 'c'); COMMIT");
    source.exec("BEGIN; INSERT INTO " + name + " (id) VALUES (8); DELETE FROM " + name +
                " WHERE id = 8; COMMIT");
    source.exec("BEGIN; INSERT INTO " + name + " (id) VALUES (9); ROLLBACK");
    await_equal(source, target, name);
  }
  SECTION("a truncate among the rows before and after it") {
    source.exec("INSERT INTO " + many + " SELECT i, 'before', i FROM generate_series(1, 500) i");
    source.exec("TRUNCATE " + many);
    source.exec("INSERT INTO " + many + " SELECT i, 'after', i FROM generate_series(1, 300) i");
    // Other rows than before: equal must not be what the target already was.
    source.exec("BEGIN; TRUNCATE " + name + "; INSERT INTO " + name + " VALUES " + rows(11) +
                "; COMMIT");
    await_equal(source, target, many);
    await_equal(source, target, name);
  }
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
