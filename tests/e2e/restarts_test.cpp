// The daemon and everything around it stops, crashes and comes back while changes are made.
#include "catch.hpp"
#include "eventually.hpp"
#include "load.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

void await_progress(Load& load, std::int64_t offset) {
  eventually(seconds{60}, "progress beyond " + std::to_string(offset),
             [&] { return load.progress() >= offset; });
}

}  // namespace

TEST_CASE("100,000 inserts, 30,000 updates and 10,000 deletes under three SIGKILLs end up equal") {
  Load load{"kills", 100};
  Kafka kafka;
  Daemon daemon{load.table, load.config()};
  load.begin();

  std::int64_t last = 0;
  std::vector<std::int64_t> killed_at;
  // At any time: what Kafka takes for done is done. Asked first, so that it can only be older.
  const auto check_offsets = [&] {
    const auto committed = kafka.committed("lockstep." + load.table, load.topic, 0).value_or(0);
    const auto applied = load.progress();
    if (committed > applied) FAIL("Kafka's offset " << committed << " runs ahead of " << applied);
  };
  for (int kill = 0; kill < 3; ++kill) {
    eventually(
        seconds{90}, "30,000 records applied since the last start, and a transaction open", [&] {
          check_offsets();
          return load.progress() >= last + 30'000 &&
                 load.target.text(
                     "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep' "
                     "AND (state = 'active' OR state LIKE 'idle in transaction%')") != "0";
        });
    daemon.kill();
    last = load.progress();
    killed_at.push_back(last);
    check_offsets();
    daemon.start();
  }
  eventually(seconds{90}, "the load's end", [&] {
    check_offsets();
    return load.done();
  });
  load.await_equal();
  CHECK(load.source.number("SELECT count(*) FROM " + load.table) == 90'000);
  // Each kill hit a daemon that had applied much and had much before it.
  const auto end = kafka.end(load.topic, 0);
  for (const auto at : killed_at) CHECK(at + 5'000 < end);
  CHECK(daemon.stop() == 0);
  check_offsets();
}

TEST_CASE("SIGTERM under load ends with 0 in time, and the next start goes on from there") {
  Load load{"restarts", 40};
  Kafka kafka;
  Daemon daemon{load.table, load.config()};
  load.begin();
  std::int64_t last = 0;
  for (int restart = 0; restart < 3; ++restart) {
    await_progress(load, last + 8'000);
    REQUIRE(daemon.stop() == 0);
    last = load.progress();
    // It has left nothing behind: Kafka knows what is applied, and no session is open.
    CHECK(kafka.committed("lockstep." + load.table, load.topic, 0) == last);
    CHECK(kafka.members("lockstep." + load.table) == 0);
    daemon.start();
  }
  load.await_equal();
  CHECK(last < kafka.end(load.topic, 0));
  CHECK(daemon.count_in_log("Z warn") == daemon.count_in_log("topic does not exist yet"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a service that goes under load and comes back costs no change") {
  const auto [service, how, word] = GENERATE(table<std::string, Outage::How, std::string>({
      {"target", Outage::How::stop, "stopped"},
      {"target", Outage::How::kill, "killed"},
      {"kafka", Outage::How::stop, "stopped"},
      {"kafka", Outage::How::kill, "killed"},
      {"connect", Outage::How::kill, "killed"},
  }));
  CAPTURE(service, word);
  Load load{service + "_" + word, 30};
  Daemon daemon{load.table, load.config()};
  load.begin();
  await_progress(load, 8'000);
  Outage outage{service, how};
  if (service == "target") daemon.await_log("target unavailable", seconds{20});
  if (service == "kafka") daemon.await_log("kafka unreachable", seconds{20});
  CHECK(daemon.running());
  outage.end();
  load.await_equal();
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
