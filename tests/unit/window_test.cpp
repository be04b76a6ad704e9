// What counts for a load, when one is due, and what it is over with: without Redis.
#include "window.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::threshold;
using std::chrono::seconds;
using Due = Window::Due;

namespace {

const TopicPartition a{"a", 0};
const TopicPartition b{"b", 0};
const WallTime begin = std::chrono::sys_days{std::chrono::year{2026} / 11 / 30};

/// Of two topics, for more than three events or ten seconds.
struct WindowFixture {
  WindowFixture() { window.assigned({a, b}, begin); }

  void come(const TopicPartition& tp, std::int64_t from, std::int64_t to, WallTime when = begin) {
    for (auto offset = from; offset <= to; ++offset) window.came(tp, {offset}, when);
  }
  bool admits(const std::string& topic) const { return window.loading().contains(topic); }

  Window window{{.max_event = 3, .max_time = seconds{10}}};
};

}  // namespace

TEST_CASE("window: a load is due with one event more than max_event, and not before") {
  WindowFixture f;
  f.come(a, 0, 1);
  f.come(b, 0, 0);
  CHECK(f.window.count() == 3);
  CHECK_FALSE(f.window.due(false, begin));
  f.come(a, 2, 2);
  CHECK(f.window.due(false, begin) == Due::events);
}

TEST_CASE("window: a load is due once its first event has waited for max_time") {
  WindowFixture f;
  CHECK_FALSE(f.window.due(false, begin + seconds{100}));
  CHECK_FALSE(f.window.due(true, begin + seconds{100}));  // there is nothing to load
  f.come(a, 0, 0, begin);
  f.come(a, 1, 1, begin + seconds{9});
  CHECK(f.window.due_at() == begin + seconds{10});
  CHECK_FALSE(f.window.due(false, begin + seconds{9}));
  CHECK(f.window.due(false, begin + seconds{10}) == Due::time);
}

TEST_CASE("window: full memory makes a load due") {
  WindowFixture f;
  f.come(a, 0, 0);
  CHECK(f.window.due(true, begin) == Due::memory);
}

TEST_CASE("window: an event that is read again does not count again") {
  WindowFixture f;
  f.come(a, 0, 2);
  f.come(a, 0, 2);
  CHECK(f.window.count() == 3);
  f.come(a, 3, 3);
  CHECK(f.window.count() == 4);
}

TEST_CASE(
    "window: a load is for what had come when it began; each topic is shut where it is there") {
  WindowFixture f;
  f.come(a, 0, 2);
  f.come(b, 5, 5);
  f.window.open(begin + seconds{1});
  CHECK(f.window.count() == 0);
  CHECK(f.admits("a"));
  CHECK(f.admits("b"));
  f.window.applied(b, {6}, begin + seconds{2});
  CHECK_FALSE(f.admits("b"));
  f.window.applied(a, {2}, begin + seconds{2});
  CHECK(f.admits("a"));
  f.window.applied(a, {3}, begin + seconds{3});
  CHECK_FALSE(f.window.is_loading());
  CHECK(f.window.load() == Load{begin + seconds{1}, begin + seconds{3}, 4});
}

TEST_CASE("window: what comes while a load runs is the next one's, unless it is applied with it") {
  WindowFixture f;
  f.come(a, 0, 3);
  f.window.open(begin);
  f.come(a, 4, 6, begin + seconds{1});
  CHECK(f.window.count() == 3);
  CHECK(f.window.start() == begin + seconds{1});
  CHECK(f.window.applied(a, {6}, begin + seconds{2}));  // 4 and 5 went along
  CHECK(f.window.count() == 1);
  CHECK_FALSE(f.window.is_loading());
  f.window.applied(a, {7}, begin + seconds{3});
  CHECK(f.window.count() == 0);
  CHECK_FALSE(f.window.start());
}

TEST_CASE("window: an event of the running load that is read again is not the next one's") {
  WindowFixture f;
  f.come(a, 0, 3);
  f.window.open(begin);
  CHECK_FALSE(f.window.came(a, {2}, begin));
  CHECK(f.window.came(a, {4}, begin));
  CHECK(f.window.count() == 1);
}

TEST_CASE("window: a load ends without a table that stands, whose events don't count again") {
  WindowFixture f;
  f.come(a, 0, 3);
  f.come(b, 0, 0);
  f.window.open(begin);
  f.window.applied(b, {1}, begin);
  f.window.give_up("a", begin + seconds{5});
  CHECK_FALSE(f.window.is_loading());
  f.come(b, 1, 2);
  f.come(a, 0, 4);  // it is retried
  CHECK(f.window.count() == 3);
  f.window.applied(a, {4}, begin);
  CHECK(f.window.count() == 3);
  f.window.open(begin);
  CHECK(f.admits("a"));
}

TEST_CASE("window: a load that begins while tables of another wait is for both") {
  WindowFixture f;
  f.come(a, 0, 3);
  f.window.open(begin);
  f.come(b, 0, 4);
  f.window.open(begin + seconds{1});
  f.window.applied(b, {5}, begin + seconds{2});
  CHECK(f.window.is_loading());
  f.window.applied(a, {4}, begin + seconds{3});
  CHECK(f.window.load() == Load{begin, begin + seconds{3}, 9});
}

TEST_CASE(
    "window: a restart goes on with count and start, whatever is read before they are known") {
  WindowFixture before;
  before.come(a, 0, 1);
  before.come(b, 7, 7, begin + seconds{1});
  const auto gathered = before.window.gathered();

  const auto later = begin + seconds{5};
  WindowFixture f;
  SECTION("nothing") {
    f.window.restore(gathered, later);
    CHECK(f.window.count() == 3);
    f.come(a, 0, 1, later);
    f.come(b, 7, 7, later);
    CHECK(f.window.count() == 3);
  }
  SECTION("some of it, and what is new") {
    f.come(a, 0, 2, later);
    f.window.restore(gathered, later);
    CHECK(f.window.count() == 4);
    f.come(b, 7, 7, later);
    CHECK(f.window.count() == 4);
  }
  CHECK(f.window.start() == begin);
  CHECK(f.window.due(false, begin + seconds{10}));
}

TEST_CASE("window: what was counted before a crash and is in the target by now is forgotten") {
  WindowFixture before;
  before.come(a, 0, 1);
  before.come(b, 0, 0);
  WindowFixture f;
  f.window.restore(before.window.gathered(), begin);
  f.window.applied(a, {2}, begin);
  CHECK(f.window.count() == 3);  // it is not known of which partition they are
  f.window.applied(b, {1}, begin);
  CHECK(f.window.count() == 0);
  CHECK_FALSE(f.window.start());
  CHECK(f.window.take_forgot());  // redis may show it still
}

TEST_CASE("window: a load that a crash has interrupted goes on after the restart") {
  WindowFixture before;
  before.come(a, 0, 3);
  before.window.open(begin);
  before.come(a, 4, 4);
  before.come(b, 0, 0);
  const auto gathered = before.window.gathered();
  WindowFixture f;
  f.come(a, 2, 4);  // the target stood at 2
  f.window.restore(gathered, begin + seconds{2});
  CHECK(f.admits("a"));
  CHECK_FALSE(f.admits("b"));
  CHECK(f.window.count() == 2);
  f.window.applied(a, {5}, begin + seconds{3});
  CHECK(f.window.load() == Load{begin, begin + seconds{3}, 4});
  CHECK(f.window.count() == 1);
  CHECK_FALSE(f.window.take_forgot());
}

TEST_CASE("window: a load that was over when the daemon was killed does not go on") {
  WindowFixture before;
  before.come(a, 0, 3);
  before.window.open(begin);
  WindowFixture f;
  f.window.applied(a, {4}, begin);
  f.window.restore(before.window.gathered(), begin);
  CHECK_FALSE(f.window.is_loading());
}

TEST_CASE("window: a start in the future, of another clock, does not make the window longer") {
  WindowFixture f;
  f.window.restore({.count = 1, .window_start = begin + seconds{500}, .counted = {{a, {1}}}},
                   begin);
  CHECK(f.window.start() == begin);
}

TEST_CASE("window: what another has the partitions of does not count here") {
  WindowFixture f;
  f.come(a, 0, 3);
  f.come(b, 0, 0);
  f.window.open(begin);
  f.come(a, 4, 4);
  f.window.assigned({b}, begin + seconds{1});
  CHECK(f.window.count() == 0);
  CHECK_FALSE(f.admits("a"));
  f.window.applied(b, {1}, begin);
  CHECK_FALSE(f.window.is_loading());
}

TEST_CASE("window: only what has changed has to be kept anew") {
  WindowFixture f;
  CHECK(f.window.take_changed());
  CHECK_FALSE(f.window.take_changed());
  f.come(a, 0, 0);
  CHECK(f.window.take_changed());
  f.come(a, 0, 0);
  CHECK_FALSE(f.window.take_changed());
}
