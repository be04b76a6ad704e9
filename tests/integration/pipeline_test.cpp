// How a pipeline works on a real broker, with a sink that is not real.
#include "lockstep/pipeline/pipeline.hpp"

#include "catch.hpp"
#include "pipeline_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using lockstep::test::eventually;
using Fixture = lockstep::test::PipelineFixture;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = SinkError::Kind;

TEST_CASE(
    "pipeline: batches chain without a gap, keep the limits, and the group's offset follows") {
  Fixture f{"chain"};
  f.limits.max_events = 100;
  for (int i = 0; i < 1000; ++i) f.produce("a", i, "1");
  for (int i = 0; i < 10; ++i) f.produce("b", i, "1");
  f.broker.flush();
  f.start();
  f.await_rows(1010);
  f.await_committed("a", 1000);
  f.await_committed("b", 10);
  f.stop();
  CHECK(f.ended_well);
  CHECK_FALSE(f.applied.torn);
  CHECK(f.applied.largest_batch <= 100);
  CHECK(f.applied.attempts >= 11);
}

TEST_CASE("pipeline: a change that comes alone is applied at once, not with the next fetch") {
  Fixture f{"alone"};
  constexpr milliseconds idle_fetch{2000};
  f.properties = {{"fetch.wait.max.ms", std::to_string(idle_fetch.count())}};
  f.start();
  f.produce("a", 0, "x");
  f.broker.flush();
  f.await_rows(1);
  std::vector<milliseconds> took;
  for (int i = 1; i <= 20; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    f.produce("a", i, "x");
    f.broker.flush();
    f.await_rows(static_cast<std::size_t>(i) + 1);
    took.push_back(
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin));
  }
  std::sort(took.begin(), took.end());
  CHECK(took[took.size() / 2] < idle_fetch / 2);
}

TEST_CASE("pipeline: a sink that is unavailable is given the same batch until it takes it") {
  Fixture f{"unavailable"};
  f.applied.refuse = [](const Batch&, int attempt) -> std::optional<SinkError> {
    if (attempt <= 3) return SinkError{Kind::unavailable, "not now"};
    return std::nullopt;
  };
  f.produce("a", 1, "x");
  f.broker.flush();
  f.start();
  f.await_rows(1);
  f.stop();
  CHECK(f.applied.attempts == 4);
  CHECK_FALSE(f.applied.torn);
}

TEST_CASE(
    "pipeline: stopping does not wait for a sink that stays unavailable, and commits nothing") {
  Fixture f{"stops"};
  f.applied.refuse = [](const Batch&, int) { return SinkError{Kind::unavailable, "never"}; };
  f.produce("a", 1, "x");
  f.broker.flush();
  f.start();
  eventually(seconds{20}, "a second attempt", [&] {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.attempts >= 2;
  });
  const auto begin = std::chrono::steady_clock::now();
  f.stop();
  CHECK(std::chrono::steady_clock::now() - begin < seconds{9});
  CHECK(f.ended_well);
  CHECK_FALSE(f.broker.committed("lockstep." + f.name, f.topic("a"), 0).has_value());
}

TEST_CASE("pipeline: a refused batch stops its table before the cause, and no other table") {
  Fixture f{"refused"};
  f.limits.max_events = 10;
  f.applied.refuse = [&](const Batch& batch, int) -> std::optional<SinkError> {
    for (const auto& change : batch.changes) {
      if (change.row[1].view() == "bad") return SinkError{Kind::refused, "no such thing"};
    }
    return std::nullopt;
  };
  for (int i = 0; i < 10; ++i) f.produce("a", i, "good");
  f.produce("a", 10, "bad");
  for (int i = 11; i < 50; ++i) f.produce("a", i, "after");
  f.broker.flush();
  f.start();
  f.await_rows(10);
  for (int i = 0; i < 20; ++i) f.produce("b", i, "good");
  f.broker.flush();
  f.await_rows(30);
  f.await_committed("b", 20);
  f.await_committed("a", 10);
  f.stop();
  CHECK(f.applied.positions[{f.topic("a"), 0}] == NextOffset{10});

  f.applied.refuse = nullptr;  // mended; a new start goes on where the table stood
  f.start();
  f.await_rows(70);
}

TEST_CASE("pipeline: a record that can't be decoded stops its table after what came before it") {
  Fixture f{"poison"};
  for (int i = 0; i < 5; ++i) f.produce("a", i, "good");
  f.broker.produce(f.topic("a"), 0, R"({"id":5})", "{\"nonsense\":");
  f.produce("a", 6, "after");
  f.produce("b", 1, "good");
  f.broker.flush();
  f.start();
  f.await_rows(6);
  f.produce("b", 2, "good");
  f.broker.flush();
  f.await_rows(7);
  f.stop();
  CHECK(f.applied.positions[{f.topic("a"), 0}] == NextOffset{5});
}

TEST_CASE("pipeline: a tombstone that comes first after a start finds the table of its topic") {
  Fixture f{"renamed", {}};
  const std::string topic = f.name + "_renamed";
  f.broker.create_topic(topic);
  f.topics = {topic};
  const auto put = [&](const std::string& table, int id) {
    const std::string id_text = std::to_string(id);
    f.broker.produce(topic, 0, R"({"id":)" + id_text + "}",
                     R"({"after":{"id":)" + id_text +
                         R"(,"v":"x"},"source":{"schema":"public","table":")" + table +
                         R"("},"op":"c"})");
  };
  put("a", 1);
  put("a", 2);
  f.broker.flush();
  f.start();
  f.await_rows(2);
  f.stop();
  f.broker.produce(topic, 0, R"({"id":1})", std::nullopt);
  f.broker.flush();
  f.start();
  f.await_rows(1);
  CHECK(f.applied.rows.contains("a/2"));

  put("b", 1);
  f.broker.flush();
  f.await_rows(2);
  f.stop();
  f.broker.produce(topic, 0, R"({"id":1})", std::nullopt);
  f.broker.flush();
  SECTION("of several, after a start as before it, it stops the table") {
    f.applied.tables[{topic, 0}].are_several = true;
    f.start();
    eventually(seconds{20}, "the table is stopped", [&] {
      const auto lanes = f.status().lanes;
      return lanes.size() == 1 &&
             lanes[0].cause.find("tombstone in a topic of several tables") != std::string::npos;
    });
  }
  SECTION("of none that is known, the topic's name must tell it") {
    f.applied.tables.clear();
    f.start();
    eventually(seconds{20}, "the table is stopped", [&] {
      const auto lanes = f.status().lanes;
      return lanes.size() == 1 &&
             lanes[0].cause.find("tombstone before any change that tells the topic's table") !=
                 std::string::npos;
    });
  }
}

TEST_CASE("pipeline: a large record that can't be decoded holds up no other table") {
  Fixture f{"large_poison"};
  f.produce("a", 1, "good");
  // The row is read, and takes memory, before the unknown op is.
  f.broker.produce(f.topic("a"), 0, R"({"id":2})",
                   R"({"before":null,"after":{"id":2,"v":")" + std::string(300'000, 'x') +
                       R"("},"source":{"schema":"public","table":"a","ts_us":1},"op":"?"})");
  f.broker.flush();
  f.start();
  f.await_rows(1);
  for (int i = 0; i < 10; ++i) f.produce("b", i, "good");
  f.broker.flush();
  f.await_rows(11);
}

TEST_CASE("pipeline: a position moved by another is read again and gone on from") {
  Fixture f{"moved"};
  for (int i = 0; i < 5; ++i) f.produce("a", i, "1");
  f.broker.flush();
  f.start();
  f.await_rows(5);
  {
    // Another owner has applied offset 5 in the meantime.
    const std::scoped_lock lock{f.applied.mutex};
    f.applied.positions[{f.topic("a"), 0}] = NextOffset{6};
  }
  f.produce("a", 5, "by another");
  f.produce("a", 6, "ours");
  f.broker.flush();
  f.await_rows(6);
  f.stop();
  CHECK(f.applied.rows.contains("a/6"));
  CHECK_FALSE(f.applied.rows.contains("a/5"));
  CHECK(f.applied.position_reads == 2);
}

TEST_CASE("pipeline: nothing is lost when partitions are paused for a slow sink") {
  Fixture f{"paused"};
  f.limits.max_events = 50;
  f.limits.max_bytes = 256 * 1024;
  std::atomic<bool> blocked{true};
  f.applied.refuse = [&](const Batch&, int) -> std::optional<SinkError> {
    if (blocked) return SinkError{Kind::unavailable, "busy"};
    return std::nullopt;
  };
  const std::string value(10'000, 'x');
  for (int i = 0; i < 2000; ++i) f.produce("a", i, value + std::to_string(i));
  f.broker.flush();
  f.start();
  const auto attempts = [&] {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.attempts;
  };
  const auto read = [&] { return f.lane("a").partitions.at(0).read.value_or(NextOffset{0}).value; };
  eventually(seconds{20}, "the buffers are full",
             [&] { return f.status().buffered_bytes >= f.limits.max_bytes; });
  const auto stopped_at = read();
  const auto before = attempts();
  eventually(seconds{20}, "two more attempts", [&] { return attempts() >= before + 2; });
  // It reads no further, although most of the log is before it.
  CHECK(read() < stopped_at + 50);
  CHECK(read() < 200);
  constexpr std::size_t largest_block = 64 * 1024;  // model/arena.hpp
  CHECK(f.status().buffered_bytes < 2 * f.limits.max_bytes + largest_block);
  CHECK(f.broker.members("lockstep." + f.name) == 1);
  blocked = false;
  f.await_rows(2000);
  f.await_committed("a", 2000);
  f.stop();
  CHECK_FALSE(f.applied.torn);
}

TEST_CASE("pipeline: a sink that throws stops the table that it threw for, and no other") {
  Fixture f{"throws"};
  f.applied.refuse = [of = f.topic("a")](const Batch& batch, int) -> std::optional<SinkError> {
    if (batch.slices.front().partition.topic == of) throw std::out_of_range{"somewhere"};
    return std::nullopt;
  };
  for (int i = 0; i < 10; ++i) f.produce("a", i, "1");
  f.broker.flush();
  f.start();
  f.await_state("a", Lane::State::stopped);
  CHECK(f.lane("a").cause.find("[0]@begin..9: internal error: somewhere") != std::string::npos);
  for (int i = 0; i < 10; ++i) f.produce("b", i, "1");
  f.broker.flush();
  f.await_rows(10);
  f.mend();
  REQUIRE(f.tell(pipeline::Command::Verb::retry));
  f.await_rows(20);
  CHECK_FALSE(f.applied.torn);
}
