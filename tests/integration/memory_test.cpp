// Bounded memory must not come to a standstill.
#include "catch.hpp"
#include "pipeline_fixture.hpp"

using namespace lockstep;
using lockstep::test::eventually;
using Fixture = lockstep::test::PipelineFixture;
using std::chrono::seconds;

namespace {

// The budget is twice max_bytes, and the last record before it is used up may take one block more.
constexpr std::size_t largest_block = 64 * 1024;  // model/arena.hpp

void await_changes(Fixture& f, std::size_t at_least) {
  eventually(seconds{20}, std::to_string(at_least) + " changes", [&]() -> std::string {
    const std::scoped_lock lock{f.applied.mutex};
    return f.applied.changes >= at_least ? "" : std::to_string(f.applied.changes);
  });
}

}  // namespace

TEST_CASE("memory: many part-filled batches, none of them due, do not stall the reading") {
  std::vector<std::string> tables;
  for (int i = 0; i < 30; ++i) tables.push_back("t" + std::to_string(i));
  Fixture f{"many", tables};
  f.limits.max_bytes = 256 * 1024;
  f.limits.max_wait = seconds{60};
  constexpr int of_each = 50;
  const std::string value(2000, 'x');
  for (int i = 0; i < of_each; ++i) {
    for (const auto& table : tables) f.produce(table, i, value);
  }
  f.broker.flush();
  f.start();
  // What is left is less than the budget, and waits for more.
  await_changes(f, tables.size() * of_each - 2 * f.limits.max_bytes / value.size());
  CHECK(f.status().buffered_bytes < 2 * f.limits.max_bytes + largest_block);
  CHECK_FALSE(f.applied.torn);
}

TEST_CASE("memory: a table that has its share and is not due does not wait for others to fill up") {
  Fixture f{"share"};
  f.limits.max_bytes = 256 * 1024;
  f.limits.max_wait = seconds{60};
  f.start();
  f.produce("b", 1, "1");
  f.broker.flush();
  eventually(seconds{20}, "b holds a change", [&] { return f.lane("b").bytes > 0; });
  constexpr std::size_t count = 1000;
  const std::string value(2000, 'x');
  for (std::size_t i = 0; i < count; ++i) f.produce("a", static_cast<int>(i), value);
  f.broker.flush();
  await_changes(f, count - 2 * f.limits.max_bytes / value.size());
  CHECK_FALSE(f.applied.torn);
}

TEST_CASE("memory: what waits for its table makes room for what goes on") {
  Fixture f{"evicted"};
  f.limits.max_bytes = 256 * 1024;
  const std::string value(2000, 'x');
  constexpr int count = 1000;
  f.refuse("a", {.kind = SinkError::Kind::busy, .message = "locked"});
  for (int i = 0; i < count; ++i) f.produce("a", i, value);
  f.broker.flush();
  f.start();
  f.await_state("a", Lane::State::waiting);
  for (int i = 0; i < count; ++i) f.produce("b", i, value);
  f.broker.flush();
  f.await_rows(count);
  f.mend();
  f.await_rows(2 * count);
  CHECK(f.applied.changes == 2 * count);
  CHECK_FALSE(f.applied.torn);
}
