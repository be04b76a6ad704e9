#include "lockstep/pipeline/pipeline.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "catch.hpp"
#include "eventually.hpp"
#include "kafka.hpp"
#include "stack.hpp"

// The broker is real. The sink is not: it says no at moments that a database can't be made to
// choose, and keeps what it was given.

using namespace lockstep;
using lockstep::test::eventually;
using lockstep::test::Stack;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = SinkError::Kind;

namespace {

/// What the sink has applied; outlives it.
struct Applied {
  std::mutex mutex;
  Positions positions;
  std::map<std::string, std::string> rows;  ///< "table/id" to v
  std::size_t largest_batch = 0;
  int attempts = 0;
  int position_reads = 0;
  bool torn = false;  ///< a batch did not begin where the last applied one ended
  /// Asked before each attempt; the answer nullopt lets it through.
  std::function<std::optional<SinkError>(const Batch&, int attempt)> refuse;
};

class KeepingSink : public Sink {
 public:
  explicit KeepingSink(Applied& applied) : applied_{applied} {}

  Result<Positions, SinkError> positions(const std::vector<TopicPartition>& partitions) override {
    const std::scoped_lock lock{applied_.mutex};
    ++applied_.position_reads;
    Positions found;
    for (const auto& tp : partitions) {
      if (applied_.positions.contains(tp)) found[tp] = applied_.positions[tp];
    }
    return found;
  }

  Result<Done, SinkError> apply(const Batch& batch) override {
    const std::scoped_lock lock{applied_.mutex};
    ++applied_.attempts;
    if (applied_.refuse) {
      if (auto error = applied_.refuse(batch, applied_.attempts)) return *error;
    }
    for (const auto& slice : batch.slices) {
      const auto at = applied_.positions.find(slice.partition);
      const auto now = at == applied_.positions.end() ? std::nullopt : std::optional{at->second};
      if (now != slice.expected) {
        applied_.torn = true;
        return SinkError{Kind::moved, "not where the batch begins"};
      }
      applied_.positions[slice.partition] = slice.next;
    }
    for (const auto& change : batch.changes) {
      const std::string key = change.relation->table + "/" + std::string{change.key[0].view()};
      if (is_upsert(change.op)) {
        applied_.rows[key] = std::string{change.row[1].view()};
      } else {
        applied_.rows.erase(key);
      }
    }
    applied_.largest_batch = std::max(applied_.largest_batch, batch.records);
    return done;
  }

 private:
  Applied& applied_;
};

std::string key(int id) {
  return R"({"id":)" + std::to_string(id) + "}";
}
std::string change(const std::string& table, char op, int id, const std::string& v) {
  return std::string{R"({"before":null,"after":{"id":)"} + std::to_string(id) + R"(,"v":")" + v +
         R"("},"source":{"schema":"public","table":")" + table + R"(","ts_us":1},"op":")" + op +
         R"("})";
}

/// Two topics of the test's own and a pipeline that runs in a thread.
struct Fixture {
  explicit Fixture(const std::string& test) : name{test::unique("pipeline_test_" + test)} {
    for (const auto& table : {"a", "b"}) broker.create_topic(topic(table));
  }
  ~Fixture() { stop(); }

  std::string topic(const std::string& table) const { return name + ".public." + table; }
  void produce(const std::string& table, int id, const std::string& v) {
    broker.produce(topic(table), 0, key(id), change(table, 'c', id, v));
  }

  void start() {
    std::vector<std::unique_ptr<Sink>> sinks;
    for (int i = 0; i < 2; ++i) sinks.push_back(std::make_unique<KeepingSink>(applied));
    pipeline = std::make_unique<pipeline::Pipeline>(
        pipeline::PipelineConfig{name,
                                 {.brokers = Stack::from_environment().brokers,
                                  .group = "lockstep." + name,
                                  .topics = {topic("a"), topic("b")},
                                  .properties = {}},
                                 limits},
        std::move(sinks));
    thread = std::jthread{[this](const std::stop_token& stop) {
      auto ended = pipeline->run(stop);
      ended_well = ended.has_value();
    }};
  }
  void stop() {
    thread.request_stop();
    if (thread.joinable()) thread.join();
    pipeline.reset();
  }

  void await_rows(std::size_t count) {
    eventually(seconds{30}, std::to_string(count) + " rows", [&]() -> std::string {
      const std::scoped_lock lock{applied.mutex};
      return applied.rows.size() == count ? "" : std::to_string(applied.rows.size()) + " rows";
    });
  }
  void await_committed(const std::string& table, std::int64_t offset) {
    eventually(seconds{20}, "the group's offset", [&]() -> std::string {
      const auto now = broker.committed("lockstep." + name, topic(table), 0);
      return now == offset ? "" : now ? std::to_string(*now) : "none";
    });
  }

  const std::string name;
  test::Kafka broker;
  BatchLimits limits;
  Applied applied;
  std::unique_ptr<pipeline::Pipeline> pipeline;
  std::atomic<bool> ended_well{false};
  std::jthread thread;
};

}  // namespace

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
  // An idle fetch is answered after 100 ms (fetch.wait.max.ms).
  CHECK(took[took.size() / 2] < milliseconds{70});
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
  f.broker.produce(f.topic("a"), 0, key(5), "{\"nonsense\":");
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

TEST_CASE("pipeline: a large record that can't be decoded holds up no other table") {
  Fixture f{"large_poison"};
  f.produce("a", 1, "good");
  // The row is read, and takes memory, before the unknown op is.
  f.broker.produce(f.topic("a"), 0, key(2), change("a", '?', 2, std::string(300'000, 'x')));
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
  eventually(seconds{20}, "an attempt", [&] {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.attempts >= 4;  // long enough for the buffers to have filled
  });
  CHECK(f.broker.members("lockstep." + f.name) == 1);
  blocked = false;
  f.await_rows(2000);
  f.await_committed("a", 2000);
  f.stop();
  CHECK_FALSE(f.applied.torn);
}
