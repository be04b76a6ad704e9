#include "writers.hpp"

#include <atomic>
#include <set>
#include <thread>

#include "catch.hpp"
#include "eventually.hpp"
#include "wakeup.hpp"

using namespace lockstep;
using namespace lockstep::pipeline;
using lockstep::test::eventually;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = Writers::Clock;
using Kind = SinkError::Kind;

namespace {

/// A sink that does what the test says.
struct ScriptedSink : Sink {
  using Script = std::function<Result<Done, SinkError>(const Batch&)>;
  explicit ScriptedSink(Script what) : script{std::move(what)} {}

  Result<SinkPositions, SinkError> positions(
      const std::vector<TopicPartition>& partitions) override {
    SinkPositions positions;
    for (const auto& tp : partitions) positions[tp] = {NextOffset{7}};
    return positions;
  }
  Result<Done, SinkError> apply(const Batch& batch) override { return script(batch); }

  const Script script;
};

struct WritersFixture {
  WritersFixture(std::size_t count, const ScriptedSink::Script& script) {
    std::vector<std::unique_ptr<Sink>> sinks;
    for (std::size_t i = 0; i < count; ++i) sinks.push_back(std::make_unique<ScriptedSink>(script));
    writers.emplace("p", std::move(sinks), [this] { wakeup.notify(); });
  }

  void start(std::size_t lane, Clock::time_point now = Clock::now()) {
    writers->start(Writers::Apply{std::make_unique<Batch>(), lane, 3}, now);
  }
  /// The next answer; it has to come with a wake-up.
  Writers::Answer answer(Clock::time_point now = Clock::now()) {
    const auto deadline = Clock::now() + seconds{20};
    while (answers.empty()) {
      REQUIRE(Clock::now() < deadline);
      wakeup.wait(seconds{20});
      for (auto& one : writers->take(now)) answers.push_back(std::move(one));
    }
    auto first = std::move(answers.front());
    answers.erase(answers.begin());
    return first;
  }

  Wakeup wakeup;
  std::optional<Writers> writers;
  std::vector<Writers::Answer> answers;
};

}  // namespace

TEST_CASE("writers: as many batches are applied at once as there are sinks") {
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  WritersFixture f{3, [&](const Batch&) -> Result<Done, SinkError> {
                     most = std::max(most.load(), ++running);
                     eventually(seconds{20}, "all three run", [&] { return most == 3; });
                     --running;
                     return done;
                   }};
  const auto now = Clock::now();
  for (std::size_t lane = 0; lane < 3; ++lane) {
    REQUIRE(f.writers->has_free(now));
    f.start(lane, now);
  }
  CHECK_FALSE(f.writers->has_free(now));
  std::set<std::size_t> lanes;
  for (int i = 0; i < 3; ++i) {
    const auto answer = f.answer();
    CHECK(answer.result.has_value());
    lanes.insert(std::get<Writers::Apply>(answer.job).lane);
    CHECK(std::get<Writers::Apply>(answer.job).generation == 3);
    CHECK(std::get<Writers::Apply>(answer.job).batch != nullptr);
  }
  CHECK(lanes == std::set<std::size_t>{0, 1, 2});
  CHECK(f.writers->idle());
}

TEST_CASE("writers: positions are a job like any other") {
  WritersFixture f{1, [](const Batch&) -> Result<Done, SinkError> { return done; }};
  f.writers->start(Writers::ReadPositions{{{"t", 0}, {"t", 1}}, 5}, Clock::now());
  const auto answer = f.answer();
  REQUIRE(answer.result.has_value());
  CHECK(answer.result->positions == SinkPositions{{{"t", 0}, {{7}}}, {{"t", 1}, {{7}}}});
  CHECK(std::get<Writers::ReadPositions>(answer.job).assignment == 5);
}

TEST_CASE("writers: a connection that fails rests for a growing while, the others go on") {
  std::atomic<bool> down{true};
  WritersFixture f{2, [&](const Batch&) -> Result<Done, SinkError> {
                     if (down) return SinkError{.kind = Kind::unavailable, .message = "away"};
                     return done;
                   }};
  auto now = Clock::now();
  for (int failures = 1; failures <= 8; ++failures) {
    for (int writer = 0; writer < 2; ++writer) {
      REQUIRE(f.writers->has_free(now));
      f.start(0, now);
      CHECK_FALSE(f.answer(now).result.has_value());
      CHECK(f.writers->outage() == "away");
    }
    CHECK_FALSE(f.writers->has_free(now));
    const auto longest = milliseconds{std::min(100 << (failures - 1), 5000)};
    const auto at = f.writers->next_free_at(now);
    REQUIRE(at);
    CHECK(*at >= now + longest / 2);
    CHECK(*at <= now + longest);
    now += longest;
  }
  down = false;
  f.start(0, now);
  CHECK(f.answer(now).result.has_value());
  CHECK(f.writers->outage().empty());
  // The other need not wait out its backoff.
  f.start(0, now);
  CHECK(f.writers->has_free(now));
  CHECK(f.answer(now).result.has_value());
}

TEST_CASE("writers: what a sink throws is an answer, not the end of the process") {
  struct Case {
    const char* name;
    std::function<void()> raise;
    Kind kind;
  };
  const Case cases[] = {
      {"an exception", [] { throw std::out_of_range{"somewhere"}; }, Kind::refused},
      {"something else", [] { throw 7; }, Kind::refused},
      {"memory that ran out", [] { throw std::bad_alloc{}; }, Kind::unavailable},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      WritersFixture f{1, [&](const Batch&) -> Result<Done, SinkError> {
                         c.raise();
                         return done;
                       }};
      f.start(0);
      const auto answer = f.answer();
      REQUIRE_FALSE(answer.result.has_value());
      CHECK(answer.result.error().kind == c.kind);
    }
  }
}

TEST_CASE("writers: waiting for what runs ends with it, or with the deadline") {
  std::atomic<bool> held{true};
  WritersFixture f{2, [&](const Batch&) -> Result<Done, SinkError> {
                     eventually(seconds{20}, "it is let go", [&] { return !held; });
                     return done;
                   }};
  CHECK(f.writers->wait_idle(milliseconds{0}));
  f.start(0);
  CHECK_FALSE(f.writers->wait_idle(milliseconds{50}));
  held = false;
  CHECK(f.writers->wait_idle(seconds{20}));
  CHECK(f.answer().result.has_value());
}

TEST_CASE("writers: thousands of batches on several threads, each answered once") {
  std::atomic<int> applied{0};
  WritersFixture f{4, [&](const Batch&) -> Result<Done, SinkError> {
                     const int n = ++applied;
                     if (n % 7 == 0) return SinkError{.kind = Kind::busy, .message = "locked"};
                     return done;
                   }};
  constexpr std::size_t count = 5000;
  std::vector<int> answered(count, 0);
  std::size_t started = 0;
  for (std::size_t got = 0; got < count;) {
    while (started < count && f.writers->has_free(Clock::now())) f.start(started++);
    const auto answer = f.answer();
    ++answered[std::get<Writers::Apply>(answer.job).lane];
    ++got;
  }
  CHECK(std::all_of(answered.begin(), answered.end(), [](int n) { return n == 1; }));
  CHECK(applied == count);
  CHECK(f.writers->idle());
}

TEST_CASE("wakeup: a notification that nobody waits for is not lost, and is taken once") {
  Wakeup wakeup;
  wakeup.notify();
  wakeup.notify();
  auto begin = Clock::now();
  wakeup.wait(seconds{20});
  CHECK(Clock::now() - begin < seconds{10});
  begin = Clock::now();
  wakeup.wait(milliseconds{30});
  CHECK(Clock::now() - begin >= milliseconds{29});
}
