#include "culprit.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

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
