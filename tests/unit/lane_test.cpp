#include "lockstep/batch/lane.hpp"

#include "catch.hpp"
#include "lockstep/batch/lanes.hpp"

using namespace lockstep;
using std::chrono::milliseconds;
using std::chrono::seconds;
using State = Lane::State;

namespace {

const Lane::Time start{seconds{1000}};

BatchLimits limits(std::size_t max_events, milliseconds max_wait = milliseconds{0}) {
  BatchLimits limits;
  limits.max_events = max_events;
  limits.max_bytes = 1024 * 1024;
  limits.max_wait = max_wait;
  return limits;
}

void add(Lane& lane, Lane::Time now, int records = 1, std::size_t bytes = 10) {
  for (int i = 0; i < records; ++i) {
    Batch& batch = lane.filling(now);
    batch.arena.allocate(bytes);
    batch.changes.push_back({});
    ++batch.records;
    lane.filled();
  }
}

void grow(Lanes& lanes, std::size_t index, std::size_t bytes) {
  const auto lane = lanes.change(index);
  add(*lane.operator->(), start, 1, bytes);
}

std::int64_t nothing(const Batch&) {
  return 0;
}
std::int64_t plenty(const Batch&) {
  return 1'000'000;
}

}  // namespace

TEST_CASE("lane: a change that comes alone, at the log's end, is handed over at once") {
  Lane lane{"t", limits(100)};
  CHECK_FALSE(lane.ready(start, false, nothing));
  add(lane, start);
  CHECK(lane.ready(start, false, nothing));
  const auto batch = lane.take(start);
  CHECK(batch->records == 1);
  CHECK(lane.in_flight());
  CHECK_FALSE(lane.empty());
  add(lane, start);
  CHECK_FALSE(lane.ready(start, false, nothing));  // one at a time: they must stay in order
  lane.applied();
  CHECK(lane.ready(start, false, nothing));
}

TEST_CASE("lane: max_wait is how long a batch waits for more") {
  Lane lane{"t", limits(100, milliseconds{50})};
  add(lane, start);
  CHECK_FALSE(lane.ready(start + milliseconds{49}, false, nothing));
  CHECK(lane.ready_at(start) == start + milliseconds{50});
  CHECK(lane.ready(start + milliseconds{50}, false, nothing));
  CHECK(lane.ready(start, true, nothing));  // memory is short
}

TEST_CASE("lane: the first batch after a rest is filled to an eighth, the next fills meanwhile") {
  Lane lane{"t", limits(800)};
  add(lane, start, 99);
  CHECK_FALSE(lane.ready(start, false, plenty));
  add(lane, start);
  CHECK(lane.ready(start, false, plenty));
  static_cast<void>(lane.take(start));
  add(lane, start, 150);
  lane.applied();
  CHECK_FALSE(lane.ready(start, false, plenty));
  add(lane, start, 650);
  CHECK(lane.take(start)->records == 800);
  lane.applied();  // and rests
  add(lane, start, 100);
  CHECK(lane.ready(start, false, plenty));
}

TEST_CASE("lane: a batch that the log can fill is filled first, but not for ever") {
  Lane lane{"t", limits(100)};
  add(lane, start);
  static_cast<void>(lane.take(start));
  add(lane, start);
  lane.applied();
  add(lane, start, 59);
  CHECK_FALSE(lane.ready(start, false, plenty));
  CHECK_FALSE(lane.ready(start, false, [](const Batch&) { return 40; }));
  CHECK(lane.ready(start, false, [](const Batch&) { return 39; }));
  CHECK(lane.ready_at(start) == start + Lane::longest_fill);
  CHECK(lane.ready(start + Lane::longest_fill, false, plenty));
  CHECK(lane.ready(start, true, plenty));
  add(lane, start, 60);
  CHECK(lane.queued() == 1);
  CHECK(lane.ready(start, false, plenty));
  CHECK(lane.take(start)->records == 100);
}

TEST_CASE("lane: a batch of skipped records only can wait a second: it moves offsets, no rows") {
  Lane lane{"t", limits(100)};
  ++lane.filling(start).records;
  lane.filled();
  CHECK_FALSE(lane.ready(start + milliseconds{999}, false, nothing));
  CHECK(lane.ready(start + seconds{1}, false, nothing));
}

TEST_CASE("lane: a busy table's batch comes back first and is held with a growing backoff") {
  Lane lane{"t", limits(10)};
  add(lane, start, 25);
  auto batch = lane.take(start);
  const Batch* const first = batch.get();
  auto now = start;
  const milliseconds waits[] = {milliseconds{100}, milliseconds{200},  milliseconds{400},
                                milliseconds{800}, milliseconds{1600}, milliseconds{2000},
                                milliseconds{2000}};
  for (const auto wait : waits) {
    lane.busy(std::move(batch), "locked", now);
    CHECK(lane.state() == State::waiting);
    CHECK(lane.trouble()->cause == "locked");
    CHECK(lane.trouble()->since == start);
    CHECK_FALSE(lane.ready(now + wait - milliseconds{1}, true, nothing));
    CHECK(lane.ready_at(now) == now + wait);
    now += wait;
    REQUIRE(lane.ready(now, false, nothing));
    batch = lane.take(now);
    CHECK(batch.get() == first);
  }
  CHECK(lane.trouble()->failures == 7);
  lane.applied();
  CHECK(lane.state() == State::reading);
  CHECK_FALSE(lane.trouble().has_value());
  CHECK(lane.ready(now, false, nothing));
}

TEST_CASE("lane: a batch whose connection was lost is not held") {
  Lane lane{"t", limits(10)};
  add(lane, start, 15);
  auto batch = lane.take(start);
  const Batch* const first = batch.get();
  lane.returned(std::move(batch));
  CHECK(lane.state() == State::reading);
  REQUIRE(lane.ready(start, false, nothing));
  CHECK(lane.take(start).get() == first);
}

TEST_CASE("lane: one that is stopped reads no more, but what it has read is applied") {
  Lane lane{"t", limits(10)};
  add(lane, start, 3);
  lane.stop("poison", start);
  CHECK(lane.state() == State::stopped);
  CHECK_FALSE(lane.takes_records());
  REQUIRE(lane.ready(start, false, plenty));  // nothing more will come to fill it
  auto batch = lane.take(start);
  lane.busy(std::move(batch), "locked", start);
  CHECK(lane.trouble()->cause == "poison");
  CHECK_FALSE(lane.ready(start, false, nothing));
  batch = lane.take(start + seconds{1});
  lane.applied();
  CHECK(lane.state() == State::stopped);
  CHECK(lane.trouble()->cause == "poison");
  lane.drop();
  lane.reopen();
  CHECK(lane.state() == State::reading);
  CHECK_FALSE(lane.trouble().has_value());
}

TEST_CASE("lane: one that is paused hands nothing over and holds nothing") {
  Lane lane{"t", limits(10)};
  add(lane, start, 25);
  const auto batch = lane.take(start);
  const auto generation = lane.generation();
  lane.pause();
  CHECK(lane.state() == State::paused);
  CHECK(lane.generation() != generation);
  CHECK(lane.in_flight());
  lane.forget_in_flight();
  CHECK(lane.empty());
  CHECK(lane.bytes() == 0);
  CHECK_FALSE(lane.takes_records());
  lane.reopen();
  CHECK(lane.state() == State::reading);
  add(lane, start);
  CHECK(lane.ready(start, false, nothing));
}

TEST_CASE("lane: one that had stopped and is paused has no trouble any more") {
  Lane lane{"t", limits(10)};
  lane.stop("no such thing", start);
  lane.pause();
  CHECK(lane.state() == State::paused);
  CHECK_FALSE(lane.trouble().has_value());
  lane.reopen();
  CHECK(lane.state() == State::reading);
  CHECK_FALSE(lane.trouble().has_value());
}

TEST_CASE("lane: a record that can't be used yet is read again once all before it is applied") {
  Lane lane{"t", limits(10)};
  add(lane, start, 2);
  lane.read_later("the brokers don't answer", start);
  CHECK(lane.state() == State::waiting);
  CHECK_FALSE(lane.takes_records());
  CHECK_FALSE(lane.reread_at().has_value());
  REQUIRE(lane.ready(start, false, plenty));
  static_cast<void>(lane.take(start));
  CHECK_FALSE(lane.reread_at().has_value());
  lane.applied();
  CHECK(lane.reread_at() == start + milliseconds{100});
  lane.reopen();
  CHECK(lane.takes_records());
  lane.read_later("the brokers don't answer", start + milliseconds{100});
  CHECK(lane.reread_at() == start + milliseconds{300});
}

TEST_CASE("lane: what needs more is read again, in ever larger batches until one is applied") {
  Lane lane{"t", limits(10)};
  add(lane, start, 25);
  const auto generation = lane.generation();
  static_cast<void>(lane.take(start));
  lane.forget_in_flight();
  lane.read_more_later("waits for table public.parents", start);
  CHECK(lane.state() == State::waiting);
  CHECK(lane.bytes() == 0);
  CHECK(lane.generation() > generation);
  CHECK(lane.reread_at() == start + milliseconds{100});
  lane.reopen();
  add(lane, start, 45);
  CHECK(lane.queued() == 2);
  CHECK(lane.take(start)->records == 20);
  lane.forget_in_flight();
  lane.read_more_later("waits for table public.parents", start);
  lane.reopen();
  add(lane, start, 45);
  CHECK(lane.take(start)->records == 40);
  lane.applied();
  CHECK_FALSE(lane.trouble().has_value());
  add(lane, start, 10);
  CHECK(lane.queued() == 1);
}

TEST_CASE("lane: one that gives its memory back tries again when its backoff says, not before") {
  Lane lane{"t", limits(10)};
  add(lane, start, 25);
  lane.busy(lane.take(start), "locked", start);
  lane.evict();
  CHECK(lane.bytes() == 0);
  CHECK(lane.state() == State::waiting);
  CHECK(lane.reread_at() == start + milliseconds{100});
  lane.hasten(start);
  CHECK(lane.reread_at() == start);
  lane.reopen();
  add(lane, start);
  lane.busy(lane.take(start), "locked", start);
  CHECK(lane.trouble()->failures == 2);  // it has not succeeded in between
}

TEST_CASE("lane: dropping forgets a wait, but not that it was stopped") {
  Lane lane{"t", limits(10)};
  add(lane, start, 5);
  lane.busy(lane.take(start), "locked", start);
  lane.drop();
  CHECK(lane.state() == State::reading);
  CHECK_FALSE(lane.trouble().has_value());
  lane.stop("poison", start);
  lane.drop();
  CHECK(lane.state() == State::stopped);
}

TEST_CASE("lanes: the one that was served for the shortest time is next, and a new one at once") {
  Lanes lanes{limits(10)};
  const auto backlog = lanes.index_of("backlog");
  const auto other = lanes.index_of("other");
  const auto fresh = lanes.index_of("fresh");
  CHECK(lanes.index_of("other") == other);
  CHECK(lanes.find("nowhere") == std::nullopt);
  for (const auto i : {backlog, other}) {
    const auto lane = lanes.change(i);
    add(*lane.operator->(), start, 100);
  }
  std::vector<std::size_t> served;
  for (int round = 0; round < 6; ++round) {
    const auto next = lanes.next_ready(start, nothing);
    REQUIRE(next);
    served.push_back(*next);
    static_cast<void>(lanes.change(*next)->take(start));
    // One is ten times as slow as the other.
    lanes.served(*next, *next == backlog ? seconds{10} : seconds{1});
    lanes.change(*next)->applied();
  }
  CHECK(served == std::vector{backlog, other, other, other, other, other});
  {
    const auto lane = lanes.change(fresh);
    add(*lane.operator->(), start);
  }
  const auto next = lanes.next_ready(start, nothing);
  CHECK(next != backlog);
  static_cast<void>(lanes.change(*next)->take(start));
  lanes.served(*next, seconds{1});
  lanes.change(*next)->applied();
  const auto after = lanes.next_ready(start, nothing);
  CHECK(((next == fresh && after == other) || (next == other && after == fresh)));
}

TEST_CASE("lanes: one that was idle for long has not saved up a right to be served alone") {
  Lanes lanes{limits(1)};
  const auto busy = lanes.index_of("busy");
  const auto idle = lanes.index_of("idle");
  const auto fill = [&](std::size_t i) {
    const auto lane = lanes.change(i);
    add(*lane.operator->(), start, 100);
  };
  const auto serve = [&] {
    const auto next = *lanes.next_ready(start, nothing);
    static_cast<void>(lanes.change(next)->take(start));
    lanes.served(next, seconds{1});
    lanes.change(next)->applied();
    return next;
  };
  fill(busy);
  for (int i = 0; i < 50; ++i) CHECK(serve() == busy);
  fill(idle);
  int of_busy = 0;
  for (int i = 0; i < 20; ++i) of_busy += serve() == busy ? 1 : 0;
  CHECK(of_busy >= 9);
}

TEST_CASE("lanes: one that holds its share is not read until it is down to half of it") {
  Lanes lanes{limits(1000)};  // 1 MiB a batch, 2 MiB in all
  const auto full = lanes.index_of("full");
  const auto other = lanes.index_of("other");
  grow(lanes, other, 10);
  CHECK(lanes.take_turned().empty());
  while (lanes.wants_reading(full)) grow(lanes, full, 100'000);
  CHECK(lanes.take_turned() == std::vector{full});
  CHECK(lanes.wants_reading(other));
  CHECK_FALSE(lanes.over_budget());
  CHECK(lanes[full].bytes() >= 700'000);
  CHECK(lanes[full].bytes() < 1'100'000);
  // What is in flight is still held.
  auto batch = lanes.change(full)->take(start);
  CHECK_FALSE(lanes.wants_reading(full));
  batch.reset();
  lanes.change(full)->applied();
  CHECK(lanes.wants_reading(full));
  CHECK(lanes.take_turned() == std::vector{full});
}

TEST_CASE("lanes: one with full batches enough for a writer is not read until one is taken") {
  Lanes lanes{limits(100)};  // 1 MiB each at most, 2 MiB in all
  const auto i = lanes.index_of("t");
  const auto batch = [&](std::size_t bytes_each) {
    const auto lane = lanes.change(i);
    add(*lane.operator->(), start, 100, bytes_each);
  };
  for (int full = 0; full < 3; ++full) batch(500);
  CHECK(lanes.wants_reading(i));
  batch(500);
  CHECK_FALSE(lanes.wants_reading(i));
  static_cast<void>(lanes.change(i)->take(start));
  CHECK(lanes.wants_reading(i));
  lanes.change(i)->drop();
  lanes.change(i)->forget_in_flight();
  for (int small = 0; small < 10; ++small) batch(1);  // next to nothing: a writer is through soon
  CHECK(lanes[i].queued() == 10);
  CHECK(lanes.wants_reading(i));
}

TEST_CASE("lanes: what gathers is read until its share is full, however many batches that is") {
  Lanes lanes{limits(100), true};
  const auto i = lanes.index_of("t");
  for (int batch = 0; batch < 8; ++batch) {
    const auto lane = lanes.change(i);
    add(*lane.operator->(), start, 100, 500);
  }
  CHECK(lanes[i].queued() == 8);
  CHECK(lanes.wants_reading(i));
  CHECK_FALSE(lanes.is_full());
  while (lanes.wants_reading(i)) grow(lanes, i, 100'000);
  CHECK(lanes.is_full());
  CHECK(lanes.bytes() < 1'300'000);
}

TEST_CASE("lanes: one that is not admitted has no turn, and takes none from the others") {
  Lanes lanes{limits(100)};
  const auto a = lanes.index_of("a");
  const auto b = lanes.index_of("b");
  grow(lanes, a, 10);
  grow(lanes, b, 10);
  const auto only = [](const std::string& topic) {
    return [topic](const Lane& lane) { return lane.topic() == topic; };
  };
  CHECK(lanes.next_ready(start, nothing, only("b")) == b);
  CHECK_FALSE(lanes.next_ready(start, nothing, only("c")));
}

TEST_CASE("lanes: one that holds its share is handed over before it is due: it grows no more") {
  Lanes lanes{limits(1'000'000, seconds{60})};
  const auto full = lanes.index_of("full");
  const auto other = lanes.index_of("other");
  grow(lanes, other, 10);
  grow(lanes, full, 100'000);
  CHECK_FALSE(lanes.next_ready(start, nothing).has_value());
  while (lanes.wants_reading(full)) grow(lanes, full, 100'000);
  REQUIRE(lanes[full].queued() == 0);  // not a whole batch
  CHECK(lanes.next_ready(start, nothing) == full);
}

TEST_CASE("lanes: of those that can't be served the largest gives its memory back") {
  Lanes lanes{limits(1'000'000)};
  const auto a = lanes.index_of("a");
  const auto b = lanes.index_of("b");
  const auto c = lanes.index_of("c");
  grow(lanes, a, 300'000);
  grow(lanes, b, 700'000);
  grow(lanes, c, 700'000);
  for (const auto i : {a, b}) {
    const auto lane = lanes.change(i);
    lane->busy(lane->take(start), "locked", start);
  }
  CHECK_FALSE(lanes.to_evict(start).has_value());  // there is room
  grow(lanes, c, 700'000);
  REQUIRE(lanes.over_budget());
  CHECK(lanes.to_evict(start) == b);
  CHECK_FALSE(lanes.to_evict(start + seconds{1}).has_value());  // their next try is due
  lanes.change(b)->evict();
  CHECK_FALSE(lanes.over_budget());
  CHECK(lanes.rereads(start).empty());
  CHECK(lanes.next_reread_at() == start + milliseconds{100});
  CHECK(lanes.rereads(start + seconds{1}) == std::vector{b});
  CHECK_FALSE(lanes.wants_reading(b));
  lanes.change(b)->reopen();
  CHECK(lanes.wants_reading(b));
  CHECK_FALSE(lanes.next_reread_at().has_value());
}
