#include "lockstep/batch/ledger.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "catch.hpp"

using namespace lockstep;

namespace {

const TopicPartition a0{"a", 0};
const TopicPartition a1{"a", 1};
const TopicPartition b0{"b", 0};

using Maybe = std::optional<NextOffset>;

}  // namespace

TEST_CASE("ledger: a record is wanted once, from where its partition begins") {
  Ledger ledger;
  ledger.begin(a0, 0, NextOffset{5});
  auto* const entry = ledger.find("a", 0);
  REQUIRE(entry != nullptr);
  CHECK_FALSE(entry->wants({4}));
  CHECK(entry->wants({5}));
  CHECK(entry->wants({9}));  // 5 to 8 are a hole: compaction, transaction markers
  entry->read = NextOffset{10};
  CHECK_FALSE(entry->wants({9}));
  CHECK(ledger.find("a", 1) == nullptr);
  CHECK(ledger.find("b", 0) == nullptr);
  ledger.begin(b0, 1, std::nullopt);
  CHECK(ledger.find("b", 0)->wants({0}));
  CHECK(ledger.find("b", 0)->wants({1000}));
}

TEST_CASE("ledger: what is suspended wants nothing until it begins again, elsewhere or there") {
  Ledger ledger;
  for (const auto& tp : {a0, a1, b0}) ledger.begin(tp, tp.topic == "a" ? 0 : 1, NextOffset{0});
  ledger.suspend("a");
  CHECK_FALSE(ledger.find("a", 0)->wants({0}));
  CHECK_FALSE(ledger.find("a", 1)->wants({0}));
  CHECK(ledger.find("b", 0)->wants({0}));
  ledger.begin(a1, 0, NextOffset{7});
  CHECK(ledger.find("a", 1)->wants({7}));
  CHECK_FALSE(ledger.find("a", 1)->wants({6}));
}

TEST_CASE("ledger: only what is answered without a gap may be committed") {
  Ledger ledger;
  ledger.begin(a0, 0, std::nullopt);
  ledger.find("a", 0)->read = NextOffset{30};
  const auto committable = [&] { return ledger.take_committable(); };
  CHECK(ledger.answered(a0, NextOffset{10}, NextOffset{20}));  // the second before the first
  CHECK_FALSE(ledger.has_committable());
  CHECK(ledger.answered(a0, std::nullopt, NextOffset{4}));  // the first in two parts
  CHECK(committable() == Positions{{a0, {4}}});
  CHECK(ledger.answered(a0, NextOffset{4}, NextOffset{10}));
  CHECK(committable() == Positions{{a0, {20}}});
  CHECK_FALSE(ledger.has_committable());
  CHECK_FALSE(ledger.find("a", 0)->all_applied());
  CHECK(ledger.answered(a0, NextOffset{20}, NextOffset{30}));
  CHECK(ledger.find("a", 0)->all_applied());
  CHECK(committable() == Positions{{a0, {30}}});
}

TEST_CASE("ledger: an answer that fits nothing changes nothing") {
  struct Case {
    const char* name;
    TopicPartition partition;
    Maybe from;
    NextOffset next;
  };
  const Case cases[] = {
      {"another partition", b0, NextOffset{10}, {12}},
      {"from before what is applied", a0, NextOffset{9}, {12}},
      {"from the beginning, though there is a position", a0, std::nullopt, {12}},
      {"beyond what was read", a0, NextOffset{10}, {21}},
      {"empty", a0, NextOffset{12}, {12}},
      {"backwards", a0, NextOffset{13}, {12}},
      {"answered already", a0, NextOffset{15}, {17}},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Ledger ledger;
      ledger.begin(a0, 0, NextOffset{10});
      ledger.find("a", 0)->read = NextOffset{20};
      REQUIRE(ledger.answered(a0, NextOffset{15}, NextOffset{16}));
      CHECK_FALSE(ledger.answered(c.partition, c.from, c.next));
      CHECK(ledger.find("a", 0)->applied == NextOffset{10});
      CHECK_FALSE(ledger.has_committable());
    }
  }
}

TEST_CASE("ledger: beginning anew forgets answers that are on their way") {
  Ledger ledger;
  ledger.begin(a0, 0, NextOffset{0});
  ledger.find("a", 0)->read = NextOffset{20};
  CHECK(ledger.answered(a0, NextOffset{10}, NextOffset{20}));
  ledger.begin(a0, 0, NextOffset{5});
  ledger.find("a", 0)->read = NextOffset{10};
  CHECK(ledger.answered(a0, NextOffset{5}, NextOffset{10}));
  CHECK(ledger.take_committable() == Positions{{a0, {10}}});
}

TEST_CASE("ledger: lag is what the log holds beyond what is applied, without its markers") {
  Ledger ledger;
  ledger.begin(a0, 0, NextOffset{5});
  auto& entry = *ledger.find("a", 0);
  CHECK(lag_of(entry, std::nullopt) == 0);
  CHECK(lag_of(entry, NextOffset{5}) == 0);
  CHECK(lag_of(entry, NextOffset{9}) == 4);
  CHECK(passed_of(entry) == NextOffset{5});
  entry.end_reached = NextOffset{9};  // 5 to 8 were markers only
  CHECK(lag_of(entry, NextOffset{9}) == 0);
  CHECK(passed_of(entry) == NextOffset{9});
  entry.read = NextOffset{7};
  CHECK(lag_of(entry, NextOffset{9}) == 4);
  CHECK(passed_of(entry) == NextOffset{5});
  ledger.begin(b0, 0, std::nullopt);
  auto& from_the_beginning = *ledger.find("b", 0);
  CHECK(lag_of(from_the_beginning, NextOffset{9}) == 0);  // nothing known of it yet
  from_the_beginning.first = RecordOffset{3};
  from_the_beginning.read = NextOffset{8};
  CHECK(lag_of(from_the_beginning, NextOffset{9}) == 6);
  CHECK(ledger.answered(b0, std::nullopt, NextOffset{8}));
  CHECK(lag_of(from_the_beginning, NextOffset{9}) == 1);
}

TEST_CASE("ledger: answers in any order and any parts end at the same place, never ahead of it") {
  const auto seed = GENERATE(range(1U, 40U));
  CAPTURE(seed);
  std::minstd_rand random{seed};
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  struct Range {
    Maybe from;
    NextOffset next;
  };
  Ledger ledger;
  ledger.begin(a0, 0, std::nullopt);
  std::vector<Range> ranges;
  Maybe from;
  for (int i = 0; i < 50; ++i) {
    const NextOffset next{(from ? from->value : below(3)) + 1 + below(5)};
    ranges.push_back({from, next});
    from = next;
  }
  ledger.find("a", 0)->read = from;
  std::vector<Range> open = ranges;
  std::shuffle(open.begin(), open.end(), random);
  Maybe committed;
  while (!open.empty()) {
    REQUIRE(ledger.answered(a0, open.back().from, open.back().next));
    open.pop_back();
    for (const auto& [tp, next] : ledger.take_committable()) {
      CHECK(Maybe{next} > committed);
      committed = next;
    }
    Maybe first_open = from;
    for (const auto& range : open) first_open = std::min(first_open, range.from);
    CHECK(committed == first_open);
  }
  CHECK(committed == from);
}
