// What one table has to wait for, the others need not.
#include <functional>
#include <set>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// Feeds a row and waits until it is in the target; `meanwhile` is done as often as that is asked.
void await_new_row(
    Feed& feed, Database& target, std::int64_t id, const std::string& when,
    const std::function<void()>& meanwhile = [] {}) {
  const std::string row = "SELECT count(*) FROM " + feed.name + " WHERE id = " + std::to_string(id);
  feed.upsert(id);
  feed.flush();
  eventually(seconds{20}, "a new row of " + feed.name + " arrives while " + when, [&] {
    meanwhile();
    return target.text(row) == "1";
  });
}

/// A lock on each of the tables that ends with this object.
class TableLock {
 public:
  explicit TableLock(const std::vector<const Feed*>& feeds) {
    other_.exec("BEGIN");
    for (const auto* feed : feeds) other_.exec("LOCK TABLE " + feed->name);
  }
  void end() { other_.exec("COMMIT"); }

 private:
  Database other_{Stack::from_environment().target_url};
};

/// The daemon's transactions that wait for a lock now. Each ends after 1.5 s, and the next try has
/// another name.
std::set<std::string> waiting(Database& target) {
  std::set<std::string> names;
  for (const auto& row :
       target.exec("SELECT pid || ' ' || xact_start FROM pg_stat_activity WHERE application_name = "
                   "'lockstep' AND wait_event_type = 'Lock'")) {
    names.insert(*row[0]);
  }
  return names;
}

std::set<std::string> await_waiting(Database& target, std::size_t transactions) {
  std::set<std::string> names;
  eventually(seconds{20}, std::to_string(transactions) + " transactions that wait for a lock", [&] {
    names = waiting(target);
    return names.size() == transactions;
  });
  return names;
}

}  // namespace

TEST_CASE("a table that is locked on the target holds up no other") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed users{kafka, target, "users"};
  Feed orders{kafka, target, "orders"};
  users.load(100, 50);
  Daemon daemon{users.name, {users.name, {users.topic, orders.topic}}};
  users.await_equal(target);

  TableLock lock{{&users}};
  users.load(5000, 50, 2);
  daemon.await_log("table waits", seconds{20});
  // Through at once, not when the locked table has given up for a while: one and the same
  // transaction waits before and after. It may have been about to give up, so it is tried again.
  int at_once = 0;
  for (int i = 0; at_once < 3; ++i) {
    REQUIRE(i < 10);
    const auto before = await_waiting(target, 1);
    await_new_row(orders, target, i, "users is locked");
    if (waiting(target) == before) ++at_once;
  }
  const auto waits = daemon.lines_with("table waits");
  REQUIRE(waits.size() == 1);
  CHECK(waits[0].find("topic=" + users.topic + " ") != std::string::npos);
  CHECK(waits[0].find("lock timeout") != std::string::npos);
  CHECK(waits[0].find("SQLSTATE 55P03") != std::string::npos);
  CHECK_FALSE(daemon.logged("table goes on"));

  lock.end();
  users.await_equal(target);
  orders.await_equal(target);
  check_only_forward(target, users.name);
  daemon.await_log("table goes on", seconds{10});
  CHECK(daemon.count_in_log("table goes on") == 1);
  CHECK(daemon.count_in_log("table waits") == 1);
  CHECK_FALSE(daemon.logged("table stopped"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("as many locked tables as there are connections still let a third table through") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed users{kafka, target, "users"};
  Feed carts{kafka, target, "carts"};
  Feed orders{kafka, target, "orders"};
  DaemonConfig config{users.name, {users.topic, carts.topic, orders.topic}};
  config.connections = 2;
  Daemon daemon{users.name, config};
  TableLock lock{{&users, &carts}};
  users.load(500, 50);
  carts.load(500, 50);
  daemon.await_log("table waits", seconds{20}, 2);
  for (int i = 0; i < 2; ++i) {
    auto tries = await_waiting(target, 2);
    await_new_row(orders, target, i, "the two others are locked",
                  [&] { tries.merge(waiting(target)); });
    CHECK(tries.size() <= 4);  // it is through before either is tried more than once more
  }
  CHECK(daemon.count_in_log("table waits") == 2);  // each once

  lock.end();
  users.await_equal(target);
  carts.await_equal(target);
  orders.await_equal(target);
  check_only_forward(target, users.name);
  check_only_forward(target, carts.name);
  daemon.await_log("table goes on", seconds{10}, 2);
  CHECK(daemon.stop() == 0);
}

TEST_CASE(
    "a daemon that is killed while batches wait for another goes on where each table stands") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed users{kafka, target, "users"};
  Feed orders{kafka, target, "orders"};
  users.load(100, 50);
  DaemonConfig config{users.name, {users.topic, orders.topic}};
  config.max_events = 50;
  Daemon daemon{users.name, config};
  users.await_equal(target);
  const auto before = users.progress(target, users.name);
  TableLock lock{{&users}};
  users.load(2000, 50, 2);  // one batch under way, others behind it
  orders.load(500, 50);
  orders.await_equal(target);
  daemon.await_log("table waits", seconds{20});
  daemon.kill();
  CHECK(users.progress(target, users.name) == before);
  const auto committed = kafka.committed("lockstep." + users.name, users.topic, 0);
  CHECK(committed.value_or(0) <= before);
  lock.end();
  daemon.start();
  users.await_equal(target);
  orders.await_equal(target);
  check_only_forward(target, users.name);
  check_only_forward(target, orders.name);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a table that has much behind does not delay another's new row") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed users{kafka, target, "users"};
  Feed orders{kafka, target, "orders"};
  users.load(150'000, 50'000);
  Daemon daemon{users.name, {users.name, {users.topic, orders.topic}}};
  const auto done = [&] { return users.progress(target, users.name); };
  eventually(seconds{30}, "the backlog is begun", [&] { return done() > 0; });
  const auto before = done();
  await_new_row(orders, target, 1, "users has much behind");
  const auto meanwhile = done() - before;
  CHECK(meanwhile <= 60'000);           // three batches
  CHECK(done() < users.end() * 2 / 3);  // or it was no test
  users.await_equal(target);
  check_only_forward(target, users.name);
  CHECK(daemon.stop() == 0);
}
