#include "lockstep/batch/portions.hpp"

#include "catch.hpp"

using namespace lockstep;

namespace {

Change changed(std::int32_t partition, std::int64_t offset) {
  Change change;
  change.partition = partition;
  change.offset = {offset};
  change.source_ts_us = offset * 10;
  return change;
}

}  // namespace

TEST_CASE("portions: each change has its slice from behind the one before, the last to the end") {
  Batch batch;
  batch.slices = {{{"t", 1}, NextOffset{2}, {4}, 0, ""},
                  {{"t", 0}, std::nullopt, {12}, 90, "p9"},
                  {{"t", 2}, NextOffset{7}, {9}, 0, ""}};
  batch.changes = {changed(0, 6), changed(1, 3), changed(0, 8), changed(0, 9)};

  const auto portions = portions_of(batch);
  REQUIRE(portions.of_changes.size() == 4);
  const auto& parts = portions.of_changes;
  CHECK(parts[0].partition == TopicPartition{"t", 0});
  CHECK(parts[0].expected == std::nullopt);
  CHECK(parts[0].next == NextOffset{7});
  CHECK(parts[0].source_ts_us == 60);
  CHECK(parts[1].partition == TopicPartition{"t", 1});
  CHECK(parts[1].expected == NextOffset{2});
  CHECK(parts[1].next == NextOffset{4});
  CHECK(parts[2].expected == NextOffset{7});
  CHECK(parts[2].next == NextOffset{9});
  CHECK(parts[3].expected == NextOffset{9});
  CHECK(parts[3].next == NextOffset{12});
  REQUIRE(portions.without_changes.size() == 1);
  CHECK(portions.without_changes[0].partition == TopicPartition{"t", 2});
  CHECK(portions.without_changes[0].expected == NextOffset{7});
  CHECK(portions.without_changes[0].next == NextOffset{9});
}
