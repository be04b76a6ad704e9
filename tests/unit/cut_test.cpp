#include "lockstep/batch/cut.hpp"

#include "catch.hpp"

using namespace lockstep;

namespace {

Change change(std::int32_t partition, std::int64_t offset) {
  Change change;
  change.partition = partition;
  change.offset = {offset};
  change.source_ts_us = offset * 10;
  return change;
}

/// Of partition 0 the offsets 5 (skipped), 6, 8 and 9, of partition 1 the offsets 2 and 3.
Batch made() {
  Batch batch;
  batch.slices = {{{"t", 0}, NextOffset{5}, {10}, 90, "p9"},
                  {{"t", 1}, NextOffset{2}, {4}, 30, ""}};
  for (const auto& [partition, offset] :
       {std::pair{0, 6}, std::pair{1, 2}, std::pair{0, 8}, std::pair{1, 3}, std::pair{0, 9}}) {
    batch.changes.push_back(change(partition, offset));
  }
  batch.records = 6;
  return batch;
}

}  // namespace

TEST_CASE("cut: what arrived before the record is left, in each partition up to there") {
  Batch batch = made();
  REQUIRE(cut_before(batch, {{"t", 1}, {3}}));
  REQUIRE(batch.changes.size() == 3);
  CHECK(batch.changes.back().offset == RecordOffset{8});
  CHECK(batch.records == 3);
  REQUIRE(batch.slices.size() == 2);
  CHECK(batch.slices[0].expected == NextOffset{5});
  CHECK(batch.slices[0].next == NextOffset{9});
  CHECK(batch.slices[0].source_ts_us == 80);
  CHECK(batch.slices[1].expected == NextOffset{2});
  CHECK(batch.slices[1].next == NextOffset{3});
}

TEST_CASE("cut: a partition of which nothing is left is not in the batch any more") {
  Batch batch = made();
  REQUIRE(cut_before(batch, {{"t", 1}, {2}}));
  REQUIRE(batch.slices.size() == 1);
  CHECK(batch.slices[0].partition == TopicPartition{"t", 0});
  CHECK(batch.slices[0].next == NextOffset{7});
}

TEST_CASE("cut: in front of the first record nothing is left, and an unknown one cuts nothing") {
  Batch batch = made();
  CHECK_FALSE(cut_before(batch, {{"t", 0}, {7}}));
  CHECK_FALSE(cut_before(batch, {{"t", 2}, {8}}));
  batch.slices[0].expected = NextOffset{6};
  CHECK_FALSE(cut_before(batch, {{"t", 0}, {6}}));
}

TEST_CASE("cut: records that were skipped in front of it stay skipped") {
  Batch batch = made();
  REQUIRE(cut_before(batch, {{"t", 0}, {6}}));
  CHECK(batch.changes.empty());
  REQUIRE(batch.slices.size() == 1);
  CHECK(batch.slices[0].next == NextOffset{6});
  CHECK(batch.slices[0].source_ts_us == 0);
}
