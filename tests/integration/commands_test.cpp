// What a pipeline tells of itself while it runs, and what it can be told.
#include "catch.hpp"
#include "pipeline_fixture.hpp"

using namespace lockstep;
using lockstep::test::eventually;
using Fixture = lockstep::test::PipelineFixture;
using std::chrono::seconds;
using Kind = SinkError::Kind;
using State = Lane::State;
using Verb = pipeline::Command::Verb;

TEST_CASE("status: at every moment of a drain its parts agree, and at its end nothing is behind") {
  Fixture f{"status"};
  f.limits.max_events = 50;
  constexpr int of_each = 5000;
  for (int i = 0; i < of_each; ++i) {
    f.produce("a", i, "1");
    f.produce("b", i, "1");
  }
  f.broker.flush();
  f.start();
  std::uint64_t before = 0;
  eventually(seconds{30}, "nothing is behind", [&] {
    const auto status = f.status();
    std::uint64_t changes = 0;
    std::size_t bytes = 0;
    std::int64_t lag = 0;
    std::size_t in_flight = 0;
    for (const auto& lane : status.lanes) {
      changes += lane.changes;
      bytes += lane.bytes;
      if (lane.in_flight_s) ++in_flight;
      std::int64_t applied = 0;
      for (const auto& partition : lane.partitions) {
        lag += partition.lag;
        CHECK(partition.applied <= partition.read);
        if (partition.applied) applied += partition.applied->value;
        if (partition.end) CHECK(partition.read <= partition.end);
      }
      CHECK(applied == static_cast<std::int64_t>(lane.changes));
    }
    CHECK(changes == status.counters.changes);
    CHECK(status.counters.records == status.counters.changes);
    CHECK(changes >= before);
    CHECK(bytes == status.buffered_bytes);
    CHECK(lag == status.lag);
    CHECK(in_flight <= status.busy_writers);
    CHECK(status.busy_writers <= status.writers);
    before = changes;
    return changes == 2 * of_each;
  });
  const auto status = f.status();
  CHECK(status.name == f.name);
  CHECK(status.assigned == 2);
  CHECK(status.kafka_reachable);
  CHECK(status.target_outage.empty());
  CHECK(status.writers == 2);
  CHECK(status.busy_writers == 0);
  CHECK(status.buffered_bytes == 0);
  CHECK(status.lag == 0);
  CHECK(status.lag_s == 0);
  REQUIRE(status.lanes.size() == 2);
  for (const auto& lane : status.lanes) {
    CHECK(lane.state == State::reading);
    CHECK(lane.cause.empty());
    CHECK(lane.newest_ts_us == 1);
    REQUIRE(lane.partitions.size() == 1);
    CHECK(lane.partitions[0].applied == NextOffset{of_each});
    CHECK(lane.partitions[0].end == NextOffset{of_each});
  }
}

TEST_CASE("status: a table that waits, one that has stopped and a target that is away are told") {
  Fixture f{"trouble"};
  f.start();
  f.produce("a", 1, "1");
  f.produce("b", 1, "1");
  f.broker.flush();
  f.await_rows(2);

  f.refuse("a", {.kind = Kind::busy, .message = "locked"});
  for (int i = 2; i < 5; ++i) f.produce("a", i, "1");
  f.broker.flush();
  f.await_state("a", State::waiting);
  eventually(seconds{20}, "a second try", [&] { return f.lane("a").failures >= 2; });
  auto a = f.lane("a");
  CHECK(a.cause == "locked");
  CHECK(a.trouble_s > 0);
  CHECK(a.bytes > 0);
  CHECK(a.partitions.at(0).applied == NextOffset{1});
  CHECK(f.status().lag == 3);
  CHECK(f.status().lag_s > 0);
  CHECK(f.lane("b").state == State::reading);

  f.refuse("a", {.kind = Kind::refused, .message = "no such thing"});
  f.await_state("a", State::stopped);
  a = f.lane("a");
  CHECK(a.cause.find("no such thing") != std::string::npos);
  CHECK(a.bytes == 0);
  CHECK(a.partitions.at(0).applied == NextOffset{1});

  f.refuse("b", {.kind = Kind::unavailable, .message = "away"});
  f.produce("b", 2, "1");
  f.broker.flush();
  eventually(seconds{20}, "the outage is told", [&] { return f.status().target_outage == "away"; });
  CHECK(f.lane("b").state == State::reading);
  f.mend();
  f.await_rows(3);
  eventually(seconds{20}, "the outage is over", [&] { return f.status().target_outage.empty(); });
}

TEST_CASE("tell: a paused table is left alone while another goes on, and resumes without loss") {
  Fixture f{"pause"};
  f.start();
  for (int i = 0; i < 100; ++i) f.produce("a", i, "1");
  f.broker.flush();
  f.await_rows(100);
  // The sink has them before the pipeline knows: what it hears of after the pause it leaves alone.
  eventually(seconds{20}, "the rows are known to be applied",
             [&] { return f.lane("a").partitions.at(0).applied == NextOffset{100}; });
  CHECK_FALSE(f.tell(Verb::pause, "nowhere").has_value());
  REQUIRE(f.tell(Verb::pause, "a"));
  CHECK(f.lane("a").state == State::paused);
  for (int i = 100; i < 200; ++i) f.produce("a", i, "2");
  f.broker.flush();
  for (int i = 0; i < 10; ++i) f.produce("b", i, "1");  // come after those
  f.broker.flush();
  f.await_rows(110);
  REQUIRE(f.tell(Verb::retry, "a"));  // is about stopped ones
  CHECK(f.lane("a").state == State::paused);
  CHECK(f.lane("a").bytes == 0);
  CHECK(f.lane("a").partitions.at(0).applied == NextOffset{100});

  REQUIRE(f.tell(Verb::resume, "a"));
  f.await_rows(210);
  CHECK(f.lane("a").state == State::reading);
  f.await_committed("a", 200);
  CHECK_FALSE(f.applied.torn);
  CHECK(f.applied.changes == 210);
}

TEST_CASE("tell: a table can be paused and resumed in the midst of a backlog") {
  Fixture f{"pause_busy"};
  f.limits.max_events = 20;
  for (int i = 0; i < 30'000; ++i) f.produce("a", i, "1");
  f.broker.flush();
  f.start();
  for (int turn = 0; turn < 5; ++turn) {
    const auto changes = f.status().counters.changes;
    eventually(seconds{20}, "it goes on", [&] { return f.status().counters.changes > changes; });
    REQUIRE(f.tell(Verb::pause));
    CHECK(f.lane("a").batches == 0);
    REQUIRE(f.tell(Verb::resume));
  }
  f.await_rows(30'000);
  CHECK(f.applied.changes == 30'000);
}

TEST_CASE("tell: a paused table stays so across a rebalance") {
  Fixture f{"pause_rebalance", {"a", "b"}, 2};
  f.start();
  f.produce("a", 1, "1");
  f.broker.flush();
  f.await_rows(1);
  REQUIRE(f.tell(Verb::pause, "a"));
  auto other = f.join("other");
  eventually(seconds{30}, "the other has its share", [&] { return f.status().assigned == 2; });
  other.reset();
  eventually(seconds{30}, "all is ours again", [&] { return f.status().assigned == 4; });
  CHECK(f.lane("a").state == State::paused);
  for (int id = 2; id < 4; ++id) {
    f.produce("a", id, "1");
    f.produce("b", id, "1");
  }
  f.broker.flush();
  f.await_rows(3);
  REQUIRE(f.tell(Verb::resume, "a"));
  f.await_rows(5);
  CHECK(f.applied.changes == 5);
}

TEST_CASE("tell: a stopped table is tried again, and goes on once it is mended") {
  Fixture f{"retry"};
  f.refuse("a", {.kind = Kind::refused, .message = "no such thing"});
  for (int i = 0; i < 10; ++i) f.produce("a", i, "1");
  f.broker.flush();
  f.start();
  f.await_state("a", State::stopped);
  const auto attempts = [&] {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.attempts;
  };
  const int before = attempts();
  REQUIRE(f.tell(Verb::retry));
  eventually(seconds{20}, "another try", [&] { return attempts() > before; });
  f.await_state("a", State::stopped);
  f.mend();
  REQUIRE(f.tell(Verb::retry));
  f.await_rows(10);
  CHECK(f.lane("a").state == State::reading);
  CHECK(f.lane("a").cause.empty());
}

TEST_CASE("tell: a stopped table that is paused and resumed has forgotten its trouble") {
  Fixture f{"stopped_paused"};
  f.refuse("a", {.kind = Kind::refused, .message = "no such thing"});
  f.produce("a", 1, "1");
  f.broker.flush();
  f.start();
  f.await_state("a", State::stopped);
  REQUIRE(f.tell(Verb::pause, "a"));
  CHECK(f.lane("a").state == State::paused);
  CHECK(f.lane("a").cause.empty());
  f.mend();
  REQUIRE(f.tell(Verb::resume, "a"));
  f.await_rows(1);
  CHECK(f.lane("a").cause.empty());
}

TEST_CASE("status and tell: a pipeline that does not run says so") {
  Fixture f{"ended"};
  f.start();
  f.running->stop();
  CHECK(f.running->cause.empty());
  const auto status = f.pipeline().status(seconds{5});
  REQUIRE_FALSE(status);
  CHECK(status.error() == "the pipeline does not run");
  CHECK_FALSE(f.tell(Verb::retry).has_value());
}
