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

struct ListHeaders : debezium::Headers {
  explicit ListHeaders(const std::vector<Header>& of) : headers{of} {}
  std::optional<std::string_view> find(const char* name) const override {
    for (const auto& header : headers) {
      if (header.name == name) return header.value;
    }
    return std::nullopt;
  }
  std::vector<Header> all() const override { return headers; }
  const std::vector<Header>& headers;
};

struct IntakeFixture {
  explicit IntakeFixture(std::optional<std::size_t> letters_per_minute = std::nullopt)
      : letterbox{letters_per_minute} {
    ledger.begin(tp, lane_index, NextOffset{10});
  }

  void accept(std::int64_t offset, const std::optional<std::string>& value,
              const std::string& record_key = key, const std::vector<Header>& headers = {}) {
    const ListHeaders all{headers};
    intake.accept(
        {{tp.topic, record_key, value, &all}, tp.partition, {offset}},
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
  Letterbox letterbox;
  debezium::Decoder decoder;
  Intake intake{decoder, lanes, ledger, letterbox, report};
  Writers writers{"p", {}, [] {}};
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

TEST_CASE("intake: behind what was dropped the log's end passes nothing by") {
  IntakeFixture f;
  const auto passed = [&] { return passed_of(*f.ledger.find(f.tp.topic, f.tp.partition)); };
  f.intake.end_reached(f.tp, {12});  // 10 and 11 are markers
  CHECK(passed() == NextOffset{12});
  SECTION("of a table that stops in front of a record") {
    f.accept(12, "no json");
    REQUIRE(f.lane().state() == State::stopped);
    f.accept(13, row);
  }
  SECTION("of a table that is to be read again") {
    f.ledger.suspend(f.tp.topic);
    f.accept(12, row);
  }
  f.intake.end_reached(f.tp, {15});
  CHECK(passed() == NextOffset{12});
  CHECK(lag_of(*f.ledger.find(f.tp.topic, f.tp.partition), NextOffset{15}) == 5);
}

TEST_CASE("intake: a slice tells the table of its changes, and that there were several") {
  const std::string of_b =
      R"({"before":null,"after":{"id":1},"source":{"schema":"public","table":"b"},"op":"c"})";
  IntakeFixture f;
  const auto tables = [&] {
    const auto batch = f.lanes.change(f.lane_index)->take(now);
    f.lanes.change(f.lane_index)->applied();
    const auto& slice = batch->slices.at(0);
    return slice.relation == nullptr
               ? std::string{"none"}
               : to_string(*slice.relation) + (slice.has_several_relations ? " and others" : "");
  };
  f.accept(10, std::nullopt);  // guessed from the topic's name: not worth remembering
  CHECK(tables() == "none");
  f.accept(11, of_b);
  f.accept(12, of_b);
  CHECK(tables() == "public.b");
  f.accept(13, std::nullopt);
  CHECK(tables() == "none");
  f.accept(14, row);
  CHECK(tables() == "public.a");  // that it was another before is in lockstep.progress
  f.accept(15, of_b);
  f.accept(16, row);
  f.accept(17, row);
  CHECK(tables() == "public.a and others");
}

TEST_CASE("intake: one that can't be decoded stops its lane in front of it") {
  IntakeFixture f;
  f.accept(10, row);
  f.accept(11, "{nonsense");
  f.accept(12, row);
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause,
             ContainsSubstring("s.public.a[0]@11: value: malformed JSON"));
  CHECK(f.lane().trouble()->record == RecordPlace{f.tp, {11}});
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
  const std::vector<Header> other_key{{"__debezium.newkey", R"({"id":2})"},
                                      {"__debezium.oldkey", R"({"id":2})"}};
  const std::string deleted =
      R"({"before":null,"after":null,"source":{"schema":"public","table":"a"},"op":"d"})";
  IntakeFixture f;
  const auto accept_all = [&] {
    f.accept(10, deleted, key, other_key);
    f.accept(11, std::nullopt, key, other_key);
    f.accept(12, row, key, other_key);
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
  CHECK_FALSE(f.lane().trouble()->record);  // there is none
  f.intake.stop_at(f.tp, "gone again", now);
  CHECK(f.lane().trouble()->cause == "s.public.a[0]@10: gone");
  f.intake.stop_at({"elsewhere", 0}, "gone", now);  // not ours: nothing happens
}

// ---- With an open letterbox

namespace {

struct LetterFixture : IntakeFixture {
  LetterFixture() : IntakeFixture{3} {}

  void accept_row(std::int64_t offset, const std::string& id) {
    accept(offset,
           R"({"after":{"id":)" + id + R"(},"source":{"schema":"public","table":"a"},"op":"c"})",
           R"({"id":)" + id + "}");
  }
  std::unique_ptr<Batch> take() { return lanes.change(lane_index)->take(now); }
};

std::string text_of(const Batch& batch) {
  std::string text;
  for (const auto& change : batch.changes) text += std::to_string(change.offset.value) + " ";
  text += "|";
  for (const auto& letter : batch.letters) {
    text += " " + std::to_string(letter.offset.value) + " " + std::string{name(letter.stage)} +
            " " + std::string{letter.row_key};
  }
  return text;
}

}  // namespace

TEST_CASE("intake: what can't be decoded is a letter, and what follows of its key is parked") {
  LetterFixture f;
  f.accept_row(10, "1");
  f.accept(11, "{nonsense", R"({"id":2})", {{"trace", "abc"}});
  f.accept_row(12, "2");
  f.accept_row(13, "3");
  f.accept(14, "{nonsense", "{nonsense");  // of no known key
  f.accept(15, "", R"({"id":2})");
  CHECK(f.lane().state() == State::reading);
  const auto batch = f.take();
  CHECK(text_of(*batch) ==
        R"(10 13 | 11 decode id="2" 12 parked id="2" 14 decode  15 decode id="2")");
  CHECK(batch->slices[0].next == NextOffset{16});
  CHECK(batch->records == 6);
  const Letter& letter = batch->letters[0];
  CHECK(letter.topic == f.tp.topic);
  CHECK(letter.key == R"({"id":2})");
  CHECK(letter.value == "{nonsense");
  CHECK_THAT(std::string{letter.error}, ContainsSubstring("malformed JSON"));
  REQUIRE(letter.headers.size() == 1);
  CHECK(letter.headers[0].name == "trace");
  CHECK(letter.headers[0].value == "abc");
}

TEST_CASE("intake: what the target has refused is a letter when it is read again") {
  LetterFixture f;
  f.letterbox.condemn(f.tp, {11}, "too long");
  f.accept_row(10, "1");
  f.accept_row(11, "1");
  f.accept_row(12, "1");
  const auto batch = f.take();
  CHECK(text_of(*batch) == R"(10 | 11 apply id="1" 12 parked id="1")");
  CHECK(batch->letters[0].error == "too long");
}

TEST_CASE("intake: keys that the target has parked are parked from the first record on") {
  LetterFixture f;
  f.letterbox.begin(f.tp.topic, {R"(id="1")"});
  f.accept_row(10, "1");
  f.accept_row(11, "2");
  CHECK(text_of(*f.take()) == R"(11 | 10 parked id="1")");
}

TEST_CASE("intake: a TRUNCATE lets all keys go") {
  LetterFixture f;
  f.accept(10, "{nonsense", R"({"id":1})");
  f.accept(11, truncation);
  f.accept_row(12, "1");
  f.accept(13, "{nonsense", R"({"id":2})");
  const auto batch = f.take();
  CHECK(text_of(*batch) == R"(11 12 | 10 decode  13 decode id="2")");
  CHECK(batch->unparks);
}

TEST_CASE("intake: the delete of a row that gets another key lets no key go") {
  LetterFixture f;
  f.letterbox.begin(f.tp.topic, {R"(id="1")"});
  f.accept(10, R"({"before":null,"after":null,"source":{"schema":"public","table":"a"},"op":"d"})",
           R"({"id":3})", {{"__debezium.newkey", R"({"id":4})"}});
  f.accept_row(11, "1");
  const auto batch = f.take();
  CHECK(text_of(*batch) == R"(| 11 parked id="1")");
  CHECK_FALSE(batch->unparks);
}

TEST_CASE("intake: a flood of letters stops the lane in front of the first that is too many") {
  LetterFixture f;
  for (std::int64_t offset = 10; offset < 15; ++offset) f.accept(offset, "{nonsense");
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause, ContainsSubstring("[0]@13: value: malformed JSON"));
  CHECK_THAT(f.lane().trouble()->cause, ContainsSubstring("3 dead letters in a minute"));
  CHECK(f.read() == NextOffset{13});
  CHECK(f.take()->letters.size() == 3);
}

TEST_CASE("intake: what is of the setup stops its lane, although records can be letters") {
  const auto [value, record_key, says] = GENERATE(
      std::tuple{R"({"id":1,"v":"flattened"})", R"({"id":1})", "no Debezium envelope"},
      std::tuple{"Struct{id=1}", R"({"id":1})", "value: no JSON, but what another converter"},
      std::tuple{R"({"after":{"id":1},"source":{"schema":"public","table":"a"},"op":"c"})",
                 "Struct{id=1}", "key: no JSON, but what another converter writes: set key.conv"});
  CAPTURE(value);
  LetterFixture f;
  f.accept_row(10, "2");
  f.accept(11, value, record_key);
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause, ContainsSubstring(says));
  CHECK_THAT(f.lane().trouble()->cause,
             ContainsSubstring("no dead letter, since more like it would follow; mend that, then"));
  CHECK(text_of(*f.take()) == "10 |");
}

TEST_CASE("intake: what gives its row another key stops its lane where it would be a letter") {
  const std::vector<Header> old_key{{"__debezium.oldkey", R"({"id":1})"}};
  const std::string create =
      R"({"before":null,"after":{"id":2},"source":{"schema":"public","table":"a"},"op":"c"})";
  LetterFixture f;
  std::string value = create;
  std::string says;
  SECTION("refused by the target") {
    f.letterbox.condemn(f.tp, {11}, "too long");
    says =
        "[0]@11: too long; no dead letter, since it gives its row another key, and a row is "
        "parked by one; mend what it is refused for, then reload: systemctl reload lockstepd, or "
        "SIGHUP, or skip it";
  }
  SECTION("its row is parked under its old key") {
    f.letterbox.begin(f.tp.topic, {R"(id="1")"});
    says =
        "[0]@11: a row gets another key, and id=\"1\" is parked behind a dead letter; no dead "
        "letter, since it gives its row another key, and a row is parked by one; retry or discard";
  }
  SECTION("its new key is parked") {
    f.letterbox.begin(f.tp.topic, {R"(id="2")"});
    says = "id=\"2\" is parked behind a dead letter";
  }
  SECTION("it can't be read") {
    value = "{nonsense";
    says = "malformed JSON";
  }
  f.accept(10, R"({"before":null,"after":null,"source":{"schema":"public","table":"a"},"op":"d"})",
           R"({"id":3})", {{"__debezium.newkey", R"({"id":4})"}});
  f.accept(11, value, R"({"id":2})", old_key);
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause, ContainsSubstring(says));
  CHECK_THAT(f.lane().trouble()->cause, ContainsSubstring("another key, and"));
  CHECK(text_of(*f.take()) == "|");
  CHECK(f.letterbox.condemned(f.tp, {11}) == nullptr);  // once mended, the target takes it
}

TEST_CASE("intake: a refused record without a key stops its lane, and is asked for anew") {
  LetterFixture f;
  f.letterbox.condemn(f.tp, {10}, "too long");
  const ListHeaders none{{}};
  f.intake.accept(
      {{f.tp.topic, std::nullopt, row, &none}, f.tp.partition, {10}},
      [](const std::string&) { return 1; }, now);
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause,
             ContainsSubstring("[0]@10: too long; no dead letter, since it has no key by which the "
                               "later changes of its row could be parked; mend what it is"));
  CHECK(f.letterbox.condemned(f.tp, {10}) == nullptr);
}

// ---- What is skipped

TEST_CASE("intake: what is skipped is a letter as it came, is waited for, and parks nothing") {
  const bool is_open = GENERATE(false, true);
  IntakeFixture f{is_open ? std::optional<std::size_t>{3} : std::nullopt};
  f.letterbox.skip({f.tp, {11}}, "malformed JSON");
  f.accept(10, row);
  f.accept(11, "{nonsense", key, {{"trace", "abc"}});
  f.accept(12, row);  // comes again
  CHECK(f.lane().state() == State::waiting);
  CHECK(f.read() == NextOffset{12});
  const auto take = [&] { return f.lanes.change(f.lane_index)->take(now); };
  const auto batch = take();
  CHECK(text_of(*batch) == "10 | 11 skipped ");
  CHECK(batch->slices[0].next == NextOffset{12});
  const Letter& letter = batch->letters[0];
  CHECK(letter.key == key);
  CHECK(letter.value == "{nonsense");
  CHECK(letter.error == "malformed JSON");
  REQUIRE(letter.headers.size() == 1);
  CHECK(letter.headers[0].value == "abc");
  f.lanes.change(f.lane_index)->applied();
  CHECK(f.lane().reread_at());
  f.lanes.change(f.lane_index)->reopen();
  f.accept(12, row);
  CHECK(text_of(*take()) == "12 |");  // of the same key
}

TEST_CASE("intake: a skip is of one record, sound or a TRUNCATE, and of none behind it") {
  IntakeFixture f;
  f.partitions = 2;
  f.letterbox.skip({f.tp, {10}}, "refused");
  f.letterbox.skip({f.tp, {12}}, "without order");
  const auto accept = [&](std::int64_t offset, const std::string& value) {
    f.accept(offset, value);
    const auto lane = f.lanes.change(f.lane_index);
    if (lane->state() == State::stopped) return std::string{"stopped"};
    const auto batch = lane->take(now);
    lane->applied();
    lane->reopen();
    return text_of(*batch);
  };
  CHECK(accept(10, row) == "| 10 skipped ");
  CHECK(accept(12, truncation) == "| 12 skipped ");
  CHECK(accept(13, truncation) == "stopped");
  CHECK(f.lane().trouble()->record == RecordPlace{f.tp, {13}});
}

TEST_CASE(
    "intake: where a skipped record gave its row another key, the row's delete is left of it") {
  const std::string deleted =
      R"({"before":null,"after":null,"source":{"schema":"public","table":"a"},"op":"d"})";
  const auto create = GENERATE(
      std::string{
          R"({"before":null,"after":{"id":2},"source":{"schema":"public","table":"a"},"op":"c"})"},
      std::string{"{nonsense"});
  CAPTURE(create);
  IntakeFixture f;
  f.letterbox.skip({f.tp, {11}}, "refused");
  const auto accept_both = [&] {
    f.accept(10, deleted, key, {{"__debezium.newkey", R"({"id":2})"}});
    f.accept(11, create, R"({"id":2})", {{"__debezium.oldkey", key}});
  };
  SECTION("one partition, in which the delete was taken for a part of it") {
    accept_both();
    const auto batch = f.lanes.change(f.lane_index)->take(now);
    CHECK(text_of(*batch) == "11 | 11 skipped ");
    const Change& gone = batch->changes.at(0);
    CHECK(gone.op == Op::remove);
    CHECK(gone.in_order);
    CHECK(identity_of(*gone.key_layout, gone.key) == R"(id="1")");
    CHECK(to_string(*gone.relation) == "public.a");
  }
  SECTION("several partitions: the delete is one") {
    f.partitions = 2;
    accept_both();
    CHECK(text_of(*f.lanes.change(f.lane_index)->take(now)) == "10 | 11 skipped ");
  }
  SECTION("the brokers don't say: it waits to be read again") {
    f.partitions = std::nullopt;
    f.accept(11, create, R"({"id":2})", {{"__debezium.oldkey", key}});
    CHECK(f.lane().state() == State::waiting);
    CHECK(f.read() == NextOffset{10});
  }
}

TEST_CASE("intake: an old key that can't be read stays at the target, and the letter says so") {
  IntakeFixture f;
  f.letterbox.skip({f.tp, {10}}, "bad");
  f.accept(10, "{nonsense", R"({"id":2})", {{"__debezium.oldkey", "{nonsense"}});
  const auto batch = f.lanes.change(f.lane_index)->take(now);
  CHECK(batch->changes.empty());
  CHECK(batch->letters.at(0).error ==
        "bad; its row is still there under the key that it had: delete it by hand");
}

TEST_CASE("intake: a lossy value counts once, when it is applied, however often it is read") {
  const std::string lossy =
      R"({"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","field":"id"},)"
      R"({"type":"int64","name":"io.debezium.time.MicroDuration","field":"i"}],"field":"after"}]},)"
      R"("payload":{"after":{"id":1,"i":86400000000},"source":{"schema":"public","table":"a"},"op":"c"}})";
  IntakeFixture f;
  const auto counted = [&] {
    return f.report.status(nullptr, f.writers, 1, now).counters.lossy_values;
  };
  f.accept(10, lossy);
  f.accept(11, row);
  CHECK(counted() == 0);
  f.ledger.begin(f.tp, f.lane_index, NextOffset{10});  // read again
  f.lanes.change(f.lane_index)->drop();
  f.accept(10, lossy);
  f.accept(11, row);
  const auto batch = f.lanes.change(f.lane_index)->take(now);
  f.report.applied(f.lane_index, *batch, {});
  CHECK(counted() == 1);
}

TEST_CASE("intake: a key that has got other columns stops the lane while rows are parked") {
  LetterFixture f;
  f.letterbox.begin(f.tp.topic, {R"(id="1", region="eu")"});
  f.accept_row(10, "1");
  CHECK(f.lane().state() == State::stopped);
  CHECK_THAT(f.lane().trouble()->cause,
             ContainsSubstring("rows are parked by other key columns (id, region)"));
}

namespace {

/// Notes what comes.
struct NotingGate : Gate {
  void attach(std::function<void()>) override {}
  void assigned(const std::vector<TopicPartition>&, Time) override {}
  void came(const TopicPartition& partition, RecordOffset offset, const Change* change) override {
    events.push_back(to_string(partition, offset) + (change == nullptr ? " letter" : ""));
  }
  void follow(const Lanes&, const Ledger&, Time) override {}
  std::optional<Time> next_at() const override { return std::nullopt; }
  bool admits(std::string_view) const override { return true; }
  GateStatus status() const override { return {}; }
  std::vector<std::string> events;
};

}  // namespace

TEST_CASE("intake: a gate is told of changes and letters, not of tombstones") {
  IntakeFixture f{std::size_t{10}};
  NotingGate gate;
  Intake intake{f.decoder, f.lanes, f.ledger, f.letterbox, f.report, false, &gate};
  const std::vector<Header> no_headers;
  std::int64_t offset = 10;
  for (
      const std::optional<std::string>& value :
      {std::optional{row}, std::optional<std::string>{}, std::optional{truncation},
       std::optional<std::string>{
           R"({"before":null,"after":{"id":"x"},"source":{"schema":"public","table":"a"},"op":"?"})"}}) {
    const ListHeaders headers{no_headers};
    intake.accept(
        {{f.tp.topic, key, value, &headers}, f.tp.partition, {offset++}},
        [](const std::string&) { return 1; }, now);
  }
  CHECK(gate.events == std::vector<std::string>{"s.public.a[0]@10", "s.public.a[0]@12",
                                                "s.public.a[0]@13 letter"});
}
