// Which partitions begin where, and what is paused, without a broker.
#include "assignment.hpp"

#include "catch.hpp"
#include "eventually.hpp"
#include "wakeup.hpp"

using namespace lockstep;
using namespace lockstep::pipeline;
using lockstep::test::eventually;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const TopicPartition a0{"a", 0};
const TopicPartition a1{"a", 1};
const TopicPartition b0{"b", 0};
using Partitions = std::vector<TopicPartition>;

/// Notes what it is told.
struct NotingFetcher : Fetcher {
  Result<Positions, kafka::KafkaError> assign(const std::vector<kafka::Consumer::Start>& starts,
                                              milliseconds) override {
    ++assigns;
    if (fails) return kafka::KafkaError{"no answer"};
    assigned.clear();
    for (const auto& start : starts) assigned[start.partition] = start.at;
    return of_group;
  }
  void pause(const Partitions& partitions) override {
    paused.insert(partitions.begin(), partitions.end());
  }
  void resume(const Partitions& partitions) override {
    for (const auto& tp : partitions) paused.erase(tp);
  }

  bool fails = false;
  int assigns = 0;
  Positions of_group;
  std::map<TopicPartition, std::optional<NextOffset>> assigned;
  std::set<TopicPartition> paused;
};

struct PositionSink : Sink {
  PositionSink(const Positions& at, const std::optional<SourceTables>& of)
      : known{at}, tables{of} {}
  Result<SinkPositions, SinkError> positions(const Partitions& partitions) override {
    SinkPositions found;
    for (const auto& tp : partitions) {
      if (known.contains(tp)) found[tp] = {known.at(tp), tables};
    }
    return found;
  }
  Result<Done, SinkError> apply(const Batch&) override { return done; }
  const Positions& known;
  const std::optional<SourceTables>& tables;
};

struct AssignmentFixture {
  AssignmentFixture() : writers{"p", sinks(), [this] { wakeup.notify(); }} {}
  std::vector<std::unique_ptr<Sink>> sinks() const {
    std::vector<std::unique_ptr<Sink>> one;
    one.push_back(std::make_unique<PositionSink>(target, tables));
    return one;
  }

  void follow() { assignment.follow(fetcher, now); }
  void take_answer() {
    eventually(seconds{20}, "an answer", [&] {
      auto answers = writers.take(now);
      for (const auto& answer : answers) assignment.positions_read(answer, now);
      return !answers.empty();
    });
  }
  void begin(const Partitions& partitions) {
    assignment.assigned(partitions, now);
    follow();
    take_answer();
    follow();
  }
  void apply(const std::string& topic) {
    const auto lane = lanes.change(lanes.index_of(topic));
    static_cast<void>(lane->take(now));
    lane->applied();
  }
  void fill(const std::string& topic, std::size_t bytes) {
    const auto lane = lanes.change(lanes.index_of(topic));
    Batch& batch = lane->filling(now);
    batch.arena.allocate(bytes);
    ++batch.records;
    lane->filled();
  }

  Lane::Time now{seconds{1000}};
  Positions target{{a0, {5}}, {b0, {7}}};
  std::optional<SourceTables> tables;
  NotingFetcher fetcher;
  Wakeup wakeup;
  Lanes lanes{{.max_events = 1000, .max_bytes = 1024 * 1024, .max_wait = {}}};
  Ledger ledger;
  Writers writers;
  Letterbox letterbox{std::nullopt};
  debezium::Decoder decoder;
  Assignment assignment{"p", lanes, ledger, letterbox, decoder, writers};
};

}  // namespace

TEST_CASE("assignment: partitions begin where the target stands, else where Kafka says") {
  AssignmentFixture f;
  f.assignment.assigned({a0, a1, b0}, f.now);
  CHECK(f.fetcher.assigns == 0);
  f.follow();
  CHECK(f.fetcher.assigns == 0);  // nothing is fetched before the target has answered
  f.take_answer();
  f.follow();
  CHECK(f.fetcher.assigned == std::map<TopicPartition, std::optional<NextOffset>>{
                                  {a0, NextOffset{5}}, {a1, std::nullopt}, {b0, NextOffset{7}}});
  CHECK(f.ledger.find("a", 0)->wants({5}));
  f.follow();
  CHECK(f.fetcher.assigns == 1);
}

TEST_CASE("assignment: what the target knows of a topic's table reaches its first tombstone") {
  AssignmentFixture f;
  f.tables = SourceTables{{"public", "users"}};
  f.begin({a0});
  Arena arena;
  const auto decoded = f.decoder.decode({"a", R"({"id":1})", std::nullopt}, arena);
  REQUIRE(std::holds_alternative<Change>(decoded));
  CHECK(to_string(*std::get<Change>(decoded).relation) == "public.users");
}

TEST_CASE("assignment: one table that begins again leaves the others where they are") {
  AssignmentFixture f;
  f.begin({a0, b0});
  f.ledger.find("b", 0)->read = NextOffset{20};
  f.target[a0] = NextOffset{9};
  f.assignment.begin_again("a", f.now + seconds{1});
  CHECK_FALSE(f.ledger.find("a", 0)->reading);
  f.follow();
  CHECK(f.assignment.next_at(f.now) == f.now + seconds{1});
  f.now += seconds{1};
  f.follow();
  f.take_answer();
  f.follow();
  CHECK(f.fetcher.assigned == std::map<TopicPartition, std::optional<NextOffset>>{
                                  {a0, NextOffset{9}}, {b0, NextOffset{20}}});
}

TEST_CASE("assignment: an answer that was asked for before a rebalance counts for nothing") {
  AssignmentFixture f;
  f.assignment.assigned({a0}, f.now);
  f.follow();
  f.assignment.revoked();
  f.assignment.assigned({b0}, f.now);
  f.take_answer();
  f.follow();
  CHECK(f.fetcher.assigns == 0);
  f.take_answer();
  f.follow();
  CHECK(f.fetcher.assigned.size() == 1);
  CHECK(f.fetcher.assigned.contains(b0));
}

TEST_CASE("assignment: what can't be assigned now is tried again in a second") {
  AssignmentFixture f;
  f.fetcher.fails = true;
  f.begin({a0});
  CHECK(f.fetcher.assigns == 1);
  f.follow();
  CHECK(f.fetcher.assigns == 1);
  CHECK(f.assignment.next_at(f.now) == f.now + seconds{1});
  f.fetcher.fails = false;
  f.now += seconds{1};
  f.follow();
  CHECK(f.fetcher.assigned.contains(a0));
}

TEST_CASE("assignment: a table that is stopped or paused is not fetched") {
  AssignmentFixture f;
  f.lanes.change(f.lanes.index_of("a"))->stop("poison", f.now);
  f.begin({a0, b0});
  CHECK(f.fetcher.assigned.size() == 1);
  CHECK(f.fetcher.assigned.contains(b0));
  f.lanes.change(f.lanes.index_of("b"))->pause();
  f.follow();
  CHECK(f.fetcher.paused == std::set<TopicPartition>{b0});
}

TEST_CASE("assignment: a table that holds its share is paused alone, and goes on with room") {
  AssignmentFixture f;
  f.begin({a0, a1, b0});
  while (f.lanes.wants_reading(f.lanes.index_of("a"))) f.fill("a", 100'000);
  f.follow();
  CHECK(f.fetcher.paused == std::set<TopicPartition>{a0, a1});
  f.apply("a");
  f.follow();
  CHECK(f.fetcher.paused.empty());
}

TEST_CASE("assignment: without memory for long, all is paused until half is free") {
  AssignmentFixture f;
  f.begin({a0, b0});
  f.fill("a", 2'200'000);
  REQUIRE(f.lanes.over_budget());
  f.follow();
  CHECK(f.assignment.reading_rests());
  CHECK(f.fetcher.paused == std::set<TopicPartition>{a0});
  f.now += milliseconds{500};
  f.follow();
  CHECK_FALSE(f.assignment.reading_rests());  // nothing comes now but the group's events
  CHECK(f.fetcher.paused == std::set<TopicPartition>{a0, b0});
  f.apply("a");
  f.follow();
  CHECK(f.fetcher.paused.empty());
}
