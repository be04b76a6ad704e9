// Which records are dead letters, and what is parked behind them.
#include "lockstep/batch/letterbox.hpp"

#include "catch.hpp"

using namespace lockstep;
using std::chrono::seconds;

namespace {

const TopicPartition users_partition{"s.public.users", 0};
const Letterbox::Time first_letter_at{seconds{1000}};

Layout key_columns(std::vector<std::string> names, ValueType type = ValueType::text) {
  Layout layout;
  for (auto& name : names) {
    auto& column = layout.columns.emplace_back();
    column.name = std::move(name);
    column.type = type;
  }
  return layout;
}

}  // namespace

TEST_CASE("letterbox: a key is the same text in whatever form it comes, and no other key is") {
  const Cell one{"1"};
  const Cell eu{"eu"};
  CHECK(identity_of(key_columns({"id"}), std::vector{one}) == R"(id="1")");
  CHECK(identity_of(key_columns({"region", "id"}), std::vector{eu, one}) ==
        R"(id="1", region="eu")");
  CHECK(identity_of(key_columns({"id", "region"}), std::vector{one, eu}) ==
        R"(id="1", region="eu")");
  CHECK(identity_of(key_columns({"id"}), std::vector{Cell{"1", Cell::Kind::bare_number}}) ==
        R"(id="1")");
  CHECK(identity_of(key_columns({"id"}, ValueType::bytes),
                    std::vector{Cell{std::string_view{"\0\xff", 2}}}) == R"(id="\x00ff")");

  const auto two = key_columns({"a", "b"});
  const auto of = [&](const char* a, const char* b) {
    return identity_of(two, std::vector{Cell{a}, Cell{b}});
  };
  CHECK(of(R"(x", b="y)", "z") != of("x", R"(y", b="z)"));
  CHECK(of(R"(\)", R"(")") != of(R"(\")", ""));
  CHECK(identity_of(key_columns({"id"}), std::vector{Cell{}}) !=
        identity_of(key_columns({"id"}), std::vector{Cell{"\\0"}}));
}

TEST_CASE("letterbox: keys are parked by topic, until they are let go") {
  Letterbox box{10};
  CHECK_FALSE(box.has_parked(users_partition.topic));
  CHECK(box.park(users_partition.topic, "id=\"1\""));
  CHECK(box.is_parked(users_partition.topic, "id=\"1\""));
  CHECK_FALSE(box.is_parked(users_partition.topic, "id=\"2\""));
  CHECK_FALSE(box.is_parked("s.public.orders", "id=\"1\""));

  box.begin(users_partition.topic, {"id=\"2\"", "id=\"3\""});  // what the target has is what counts
  CHECK_FALSE(box.is_parked(users_partition.topic, "id=\"1\""));
  CHECK(box.is_parked(users_partition.topic, "id=\"2\""));
  CHECK(box.parked_count(users_partition.topic) == 2);
  box.begin(users_partition.topic, {});
  CHECK_FALSE(box.has_parked(users_partition.topic));

  CHECK(box.park(users_partition.topic, "id=\"1\""));
  box.unpark(users_partition.topic);
  CHECK_FALSE(box.has_parked(users_partition.topic));
}

TEST_CASE("letterbox: the number of parked keys is bounded") {
  Letterbox box{10};
  for (std::size_t i = 0; i < Letterbox::most_parked; ++i) {
    REQUIRE(box.park(users_partition.topic, std::to_string(i)));
  }
  CHECK_FALSE(box.park(users_partition.topic, "one more"));
  CHECK(box.park(users_partition.topic, "7"));
  CHECK(box.park("s.public.orders", "one more"));
}

TEST_CASE("letterbox: a key of other columns can't be compared with those that are parked") {
  Letterbox box{10};
  const auto old_key = identity_of(key_columns({"id"}), std::vector{Cell{R"(a"b, region="x)"}});
  const auto new_key =
      identity_of(key_columns({"id", "region"}), std::vector{Cell{"1"}, Cell{"eu"}});
  CHECK(box.other_columns(users_partition.topic, new_key).empty());
  CHECK(box.park(users_partition.topic, old_key));
  CHECK(box.other_columns(users_partition.topic, new_key) == "id");
  CHECK(box.other_columns(users_partition.topic,
                          identity_of(key_columns({"id"}), std::vector{Cell{"2"}}))
            .empty());
  box.begin(users_partition.topic, {new_key});
  CHECK(box.other_columns(users_partition.topic, old_key) == "id, region");
}

TEST_CASE("letterbox: a record that the target has refused is known until it is passed") {
  Letterbox box{10};
  box.condemn(users_partition, {7}, "too long");
  box.condemn(users_partition, {9}, "too short");
  REQUIRE(box.condemned(users_partition, {7}) != nullptr);
  CHECK(*box.condemned(users_partition, {7}) == "too long");
  CHECK(box.condemned(users_partition, {8}) == nullptr);
  CHECK(box.condemned({users_partition.topic, 1}, {7}) == nullptr);
  box.condemn(users_partition, {8}, "mended");
  box.pardon(users_partition, {8});
  CHECK(box.condemned(users_partition, {8}) == nullptr);
  box.passed(users_partition, {9});
  CHECK(box.condemned(users_partition, {7}) == nullptr);
  CHECK(box.condemned(users_partition, {9}) != nullptr);
  box.passed(users_partition, {10});
  CHECK(box.condemned(users_partition, {9}) == nullptr);
}

TEST_CASE("letterbox: what is to be skipped is one record, until it is passed or kept") {
  Letterbox box{std::nullopt};  // without letters of their own, too
  CHECK_FALSE(box.has_skips());
  box.skip({users_partition, {7}}, "too long");
  REQUIRE(box.skipped({users_partition, {7}}) != nullptr);
  CHECK(*box.skipped({users_partition, {7}}) == "too long");
  CHECK(box.skipped({users_partition, {8}}) == nullptr);
  CHECK(box.skipped({{users_partition.topic, 1}, {7}}) == nullptr);
  box.passed({users_partition.topic, 1}, {20});
  box.passed(users_partition, {7});
  CHECK(box.has_skips());
  box.passed(users_partition, {12});  // it was not in the log any more: no later one is meant
  CHECK_FALSE(box.has_skips());
  box.skip({users_partition, {7}}, "too long");
  box.keep({users_partition, {7}});
  CHECK_FALSE(box.has_skips());
}

TEST_CASE("letterbox: more letters in a minute than allowed are a flood") {
  Letterbox box{3};
  CHECK(box.admit(users_partition, {1}, first_letter_at));
  CHECK(box.admit(users_partition, {2}, first_letter_at + seconds{30}));
  CHECK(box.admit(users_partition, {3}, first_letter_at + seconds{59}));
  CHECK(box.admit(users_partition, {3}, first_letter_at + seconds{59}));  // read again
  CHECK(box.admit({"s.public.orders", 0}, {4}, first_letter_at + seconds{59}));
  CHECK(
      box.admit(users_partition, {5}, first_letter_at + seconds{61}));  // the first is a minute ago
  CHECK_FALSE(box.admit(users_partition, {6}, first_letter_at + seconds{62}));
  CHECK(box.admit(users_partition, {6},
                  first_letter_at + seconds{63}));  // an operator has tried it again
}

TEST_CASE("letterbox: what is read again in front of a flood does not count again") {
  Letterbox box{2};
  CHECK(box.admit(users_partition, {0}, first_letter_at));
  CHECK(box.admit(users_partition, {1}, first_letter_at));
  CHECK_FALSE(box.admit(users_partition, {2}, first_letter_at));
  // Tried again before the first two were applied.
  for (const std::int64_t offset : {0, 1, 2, 3}) {
    CAPTURE(offset);
    CHECK(box.admit(users_partition, {offset}, first_letter_at + seconds{1}));
  }
  CHECK_FALSE(box.admit(users_partition, {4}, first_letter_at + seconds{1}));
}
