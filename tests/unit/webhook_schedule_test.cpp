#include <algorithm>

#include "catch.hpp"
#include "schedule.hpp"

using namespace lockstep::webhook;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = Schedule::Time;
using Ids = std::vector<Schedule::Id>;

namespace {

const Time start{std::chrono::hours{1}};

/// Of topic "t", each with a key of its own.
void add(Schedule& schedule, Schedule::Id first, Schedule::Id last) {
  for (auto id = first; id <= last; ++id) schedule.add(id, "t", std::to_string(id), false);
}

/// What begins first from `now` on; moves `now` there.
Ids begin_next(Schedule& schedule, Time& now) {
  for (int i = 0; i < 10; ++i) {
    const auto next = schedule.next_at(now);
    if (!next) return {};
    now = std::max(now, *next);
    if (auto begun = schedule.begin(now); !begun.empty()) return begun;
  }
  return {};
}

}  // namespace

TEST_CASE("webhook schedule: calls of a key go one after the other, the others at once") {
  Schedule schedule{{}};
  schedule.add(1, "t", "a", false);
  schedule.add(2, "t", "a", false);
  schedule.add(3, "t", "b", false);
  schedule.add(4, "other", "a", false);
  CHECK(schedule.begin(start) == Ids{1, 3, 4});
  CHECK(schedule.begin(start).empty());
  CHECK_FALSE(schedule.next_at(start));

  // One that fails holds up those behind it, until it succeeds.
  auto now = start;
  CHECK(schedule.failed(1, now));
  CHECK(schedule.begin(now).empty());
  CHECK(begin_next(schedule, now) == Ids{1});
  CHECK(now - start >= Schedule::backoff.first / 2);
  CHECK(now - start <= Schedule::backoff.first);
  schedule.answered(1);
  CHECK(schedule.begin(now) == Ids{2});
}

TEST_CASE("webhook schedule: one that is alone has all before it behind it, and none beside it") {
  Schedule schedule{{}};
  schedule.add(1, "t", "a", false);
  schedule.add(2, "t", "", true);
  schedule.add(3, "t", "a", false);
  schedule.add(4, "t", "", true);
  schedule.add(5, "other", "a", false);
  CHECK(schedule.begin(start) == Ids{1, 5});
  schedule.answered(1);
  CHECK(schedule.begin(start) == Ids{2});
  auto now = start;
  CHECK(schedule.failed(2, now));
  CHECK(begin_next(schedule, now) == Ids{2});
  schedule.answered(2);
  CHECK(schedule.begin(now) == Ids{3});
  schedule.drop(4);
  schedule.add(6, "t", "b", false);
  CHECK(schedule.begin(now) == Ids{6});
}

TEST_CASE("webhook schedule: no more are in flight, and begin in a second, than may") {
  Schedule bounded{{.max_in_flight = 2}};
  add(bounded, 1, 3);
  CHECK(bounded.begin(start) == Ids{1, 2});
  CHECK_FALSE(bounded.next_at(start));
  bounded.answered(2);
  CHECK(bounded.begin(start) == Ids{3});

  constexpr std::size_t rate = 50;
  Schedule paced{{.max_in_flight = 10'000, .rate = rate}};
  add(paced, 1, 400);
  std::vector<Time> times;
  for (auto now = start; times.size() < 300; now += milliseconds{1}) {
    for (const auto id : paced.begin(now)) {
      times.push_back(now);
      paced.answered(id);
    }
  }
  for (std::size_t i = 0; i + rate + 1 < times.size(); ++i) {
    CHECK(times[i + rate + 1] - times[i] >= seconds{1});
  }
  CHECK(times.back() - times.front() < milliseconds{6300});  // and not much fewer
}

TEST_CASE("webhook schedule: the destination rests as long as it wants, all its calls with it") {
  Schedule schedule{{.max_in_flight = 2}};
  add(schedule, 1, 3);
  REQUIRE(schedule.begin(start).size() == 2);
  schedule.rest(1, start, seconds{20});
  schedule.answered(2);
  CHECK(schedule.begin(start + seconds{19}).empty());
  CHECK(schedule.next_at(start) == start + seconds{20});
  CHECK(schedule.begin(start + seconds{20}) == Ids{1, 3});
}

TEST_CASE("webhook schedule: a call that fails while others succeed is given up at last") {
  Schedule schedule{{}};
  auto now = start;
  schedule.add(0, "t", "bad", false);
  bool kept = true;
  int tries = 0;
  for (Schedule::Id id = 1; kept; ++id, ++tries) {
    REQUIRE(tries < 100);
    schedule.add(id, "t", std::to_string(id), false);
    auto begun = begin_next(schedule, now);
    if (std::find(begun.begin(), begun.end(), 0) == begun.end()) {
      schedule.answered(id);
      begun = begin_next(schedule, now);
      REQUIRE(begun == Ids{0});
    } else {
      schedule.answered(id);
    }
    kept = schedule.failed(0, now);
  }
  CHECK(tries == Schedule::most_strikes);
  CHECK_FALSE(schedule.outage());
  CHECK(schedule.in_flight() == 0);
}

TEST_CASE("webhook schedule: while all fail none is given up, and one at a time is tried") {
  Schedule schedule{{.max_in_flight = 64}};
  add(schedule, 1, 20);
  auto now = start;
  for (const auto id : schedule.begin(now)) CHECK(schedule.failed(id, now));
  REQUIRE(schedule.outage());
  CHECK(schedule.outage()->since == start);
  // A day long; no call is the only one that is asked for.
  std::map<Schedule::Id, int> tried;
  int tries = 0;
  while (now - start < std::chrono::hours{24}) {
    const auto begun = begin_next(schedule, now);
    REQUIRE(begun.size() == 1);
    CHECK(schedule.begin(now + seconds{100}).empty());
    ++tried[begun[0]];
    ++tries;
    REQUIRE(schedule.failed(begun[0], now));
  }
  CHECK(tried.size() == 20);
  CHECK(tries < 24 * 60 * 60 / 15 + 10);  // each 15 to 30 s
  CHECK(tries > 24 * 60 * 60 / 30 - 10);

  // The first that succeeds ends it: all go at once.
  const auto begun = begin_next(schedule, now);
  schedule.answered(begun.at(0));
  CHECK_FALSE(schedule.outage());
  CHECK(schedule.begin(now).size() == 19);
}

TEST_CASE(
    "webhook schedule: one that can't succeed does not make a destination seem dead for good") {
  Schedule schedule{{}};
  auto now = start;
  schedule.add(1, "t", "bad", false);
  while (!schedule.outage()) {
    REQUIRE(begin_next(schedule, now) == Ids{1});
    REQUIRE(schedule.failed(1, now));
  }
  REQUIRE(begin_next(schedule, now) == Ids{1});
  REQUIRE(schedule.failed(1, now));
  schedule.add(2, "t", "good", false);
  CHECK(begin_next(schedule, now) == Ids{2});
  schedule.answered(2);
  CHECK_FALSE(schedule.outage());
}

TEST_CASE("webhook schedule: what is dropped makes room for what waits behind it") {
  Schedule schedule{{}};
  schedule.add(1, "t", "a", false);
  schedule.add(2, "t", "a", false);
  schedule.add(3, "t", "a", false);
  REQUIRE(schedule.begin(start) == Ids{1});
  CHECK(schedule.is_in_flight(1));
  schedule.drop(2);
  schedule.answered(1);
  CHECK(schedule.begin(start) == Ids{3});
  CHECK(schedule.failed(3, start));
  schedule.drop(3);
  CHECK_FALSE(schedule.next_at(start));
}
