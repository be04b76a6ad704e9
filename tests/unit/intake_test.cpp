// What a record does to its lane, without a broker.
#include "intake.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::pipeline;
using State = Lane::State;

namespace {

const std::string row =
    R"({"before":null,"after":{"id":1},"source":{"schema":"public","table":"a","ts_us":5},"op":"c"})";
const std::string truncation = R"({"source":{"schema":"public","table":"a","ts_us":6},"op":"t"})";
const std::string key = R"({"id":1})";
const Lane::Time now{std::chrono::seconds{1000}};

struct IntakeFixture {
  IntakeFixture() { ledger.begin(tp, lane_index, NextOffset{10}); }

  void accept(std::int64_t offset, const std::optional<std::string>& value,
              const debezium::Headers* headers = nullptr) {
    intake.accept(
        {{tp.topic, key, value, headers}, tp.partition, {offset}},
        [this](const std::string&) {
          ++counted;
          return partitions;
        },
        now);
  }
  const Lane& lane() const { return lanes[lane_index]; }
  std::optional<NextOffset> read() { return ledger.find(tp.topic, tp.partition)->read; }

  const TopicPartition tp{"s.public.a", 0};
  Lanes lanes{{.max_events = 100, .max_bytes = 1024 * 1024, .max_wait = {}}};
  const std::size_t lane_index = lanes.index_of(tp.topic);
  Ledger ledger;
  Report report{"p", lanes, ledger, now};
  Intake intake{lanes, ledger, report};
  std::optional<int> partitions = 1;
  int counted = 0;
};

}  // namespace

TEST_CASE("intake: a record is kept once, and moves what is read") {
  IntakeFixture f;
  f.accept(9, row);  // before where the partition begins
  CHECK(f.lane().empty());
  f.accept(10, row);
  f.accept(10, row);
  f.accept(13, row);
  CHECK(f.read() == NextOffset{14});
  const auto batch = f.lanes.change(f.lane_index)->take(now);
  REQUIRE(batch->changes.size() == 2);
  CHECK(batch->changes[1].offset == RecordOffset{13});
  REQUIRE(batch->slices.size() == 1);
  CHECK(batch->slices[0].expected == NextOffset{10});
  CHECK(batch->slices[0].next == NextOffset{14});
  CHECK(batch->slices[0].source_ts_us == 5);
}

TEST_CASE("intake: one that can't be decoded stops its lane in front of it") {
  IntakeFixture f;
  f.accept(10, row);
  f.accept(11, "{nonsense");
  f.accept(12, row);
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause,
             ContainsSubstring("s.public.a[0]@11: value: malformed JSON"));
  CHECK(f.read() == NextOffset{11});
  CHECK(f.lanes.change(f.lane_index)->take(now)->changes.size() == 1);
}

TEST_CASE("intake: a skipped record moves the position, and is no change") {
  IntakeFixture f;
  f.accept(10, R"({"source":{"schema":"public","table":"a"},"op":"m"})");
  CHECK(f.read() == NextOffset{11});
  const auto batch = f.lanes.change(f.lane_index)->take(now);
  CHECK(batch->records == 1);
  CHECK(batch->changes.empty());
}

TEST_CASE("intake: a truncate is kept where its order is known") {
  IntakeFixture f;
  f.accept(10, row);
  SECTION("one partition; asked for once") {
    f.accept(11, truncation);
    f.accept(12, truncation);
    CHECK(f.lane().state() == State::reading);
    CHECK(f.read() == NextOffset{13});
    CHECK(f.counted == 1);
    f.intake.forget_partition_counts();
    f.accept(13, truncation);
    CHECK(f.counted == 2);
  }
  SECTION("several partitions: it stops its lane") {
    f.partitions = 2;
    f.accept(11, truncation);
    CHECK(f.lane().state() == State::stopped);
    CHECK(f.read() == NextOffset{11});
  }
  SECTION("the brokers don't say: it waits to be read again") {
    f.partitions = std::nullopt;
    f.accept(11, truncation);
    f.accept(12, row);
    CHECK(f.lane().state() == State::waiting);
    CHECK(f.read() == NextOffset{11});
    CHECK_FALSE(f.lane().takes_records());
  }
}

TEST_CASE("intake: of a row's new key only the create is kept where their order is known") {
  struct OtherKey : debezium::Headers {
    std::optional<std::string_view> find(const char*) const override { return R"({"id":2})"; }
  };
  const OtherKey other_key;
  const std::string deleted =
      R"({"before":null,"after":null,"source":{"schema":"public","table":"a"},"op":"d"})";
  IntakeFixture f;
  const auto accept_all = [&] {
    f.accept(10, deleted, &other_key);
    f.accept(11, std::nullopt, &other_key);
    f.accept(12, row, &other_key);
  };
  SECTION("one partition") {
    accept_all();
    CHECK(f.read() == NextOffset{13});
    const auto batch = f.lanes.change(f.lane_index)->take(now);
    REQUIRE(batch->changes.size() == 1);
    CHECK(batch->changes[0].in_order);
    CHECK(batch->changes[0].other_key != nullptr);
    CHECK(batch->records == 3);
  }
  SECTION("several partitions") {
    f.partitions = 2;
    accept_all();
    const auto batch = f.lanes.change(f.lane_index)->take(now);
    REQUIRE(batch->changes.size() == 3);
    CHECK_FALSE(batch->changes[2].in_order);
  }
  SECTION("the brokers don't say: it waits to be read again") {
    f.partitions = std::nullopt;
    accept_all();
    CHECK(f.lane().state() == State::waiting);
    CHECK(f.read() == NextOffset{10});
  }
}

TEST_CASE("intake: a partition that can't be read on stops its lane, once") {
  IntakeFixture f;
  f.intake.stop_at(f.tp, "gone", now);
  CHECK(f.lane().trouble()->cause == "s.public.a[0]@10: gone");
  f.intake.stop_at(f.tp, "gone again", now);
  CHECK(f.lane().trouble()->cause == "s.public.a[0]@10: gone");
  f.intake.stop_at({"elsewhere", 0}, "gone", now);  // not ours: nothing happens
}
