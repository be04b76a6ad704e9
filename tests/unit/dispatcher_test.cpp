// What a sink's answer, or an operator's command, does to a table: on real writers with sinks that
// do what the test says, without a broker.
#include "dispatcher.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "catch.hpp"
#include "eventually.hpp"
#include "lockstep/batch/portions.hpp"
#include "wakeup.hpp"

using namespace lockstep;
using namespace lockstep::pipeline;
using lockstep::test::eventually;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;
using Kind = SinkError::Kind;
using State = Lane::State;
using Verb = Command::Verb;

namespace {

/// What the sinks have done, and what they are to answer next.
struct Target {
  std::mutex mutex;
  std::function<std::optional<SinkError>(const Batch&)> refuse;
  std::vector<std::string> applied;  ///< topic@next, in order
  int position_reads = 0;
  std::string undeliverable;  ///< why letters are
};

struct TargetSink : Sink {
  explicit TargetSink(Target& of) : target{of} {}
  Result<SinkPositions, SinkError> positions(const std::vector<TopicPartition>&) override {
    const std::scoped_lock lock{target.mutex};
    ++target.position_reads;
    return SinkPositions{};
  }
  Result<Done, SinkError> apply(const Batch& batch) override {
    const std::scoped_lock lock{target.mutex};
    if (target.refuse) {
      if (auto error = target.refuse(batch)) return *error;
    }
    for (const auto& slice : batch.slices) {
      target.applied.push_back(slice.partition.topic + "@" + std::to_string(slice.next.value));
    }
    return done;
  }
  Target& target;
};

std::vector<std::unique_ptr<Sink>> sinks(Target& target, int count) {
  std::vector<std::unique_ptr<Sink>> sinks;
  for (int i = 0; i < count; ++i) sinks.push_back(std::make_unique<TargetSink>(target));
  return sinks;
}

std::vector<std::unique_ptr<Sink>> only(std::unique_ptr<Sink> sink) {
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::move(sink));
  return sinks;
}

struct DispatcherFixture {
  using MakeSink = std::function<std::unique_ptr<Sink>(Target&)>;
  explicit DispatcherFixture(const MakeSink& make_late = {})
      : late_sink{make_late ? make_late(target) : nullptr},
        late{late_sink ? late_sink->late() : nullptr},
        writers{"p", late_sink ? only(std::move(late_sink)) : sinks(target, 2),
                [this] { wakeup.notify(); },
                [this](const Batch&) -> Result<Done, std::string> {
                  const std::scoped_lock lock{target.mutex};
                  if (target.undeliverable.empty()) return done;
                  return target.undeliverable;
                }} {
    for (const auto* topic : {"a", "b"})
      ledger.begin({topic, 0}, lanes.index_of(topic), std::nullopt);
    assignment.assigned({{"a", 0}, {"b", 0}}, Clock::now());
  }

  void read(const std::string& topic, std::int64_t offset) {
    auto& entry = *ledger.find(topic, 0);
    const auto lane = lanes.change(entry.lane);
    REQUIRE(lane->takes_records());
    Batch& batch = lane->filling(Clock::now());
    Slice& slice = batch.slice_of(topic, 0, entry.read);
    slice.next = NextOffset{offset + 1};
    entry.read = slice.next;
    batch.changes.push_back({});
    batch.changes.back().offset = {offset};
    ++batch.records;
    lane->filled();
  }
  /// The record is a letter, since it is to be skipped.
  void read_skipped(const std::string& topic, std::int64_t offset) {
    auto& entry = *ledger.find(topic, 0);
    const auto lane = lanes.change(entry.lane);
    Batch& batch = lane->filling(Clock::now());
    Letter& letter = batch.letters.emplace_back();
    letter.stage = Letter::Stage::skipped;
    letter.topic = lanes[entry.lane].topic();
    letter.offset = {offset};
    letter.error = "bad";
    Slice& slice = batch.slice_of(topic, 0, entry.read);
    slice.next = NextOffset{offset + 1};
    entry.read = slice.next;
    ++batch.records;
    lane->filled();
    lane->read_later("on its way", Clock::now());
  }
  /// Begins anew where the target stands.
  void begin(const std::string& topic, std::int64_t offset) {
    ledger.begin({topic, 0}, *lanes.find(topic), NextOffset{offset});
  }
  void stop_at_record(const std::string& topic, std::int64_t offset) {
    begin(topic, offset);
    refuse(topic, {.kind = Kind::refused, .message = "bad", .culprit = {{{topic, 0}, {offset}}}});
    read(topic, offset);
    turn_until("it stops", [&] { return lane(topic).state() == State::stopped; });
    mend();
  }
  Result<RecordPlace, CommandError> to_skip(const std::string& topic,
                                            std::optional<RecordPlace> record = std::nullopt) {
    return dispatcher.to_skip({Verb::skip, topic, std::move(record)});
  }
  /// Of the record that stops the topic; `told` has the answer: "", or "refused" or "failed" and
  /// why.
  void skip(const std::string& topic) {
    told.reset();
    dispatcher.skip(
        *to_skip(topic),
        [this](const Result<Done, CommandError>& answer) {
          const auto word = [](CommandError::Kind kind) {
            return kind == CommandError::Kind::refused ? "refused: " : "failed: ";
          };
          told = answer ? "" : word(answer.error().kind) + answer.error().message;
        },
        Clock::now());
    begin(topic, 7);
  }
  std::string answer() {
    turn_until("the answer is told", [&] { return told.has_value(); });
    return told.value_or("");
  }
  /// One round of the pipeline's loop.
  void turn() {
    dispatcher.take_answers(Clock::now());
    dispatcher.look_after(Clock::now());
    dispatcher.hand_over(Clock::now(), [](const TopicPartition&) { return std::nullopt; });
  }
  void turn_until(const std::string& what, const std::function<bool()>& condition) {
    eventually(seconds{20}, what, [&] {
      turn();
      return condition();
    });
  }
  std::vector<std::string> applied() {
    const std::scoped_lock lock{target.mutex};
    return target.applied;
  }
  void refuse(const std::string& topic, const SinkError& error) {
    const std::scoped_lock lock{target.mutex};
    target.refuse = [topic, error](const Batch& batch) -> std::optional<SinkError> {
      if (batch.slices.front().partition.topic != topic) return std::nullopt;
      return error;
    };
  }
  void mend() {
    const std::scoped_lock lock{target.mutex};
    target.refuse = nullptr;
  }
  const Lane& lane(const std::string& topic) { return lanes[*lanes.find(topic)]; }
  Result<Done, CommandError> tell(Verb verb, const std::string& topic) {
    return dispatcher.obey({verb, topic}, Clock::now());
  }

  Target target;
  Wakeup wakeup;
  Lanes lanes{{.max_events = 2, .max_bytes = 1024 * 1024, .max_wait = milliseconds{0}}};
  Ledger ledger;
  Report report{"p", lanes, ledger, Clock::now()};
  std::unique_ptr<Sink> late_sink;  // until the writers have it
  LateSink* late;
  Writers writers;
  std::optional<std::string> told;
  Letterbox letterbox{std::nullopt};
  debezium::Decoder decoder;
  Assignment assignment{"p", lanes, ledger, letterbox, decoder, writers};
  Dispatcher dispatcher{"p", lanes, ledger, letterbox, writers, assignment, report, late};
};

using Applied = std::vector<std::string>;

/// Takes what it is handed, and is done with it when the test says so.
struct Later : TargetSink, LateSink {
  using TargetSink::TargetSink;
  LateSink* late() noexcept override { return this; }
  Result<Done, SinkError> apply(const Batch& batch) override {
    const std::scoped_lock lock{target.mutex};
    for (auto& part : portions_of(batch).of_changes)
      taken.push_back({{part}, batch.generation, 1, {}});
    return done;
  }
  void attach(std::function<void()>, Deliver) override {}
  std::vector<LateAnswer> take_answers() override {
    const std::scoped_lock lock{target.mutex};
    return std::exchange(answers, {});
  }
  void forget(const std::string& topic, std::uint64_t generation) override {
    const std::scoped_lock lock{target.mutex};
    forgotten[topic] = generation;
  }
  bool settle(milliseconds) override { return true; }
  DestinationStatus status() const override { return {}; }
  void refuse(const std::string& topic, std::int64_t offset, std::uint64_t generation) {
    const std::scoped_lock lock{target.mutex};
    LateAnswer answer{.slices = {}, .generation = generation};
    answer.refusal = {{{topic, 0}, {offset}}, "too many"};
    answers.push_back(std::move(answer));
  }
  /// Done with what it took as number `i`.
  void finish(std::size_t i) {
    const std::scoped_lock lock{target.mutex};
    answers.push_back(taken.at(i));
  }
  std::vector<LateAnswer> taken;
  std::vector<LateAnswer> answers;
  std::map<std::string, std::uint64_t> forgotten;
};

struct LateFixture : DispatcherFixture {
  LateFixture() : DispatcherFixture{[](Target& of) { return std::make_unique<Later>(of); }} {}
  Later& later() { return static_cast<Later&>(*late); }
  std::size_t taken() {
    const std::scoped_lock lock{target.mutex};
    return later().taken.size();
  }
};

}  // namespace

TEST_CASE("dispatcher: what is applied may be committed") {
  DispatcherFixture f;
  for (int i = 0; i < 5; ++i) f.read("a", i);
  f.turn_until("all is applied", [&] { return f.applied().size() == 3; });
  CHECK(f.applied() == Applied{"a@2", "a@4", "a@5"});
  f.turn_until("the answers are taken", [&] { return f.writers.idle(); });
  CHECK(f.ledger.take_committable() == Positions{{{"a", 0}, {5}}});
  CHECK(f.lanes.bytes() == 0);
}

TEST_CASE("dispatcher: a busy table waits, the other goes on, and it goes on itself in order") {
  DispatcherFixture f;
  f.refuse("a", {.kind = Kind::busy, .message = "locked"});
  for (int i = 0; i < 3; ++i) f.read("a", i);
  f.turn_until("it waits", [&] { return f.lane("a").state() == State::waiting; });
  CHECK(f.lane("a").trouble()->cause == "locked");
  f.read("b", 0);
  f.turn_until("the other goes on", [&] { return f.applied() == Applied{"b@1"}; });
  f.turn_until("it is tried again", [&] { return f.lane("a").trouble()->failures >= 2; });
  f.mend();
  f.turn_until("it goes on",
               [&] { return f.lane("a").state() == State::reading && f.lane("a").empty(); });
  CHECK(f.applied() == Applied{"b@1", "a@2", "a@3"});
}

TEST_CASE("dispatcher: a refused batch stops its table before it, with the record or the range") {
  DispatcherFixture f;
  const bool known = GENERATE(true, false);
  SinkError error{.kind = Kind::refused, .message = "no such thing"};
  if (known) error.culprit = {{"a", 0}, {0}};
  f.refuse("a", error);
  for (int i = 0; i < 3; ++i) f.read("a", i);
  f.turn_until("it stops", [&] { return f.lane("a").state() == State::stopped; });
  CHECK(f.lane("a").trouble()->cause ==
        (known ? "a[0]@0: no such thing" : "a[0]@begin..1: no such thing"));
  CHECK(f.lane("a").bytes() == 0);
  CHECK_FALSE(f.ledger.find("a", 0)->reading);
  CHECK(f.ledger.take_committable().empty());
  f.read("b", 0);
  f.turn_until("the other goes on", [&] { return f.applied() == Applied{"b@1"}; });
}

TEST_CASE("dispatcher: what came before the refused record is applied, and nothing after it") {
  DispatcherFixture f;
  {
    const std::scoped_lock lock{f.target.mutex};
    f.target.refuse = [](const Batch& batch) -> std::optional<SinkError> {
      for (const auto& change : batch.changes) {
        if (change.offset == RecordOffset{1}) {
          return SinkError{.kind = Kind::refused, .message = "bad", .culprit = {{{"a", 0}, {1}}}};
        }
      }
      return std::nullopt;
    };
  }
  for (int i = 0; i < 5; ++i) f.read("a", i);
  f.turn_until("it stops", [&] { return f.lane("a").state() == State::stopped; });
  f.turn_until("the record before it is applied", [&] { return f.lane("a").empty(); });
  CHECK(f.applied() == Applied{"a@1"});
  CHECK(f.ledger.take_committable() == Positions{{{"a", 0}, {1}}});
  CHECK(f.lane("a").trouble()->cause == "a[0]@1: bad");
}

TEST_CASE(
    "dispatcher: what needs another table's changes waits for them, and the rest is applied") {
  DispatcherFixture f;
  {
    const std::scoped_lock lock{f.target.mutex};
    f.target.refuse = [&](const Batch& batch) -> std::optional<SinkError> {
      const bool parents_are_there = std::find(f.target.applied.begin(), f.target.applied.end(),
                                               "b@1") != f.target.applied.end();
      for (const auto& change : batch.changes) {
        if (change.offset != RecordOffset{1} || parents_are_there) continue;
        return SinkError{
            .kind = Kind::waits, .message = "waits for b", .culprit = {{{"a", 0}, {1}}}};
      }
      return std::nullopt;
    };
  }
  for (int i = 0; i < 2; ++i) f.read("a", i);
  f.turn_until("what came before is applied", [&] { return f.applied() == Applied{"a@1"}; });
  f.turn_until("it waits", [&] { return f.lane("a").empty(); });
  CHECK(f.lane("a").state() == State::waiting);
  CHECK(f.lane("a").trouble()->cause == "a[0]@1: waits for b");
  CHECK_FALSE(f.ledger.find("a", 0)->reading);
  CHECK(f.ledger.take_committable() == Positions{{{"a", 0}, {1}}});
  f.read("b", 0);
  f.turn_until("the other goes on", [&] { return f.applied() == Applied{"a@1", "b@1"}; });
  f.turn_until("its log is wanted again", [&] {
    f.dispatcher.look_after(Clock::now());
    return f.lane("a").takes_records();
  });
}

TEST_CASE("dispatcher: a table that waits for what does not come stops in the end") {
  DispatcherFixture f;
  f.refuse("a", {.kind = Kind::waits, .message = "waits for b", .culprit = {{{"a", 0}, {0}}}});
  const auto begin = Clock::now();
  const auto try_at = [&](seconds later) {
    f.lanes.change(*f.lanes.find("a"))->reopen();
    f.ledger.begin({"a", 0}, *f.lanes.find("a"), std::nullopt);
    f.read("a", 0);
    f.dispatcher.hand_over(begin + later, [](const TopicPartition&) { return std::nullopt; });
    eventually(seconds{20}, "it is answered", [&] {
      f.dispatcher.take_answers(begin + later);
      return !f.lane("a").in_flight();
    });
    return f.lane("a").state();
  };
  CHECK(try_at(seconds{1}) == State::waiting);
  CHECK(try_at(seconds{60}) == State::waiting);
  f.read("b", 0);
  f.dispatcher.hand_over(begin + seconds{61}, [](const TopicPartition&) { return std::nullopt; });
  eventually(seconds{20}, "another table is applied", [&] {
    f.dispatcher.take_answers(begin + seconds{61});
    return !f.lane("b").in_flight();
  });
  CHECK(try_at(seconds{120}) == State::waiting);
  CHECK(try_at(seconds{122}) == State::stopped);
  CHECK(f.lane("a").trouble()->cause == "a[0]@0: waits for b");
}

TEST_CASE("dispatcher: a connection's failure costs the table nothing") {
  DispatcherFixture f;
  f.refuse("a", {.kind = Kind::unavailable, .message = "away"});
  f.read("a", 0);
  f.turn_until("both have tried", [&] {
    return f.writers.seats()[0].failures > 0 && f.writers.seats()[1].failures > 0;
  });
  CHECK(f.lane("a").state() == State::reading);
  f.mend();
  f.turn_until("it is applied", [&] { return f.applied() == Applied{"a@1"}; });
}

TEST_CASE("dispatcher: a position moved by another makes its table begin again, not the others") {
  DispatcherFixture f;
  f.refuse("a", {.kind = Kind::moved, .message = "moved"});
  f.read("a", 0);
  const auto generation = f.lane("a").generation();
  f.turn_until("it begins again", [&] { return f.lane("a").generation() != generation; });
  CHECK(f.lane("a").state() == State::reading);
  CHECK_FALSE(f.ledger.find("a", 0)->reading);
  CHECK(f.ledger.find("b", 0)->reading);
  CHECK(f.lane("a").empty());
}

TEST_CASE("dispatcher: an answer that comes after the table has begun again counts for nothing") {
  DispatcherFixture f;
  f.read("a", 0);
  f.turn();
  {
    const auto lane = f.lanes.change(*f.lanes.find("a"));
    lane->drop();
    f.ledger.begin({"a", 0}, *f.lanes.find("a"), std::nullopt);
  }
  f.turn_until("the answer is taken", [&] { return !f.lane("a").in_flight(); });
  CHECK(f.ledger.take_committable().empty());
  CHECK(f.lanes.bytes() == 0);
}

TEST_CASE("dispatcher: commands turn a table's state, and say when there is no such topic") {
  DispatcherFixture f;
  CHECK_FALSE(f.tell(Verb::pause, "nowhere").has_value());
  CHECK(f.tell(Verb::pause, "a"));
  CHECK(f.lane("a").state() == State::paused);
  CHECK_FALSE(f.ledger.find("a", 0)->reading);
  CHECK(f.tell(Verb::retry, "a"));  // for stopped ones
  CHECK(f.lane("a").state() == State::paused);
  CHECK(f.tell(Verb::resume, "a"));
  CHECK(f.lane("a").state() == State::reading);
  CHECK_FALSE(f.ledger.find("a", 0)->reading);  // not before the target has told its position

  f.refuse("b", {.kind = Kind::refused, .message = "no such thing"});
  f.read("b", 0);
  f.turn_until("it stops", [&] { return f.lane("b").state() == State::stopped; });
  CHECK(f.tell(Verb::resume, "b"));  // for paused ones
  CHECK(f.lane("b").state() == State::stopped);
  CHECK(f.tell(Verb::retry, ""));
  CHECK(f.lane("b").state() == State::reading);
}

TEST_CASE("dispatcher: what is skipped is answered once it is passed, and nothing else is") {
  DispatcherFixture f;
  f.stop_at_record("a", 7);
  CHECK(f.to_skip("a", RecordPlace{{"a", 0}, {7}}));
  f.skip("a");
  CHECK(f.lane("a").state() == State::reading);
  REQUIRE(f.letterbox.skipped({{"a", 0}, {7}}) != nullptr);
  CHECK(*f.letterbox.skipped({{"a", 0}, {7}}) == "bad");
  f.read_skipped("a", 7);
  CHECK(f.answer().empty());
  CHECK_FALSE(f.letterbox.has_skips());
  CHECK(f.lane("a").takes_records());
  CHECK_FALSE(f.ledger.find("a", 0)->reading);  // all of the topic begins again
  f.begin("a", 8);
  f.read("a", 8);
  f.turn_until("what is behind it is applied", [&] {
    return f.applied() == Applied{"a@8", "a@9"};
  });
}

TEST_CASE("dispatcher: where nothing is to be skipped it is said why, and nothing changes") {
  DispatcherFixture f;
  const auto why_not = [&](const std::string& topic, std::optional<RecordPlace> record = {}) {
    const auto found = f.to_skip(topic, std::move(record));
    REQUIRE_FALSE(found);
    CHECK(found.error().kind == CommandError::Kind::refused);
    return found.error().message;
  };
  CHECK(why_not("nowhere") == "no topic nowhere in pipeline p");
  CHECK(why_not("a") == "the table has not stopped: it is reading");
  f.stop_at_record("a", 7);
  CHECK(why_not("a", RecordPlace{{"a", 0}, {6}}) ==
        "it is not a[0]@6 that stops the table, but a[0]@7: bad");

  SinkError error{.kind = Kind::refused, .message = "no such table"};
  SECTION("the range is known, not the record") {}
  SECTION("it is the table, whatever the record") {
    error.culprit = {{"b", 0}, {0}};
    error.is_about_table = true;
  }
  f.refuse("b", error);
  f.read("b", 0);
  f.turn_until("it stops", [&] { return f.lane("b").state() == State::stopped; });
  CHECK_THAT(why_not("b"), ContainsSubstring("it is not one record that stops the table: mend"));
  CHECK_THAT(why_not("b"), ContainsSubstring("no such table"));
  CHECK(f.lane("b").state() == State::stopped);
}

TEST_CASE("dispatcher: a letter that can't be delivered leaves its table stopped, and says so") {
  DispatcherFixture f;
  f.stop_at_record("a", 7);
  f.skip("a");
  f.target.undeliverable = "no such topic";
  f.read_skipped("a", 7);
  const std::string cause =
      "a[0]@7: bad; not skipped: dead letters can't be delivered: no such topic";
  CHECK(f.answer() == "failed: " + cause);
  CHECK(f.lane("a").state() == State::stopped);
  CHECK(f.lane("a").trouble()->cause == cause);
  CHECK(f.lane("a").empty());
  CHECK_FALSE(f.letterbox.has_skips());
  CHECK(f.applied().empty());
  f.target.undeliverable = "";
  f.skip("a");
  f.read_skipped("a", 7);
  CHECK(f.answer().empty());
}

TEST_CASE("dispatcher: a skip ends with what comes in between, and no later record is skipped") {
  DispatcherFixture f;
  f.stop_at_record("a", 7);
  f.skip("a");
  SECTION("the record is not in the log any more") {
    f.read("a", 9);
    CHECK_THAT(f.answer(), ContainsSubstring("refused: a[0]@7 is not in the log any more"));
    CHECK(f.lane("a").state() == State::reading);
  }
  SECTION("the log ends without the record") {
    f.ledger.find("a", 0)->end_reached = NextOffset{8};
    CHECK_THAT(f.answer(), ContainsSubstring("refused: a[0]@7 is not in the log any more"));
  }
  SECTION("the table is paused") {
    CHECK(f.tell(Verb::pause, "a"));
    CHECK(f.answer() == "failed: the table was paused meanwhile");
  }
  SECTION("it stops for another reason") {
    f.lanes.change(*f.lanes.find("a"))->stop("gone", Clock::now());
    CHECK(f.answer() == "failed: gone");
  }
  SECTION("it stops for another reason while the letter is on its way: that is waited for") {
    f.read_skipped("a", 7);
    f.lanes.change(*f.lanes.find("a"))->stop("gone", Clock::now());
    CHECK(f.answer().empty());
    CHECK(f.lane("a").state() == State::stopped);
  }
  SECTION("the partitions are given back") {
    f.dispatcher.give_up_skips("given back", Clock::now());
    CHECK(f.answer() == "failed: given back");
  }
  CHECK_FALSE(f.letterbox.has_skips());
}

TEST_CASE("dispatcher: the status tells each table's state, cause and positions") {
  DispatcherFixture f;
  f.refuse("a", {.kind = Kind::busy, .message = "locked"});
  f.read("a", 0);
  f.read("b", 4);
  f.turn_until("b is applied and a waits", [&] {
    return f.applied() == Applied{"b@5"} && f.lane("b").empty() &&
           f.lane("a").state() == State::waiting;
  });
  f.report.skipped("heartbeat");
  const auto status = f.report.status(nullptr, f.writers, f.assignment.size(), Clock::now());
  CHECK(status.name == "p");
  CHECK(status.assigned == 2);
  CHECK(status.writers == 2);
  CHECK(status.counters.changes == 1);
  CHECK(status.counters.retries >= 1);
  CHECK(status.counters.skipped == std::map<std::string, std::uint64_t>{{"heartbeat", 1}});
  CHECK(status.buffered_bytes == f.lanes.bytes());
  REQUIRE(status.lanes.size() == 2);
  CHECK(status.lanes[0].topic == "a");
  CHECK(status.lanes[0].cause == "locked");
  CHECK(status.lanes[0].failures >= 1);
  CHECK(status.lanes[0].bytes > 0);
  CHECK(status.lanes[1].state == State::reading);
  CHECK(status.lanes[1].changes == 1);
  REQUIRE(status.lanes[1].partitions.size() == 1);
  CHECK(status.lanes[1].partitions[0].applied == NextOffset{5});
  CHECK(status.lanes[1].partitions[0].read == NextOffset{5});
}

TEST_CASE("dispatcher: of a sink that is done later, what is done without a gap may be committed") {
  LateFixture f;
  for (int i = 0; i < 4; ++i) f.read("a", i);
  f.turn_until("it has taken all", [&] { return f.taken() == 4; });
  f.turn_until("the writer is free", [&] { return f.lane("a").empty(); });
  CHECK(f.ledger.take_committable().empty());

  f.later().finish(1);
  f.later().finish(3);
  f.turn();
  CHECK(f.ledger.take_committable().empty());
  f.later().finish(0);
  f.turn();
  CHECK(f.ledger.take_committable() == Positions{{{"a", 0}, {2}}});
  f.later().finish(2);
  f.turn();
  CHECK(f.ledger.take_committable() == Positions{{{"a", 0}, {4}}});
}

TEST_CASE("dispatcher: a sink that is done later is told what is not wanted any more") {
  LateFixture f;
  f.read("a", 0);
  f.read("a", 1);
  f.turn_until("it has taken them", [&] { return f.taken() == 2 && f.lane("a").empty(); });
  REQUIRE(f.tell(Verb::pause, "a"));
  f.turn();
  CHECK(f.later().forgotten.at("a") == f.lane("a").generation());
  CHECK(f.later().taken.at(0).generation < f.lane("a").generation());

  f.later().finish(0);  // it ran already: it is handed over again, and counts then
  f.turn();
  CHECK(f.ledger.take_committable().empty());
}

TEST_CASE(
    "dispatcher: a topic that a sink refuses later stops, and what it has begun still counts") {
  LateFixture f;
  for (int i = 0; i < 4; ++i) f.read("a", i);
  f.turn_until("it has taken all", [&] { return f.taken() == 4 && f.lane("a").empty(); });
  f.later().refuse("a", 2, f.lane("a").generation());
  f.later().finish(0);
  f.turn();
  REQUIRE(f.lane("a").state() == State::stopped);
  CHECK(f.lane("a").trouble()->cause == "a[0]@2: too many");
  CHECK(f.lane("a").trouble()->record == RecordPlace{{"a", 0}, {2}});
  CHECK_FALSE(f.lane("a").takes_records());
  CHECK(f.lane("b").state() == State::reading);
  f.later().finish(1);
  f.turn();
  CHECK(f.ledger.take_committable() == Positions{{{"a", 0}, {2}}});

  const auto refused = f.lane("a").generation();
  REQUIRE(f.tell(Verb::retry, "a"));
  CHECK(f.lane("a").state() == State::reading);
  f.turn();
  CHECK(f.later().forgotten.at("a") > refused);
  f.later().refuse("a", 2, refused);  // of what it was told to forget
  f.turn();
  CHECK(f.lane("a").state() == State::reading);
}
