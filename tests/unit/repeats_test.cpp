#include "repeats.hpp"

#include "catch.hpp"

using lockstep::kafka::Repeats;
using std::chrono::seconds;

TEST_CASE("repeats: a text is said once, then at most every minute with how often it came") {
  Repeats repeats;
  const auto begin = Repeats::Clock::now();
  CHECK(repeats.note("topic=t1", "timed out", begin) == 1);
  for (int i = 1; i < 60; ++i)
    CHECK(repeats.note("topic=t1", "timed out", begin + seconds{i}) == 0);
  CHECK(repeats.note("topic=t1", "timed out", begin + seconds{60}) == 60);
  CHECK(repeats.note("topic=t1", "timed out", begin + seconds{61}) == 0);
  CHECK(repeats.note("topic=t1", "timed out", begin + seconds{120}) == 2);
}

TEST_CASE("repeats: texts that differ in numbers only are one, others are not") {
  Repeats repeats;
  const auto now = Repeats::Clock::now();
  CHECK(repeats.note("topic=t1", "no answer after 501 ms", now) == 1);
  CHECK(repeats.note("topic=t1", "no answer after 1203 ms", now) == 0);
  CHECK(repeats.note("topic=t1", "refused", now) == 1);
  CHECK(repeats.note("topic=t2", "refused", now) == 1);
}

TEST_CASE("repeats: what has not come for long is new again") {
  Repeats repeats;
  const auto begin = Repeats::Clock::now();
  CHECK(repeats.note("topic=t1", "refused", begin) == 1);
  CHECK(repeats.note("topic=t1", "refused", begin + seconds{1}) == 0);
  CHECK(repeats.note("topic=t1", "refused", begin + seconds{300}) == 1);
}
