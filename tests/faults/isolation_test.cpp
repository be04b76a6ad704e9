// What one table has to wait for, the others need not.
#include <algorithm>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

/// How long a new row takes from Kafka to the target.
milliseconds time_of(Feed& feed, Database& target, std::int64_t id, const std::string& meanwhile) {
  const std::string row = "SELECT count(*) FROM " + feed.name + " WHERE id = " + std::to_string(id);
  feed.upsert(id);
  const auto begin = Clock::now();
  feed.flush();
  eventually(seconds{20}, "a new row of " + feed.name + " arrives while " + meanwhile,
             [&] { return target.text(row) == "1"; });
  return std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
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

/// Waits until as many of the daemon's connections wait for a lock.
void await_waiting(Database& target, int connections) {
  eventually(seconds{20}, std::to_string(connections) + " connections that wait for a lock", [&] {
    return target.number(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
               "AND wait_event_type = 'Lock'") == connections;
  });
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
  std::vector<milliseconds> times;
  for (int i = 0; i < 3; ++i) {
    await_waiting(target, 1);
    times.push_back(time_of(orders, target, i, "users is locked"));
  }
  std::sort(times.begin(), times.end());
  CHECK(times[times.size() / 2] < seconds{1});
  CHECK(times.back() < seconds{2});
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
    await_waiting(target, 2);
    CHECK(time_of(orders, target, i, "the two others are locked") < seconds{4});
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

TEST_CASE("a table that has much behind does not delay another's new row") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed users{kafka, target, "users"};
  Feed orders{kafka, target, "orders"};
  users.load(150'000, 50'000);
  Daemon daemon{users.name, {users.name, {users.topic, orders.topic}}};
  const auto done = [&] { return users.progress(target, users.name); };
  eventually(seconds{30}, "the backlog is begun", [&] { return done() > 0; });
  CHECK(time_of(orders, target, 1, "users has much behind") < seconds{1});
  CHECK(done() < users.end() * 2 / 3);  // or it was no test
  users.await_equal(target);
  check_only_forward(target, users.name);
  CHECK(daemon.stop() == 0);
}
