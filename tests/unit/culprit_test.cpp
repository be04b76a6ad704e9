#include "culprit.hpp"

#include <vector>

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

TEST_CASE("culprit: the search ends at the first that fails") {
  for (std::size_t size = 1; size <= 9; ++size) {
    for (std::size_t bad = 0; bad < size; ++bad) {
      CAPTURE(size, bad);
      int tries = 0;
      const auto found = narrow(size, [&](std::size_t n) -> std::optional<bool> {
        ++tries;
        return n > bad;
      });
      CHECK(found.is_one());
      CHECK(found.begin == bad);
      CHECK(tries <= 5);
    }
  }
}

TEST_CASE("culprit: what is not found is not guessed") {
  const auto nothing_fails = [](std::size_t) { return std::optional<bool>{false}; };
  CHECK_FALSE(narrow(8, nothing_fails).is_one());
  CHECK_FALSE(narrow(1, nothing_fails).is_one());
  CHECK_FALSE(narrow(0, nothing_fails).is_one());
  int tries = 0;
  const auto out_of_time = narrow(64, [&](std::size_t n) -> std::optional<bool> {
    if (++tries > 2) return std::nullopt;
    return n > 20;
  });
  CHECK(out_of_time.begin == 16);
  CHECK(out_of_time.end == 32);
}

TEST_CASE("culprit: a change's record is the one whose slice holds its offset") {
  Batch batch;
  const auto add = [&](const TopicPartition& partition, std::optional<std::int64_t> from,
                       std::int64_t next) {
    Slice slice;
    slice.partition = partition;
    if (from) slice.expected = NextOffset{*from};
    slice.next = {next};
    batch.slices.push_back(slice);
  };
  const auto record = [&](std::int32_t partition, std::int64_t offset) {
    Change change;
    change.partition = partition;
    change.offset = {offset};
    return name_of(batch, change);
  };
  add({"t", 0}, std::nullopt, 5);
  add({"t", 1}, 3, 5);
  CHECK(record(0, 4) == "t[0]@4");
  CHECK(record(1, 4) == "t[1]@4");
  CHECK(record(1, 2) == "at offset 2");
  add({"u", 1}, 4, 9);
  CHECK(record(1, 3) == "t[1]@3");
  CHECK(record(1, 8) == "u[1]@8");
  CHECK(record(1, 4) == "at offset 4");
}
