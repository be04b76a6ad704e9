// The daemon and everything around it stops, crashes and comes back while changes are made.
#include "catch.hpp"
#include "eventually.hpp"
#include "load.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

/// One load, and what is done to those who carry it: between two faults it must have gone on.
struct Carried {
  Load load{"restarts", 100};
  Kafka kafka;
  const std::string group = "lockstep." + load.table;
  Daemon daemon{load.table, load.config()};

  /// What Kafka takes for done is done. Asked first, so that it can only be older. Not while Kafka
  /// comes back: this request makes librdkafka 2.0 crash then.
  void check_offsets() {
    const auto committed = kafka.committed(group, load.topic, 0).value_or(0);
    const auto progress = load.progress();
    if (committed > progress) FAIL("Kafka's offset " << committed << " is beyond " << progress);
  }
  void await_progress(std::int64_t records, const std::string& after) {
    const auto want = load.progress() + records;
    auto look_after_connector = std::chrono::steady_clock::now() + seconds{10};
    eventually(seconds{90}, std::to_string(records) + " records more after " + after, [&] {
      if (std::chrono::steady_clock::now() >= look_after_connector) {
        load.restart_failed_connector();
        look_after_connector += seconds{10};
      }
      return load.progress() >= want;
    });
  }
  bool in_transaction() {
    return load.target.text(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
               "AND (state = 'active' OR state LIKE 'idle in transaction%')") != "0";
  }
};

}  // namespace

TEST_CASE("100,000 inserts, 30,000 updates, 10,000 deletes and more under every fault end equal") {
  Carried test;
  Load& load = test.load;
  Daemon& daemon = test.daemon;
  load.begin();

  std::vector<std::int64_t> killed_at;
  for (int kill = 0; kill < 3; ++kill) {
    const auto begun = load.progress();
    eventually(seconds{90}, "20,000 records applied since the start, and a transaction open", [&] {
      test.check_offsets();
      return load.progress() >= begun + 20'000 && test.in_transaction();
    });
    daemon.kill();
    test.check_offsets();
    killed_at.push_back(load.progress());
    daemon.start();
  }
  test.await_progress(5'000, "the last SIGKILL");
  // Each hit a daemon that had much before it.
  for (const auto at : killed_at) CHECK(at + 5'000 < test.kafka.end(load.topic, 0));

  for (int restart = 0; restart < 3; ++restart) {
    REQUIRE(daemon.stop() == 0);
    // It has left nothing behind: Kafka knows what is applied, and no session is open.
    CHECK(test.kafka.committed(test.group, load.topic, 0) == load.progress());
    CHECK(test.kafka.members(test.group) == 0);
    daemon.start();
    test.await_progress(3'000, "a SIGTERM");
  }
  CHECK(daemon.count_in_log("Z warn") == daemon.count_in_log("topic does not exist yet"));

  for (int end = 0; end < 5; ++end) {
    eventually(seconds{20}, "a session that is ended in a transaction", [&] {
      return !load.target
                  .exec(
                      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                      "application_name = 'lockstep' "
                      "AND (state = 'active' OR state LIKE 'idle in transaction%')")
                  .empty();
    });
    test.await_progress(1'000, "a session's end");
  }

  struct Fault {
    std::string service;
    Outage::How how;
    std::string noticed;  ///< in the daemon's log; empty: it need not notice
  };
  const Fault faults[] = {
      {"target", Outage::How::stop, "target unavailable"},
      {"kafka", Outage::How::kill, "kafka unreachable"},
      {"source", Outage::How::stop, ""},
      {"connect", Outage::How::kill, ""},
      {"target", Outage::How::kill, "target unavailable"},
      {"source", Outage::How::kill, ""},
      {"kafka", Outage::How::stop, "kafka unreachable"},
  };
  for (const auto& [service, how, noticed] : faults) {
    CAPTURE(service, how);
    const int seen = noticed.empty() ? 0 : daemon.count_in_log(noticed);
    Outage outage{service, how};
    if (!noticed.empty()) daemon.await_log(noticed, seconds{20}, seen + 1);
    CHECK(daemon.running());
    outage.end();
    test.await_progress(3'000, service + "'s return");
  }

  eventually(seconds{60}, "100 steps of the load", [&] { return load.steps() >= 100; });
  load.await_equal();
  CHECK(load.source.number("SELECT count(*) FROM " + load.table) == 900LL * load.steps());
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
  CHECK(Kafka{}.committed(test.group, load.topic, 0) == load.progress());
}
