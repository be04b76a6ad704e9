// Lanes and ledger together, against a log and a target that are as simple as can be: whatever
// comes in whatever order, the target has each record once and in order, and no offset is committed
// before its record is there.
#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "catch.hpp"
#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"

using namespace lockstep;
using std::chrono::milliseconds;

namespace {

constexpr int topics = 4;
constexpr int partitions_each = 2;
constexpr std::int64_t records_each = 300;

class World {
 public:
  explicit World(unsigned seed) : random_{seed} {
    for (int t = 0; t < topics; ++t) {
      for (int p = 0; p < partitions_each; ++p) {
        const TopicPartition tp{"t" + std::to_string(t), p};
        std::int64_t offset = below(3);
        for (int i = 0; i < records_each; ++i) {
          log_[tp].push_back(offset);
          offset += 1 + (below(10) == 0 ? below(4) : 0);  // holes
        }
      }
    }
    for (const auto& [tp, offsets] : log_) begin(tp);
  }

  void run() {
    for (int step = 0; step < 1'000'000 && !all_applied(); ++step) {
      now_ += milliseconds{below(30)};
      // Trouble ends some day, else it would not.
      act(step < 20'000 ? below(100) : below(60));
    }
  }

  bool all_applied() const {
    return std::all_of(log_.begin(), log_.end(), [&](const auto& item) {
      const auto at = target_.find(item.first);
      return at != target_.end() && at->second.rows == item.second;
    });
  }
  int effects(const std::string& of) { return effects_[of]; }
  std::size_t bytes() const { return lanes_.bytes(); }

 private:
  struct Table {
    std::optional<NextOffset> position;
    std::vector<std::int64_t> rows;
  };
  struct Flight {
    std::unique_ptr<Batch> batch;
    std::size_t lane;
    std::uint64_t generation;
    bool committed = false;  ///< took effect; its answer may come late
  };

  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  void begin(const TopicPartition& tp) {
    ledger_.begin(tp, lanes_.index_of(tp.topic), target_[tp].position);
    // Kafka is asked for the target's position on; or, without one, for the beginning.
    const auto& offsets = log_.at(tp);
    const auto from = target_[tp].position.value_or(NextOffset{0}).value;
    fetch_at_[tp] = static_cast<std::size_t>(
        std::lower_bound(offsets.begin(), offsets.end(), from) - offsets.begin());
  }
  void begin_again(const std::string& topic) {
    ledger_.suspend(topic);
    for (const auto& [tp, offsets] : log_) {
      if (tp.topic == topic) begin(tp);
    }
  }

  void act(int what) {
    if (what < 30) {
      read();
    } else if (what < 45) {
      hand_over();
    } else if (what < 60) {
      answer();
    } else if (what < 70) {
      fail();
    } else if (what < 75) {
      pause_or_resume();
    } else if (what < 80) {
      retry();
    } else if (what < 83) {
      evict();
    } else if (what < 85) {
      another_owner();
    } else if (what < 86) {
      rebalance();
    } else if (what < 88) {
      poison();
    }
    for (const auto i : lanes_.rereads(now_)) {
      lanes_.change(i)->reopen();
      begin_again(lanes_[i].topic());
      ++effects_["reread"];
    }
    if (what >= 55 && what < 60) {
      for (std::size_t i = 0; i < lanes_.size(); ++i) mend(i);
    }
    for (const auto& [tp, next] : ledger_.take_committable()) {
      REQUIRE(std::optional{next} <= target_[tp].position);
      if (committed_[tp] < next) committed_[tp] = next;
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < lanes_.size(); ++i) bytes += lanes_[i].bytes();
    REQUIRE(bytes == lanes_.bytes());
  }

  void read() {
    auto& [tp, at] = *std::next(fetch_at_.begin(), below(static_cast<int>(fetch_at_.size())));
    for (int n = below(40); n > 0 && at < log_.at(tp).size(); --n) {
      const RecordOffset offset{log_.at(tp)[at++]};
      auto* const entry = ledger_.find(tp.topic, tp.partition);
      if (entry == nullptr || !entry->reading) continue;
      const auto lane = lanes_.change(entry->lane);
      if (!lane->takes_records() || !entry->wants(offset)) continue;
      Batch& batch = lane->filling(now_);
      Slice& slice = batch.slice_of(tp.topic, tp.partition, entry->read);
      slice.next = after(offset);
      entry->read = slice.next;
      ++batch.records;
      Change change;
      change.offset = offset;
      change.source_ts_us = tp.partition;
      batch.changes.push_back(change);
      lane->filled();
    }
  }

  void hand_over() {
    if (flights_.size() >= 3) return;
    const auto remaining = [&](const Batch&) { return below(2) * 1000; };
    const auto next = lanes_.next_ready(now_, remaining);
    if (!next) return;
    auto batch = lanes_.change(*next)->take(now_);
    flights_.push_back({std::move(batch), *next, lanes_[*next].generation()});
  }

  bool apply(const Flight& flight) {
    const auto& batch = *flight.batch;
    for (const auto& slice : batch.slices) {
      if (target_[slice.partition].position != slice.expected) return false;
    }
    for (const auto& slice : batch.slices) target_[slice.partition].position = slice.next;
    for (const auto& change : batch.changes) {
      target_[{lanes_[flight.lane].topic(), static_cast<std::int32_t>(change.source_ts_us)}]
          .rows.push_back(change.offset.value);
    }
    return true;
  }

  std::optional<Flight> land() {
    if (flights_.empty()) return std::nullopt;
    const auto at = flights_.begin() + below(static_cast<int>(flights_.size()));
    Flight flight = std::move(*at);
    flights_.erase(at);
    return flight;
  }

  void answer() {
    if (!flights_.empty() && below(4) == 0) {  // it commits now, and is heard of later
      auto& flight = flights_[static_cast<std::size_t>(below(static_cast<int>(flights_.size())))];
      if (!flight.committed) flight.committed = apply(flight);
      return;
    }
    auto flight = land();
    if (!flight) return;
    const bool applied = flight->committed || apply(*flight);
    const auto lane = lanes_.change(flight->lane);
    lanes_.served(flight->lane, milliseconds{below(100)});
    if (flight->generation != lane->generation()) {
      lane->forget_in_flight();
      ++effects_["answer of an older generation"];
      return;
    }
    if (!applied) {
      lane->forget_in_flight();
      lane->drop();
      begin_again(lane->topic());
      ++effects_["moved"];
      return;
    }
    for (const auto& slice : flight->batch->slices) {
      REQUIRE(ledger_.answered(slice.partition, slice.expected, slice.next));
    }
    lane->applied();
  }

  void fail() {
    auto flight = land();
    if (!flight) return;
    const auto lane = lanes_.change(flight->lane);
    if (flight->generation != lane->generation()) return lane->forget_in_flight();
    if (flight->committed) {  // the answer was lost: the next try finds it applied
      flights_.push_back(std::move(*flight));
      return;
    }
    switch (below(3)) {
      case 0:
        ++effects_["unavailable"];
        return lane->returned(std::move(flight->batch));
      case 1:
        ++effects_["busy"];
        return lane->busy(std::move(flight->batch), "locked", now_);
      default:
        ++effects_["refused"];
        lane->forget_in_flight();
        lane->drop();
        ledger_.suspend(lane->topic());
        lane->stop("refused", now_);
    }
  }

  void pause_or_resume() {
    const auto index = static_cast<std::size_t>(below(topics));
    const auto lane = lanes_.change(index);
    if (lane->state() == Lane::State::paused) {
      lane->reopen();
      begin_again(lane->topic());
      ++effects_["resumed"];
    } else {
      lane->pause();
      ledger_.suspend(lane->topic());
    }
  }

  void mend(std::size_t index) {
    const auto lane = lanes_.change(index);
    if (lane->state() != Lane::State::stopped && lane->state() != Lane::State::paused) return;
    lane->drop();
    lane->reopen();
    begin_again(lane->topic());
    ++effects_["retried"];
  }
  void retry() { mend(static_cast<std::size_t>(below(topics))); }

  void evict() {
    const auto index = static_cast<std::size_t>(below(topics));
    if (!lanes_[index].trouble() || lanes_[index].in_flight()) return;
    if (lanes_[index].state() != Lane::State::waiting) return;
    ledger_.suspend(lanes_[index].topic());
    lanes_.change(index)->evict();
    ++effects_["evicted"];
  }

  /// Another daemon has applied a few records of a partition.
  void another_owner() {
    auto& [tp, table] = *std::next(target_.begin(), below(static_cast<int>(target_.size())));
    const auto& offsets = log_.at(tp);
    if (table.rows.size() == offsets.size()) return;
    table.rows.push_back(offsets[table.rows.size()]);
    table.position = after(RecordOffset{table.rows.back()});
    ++effects_["another owner"];
  }

  void rebalance() {
    for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_.change(i)->drop();
    ledger_.clear();
    for (const auto& [tp, offsets] : log_) {
      if (lanes_[lanes_.index_of(tp.topic)].takes_records()) begin(tp);
    }
    ++effects_["rebalance"];
  }

  void poison() {
    const auto index = static_cast<std::size_t>(below(topics));
    const auto lane = lanes_.change(index);
    if (!lane->takes_records()) return;
    if (below(2) == 0) {
      lane->stop("poison", now_);
    } else {
      lane->read_later("not yet", now_);
    }
    ++effects_["poison"];
  }

  std::minstd_rand random_;
  Lane::Time now_{std::chrono::seconds{1000}};
  std::map<TopicPartition, std::vector<std::int64_t>> log_;
  std::map<TopicPartition, std::size_t> fetch_at_;
  std::map<TopicPartition, Table> target_;
  Positions committed_;
  Lanes lanes_{{.max_events = 20, .max_bytes = 64 * 1024, .max_wait = milliseconds{0}}};
  Ledger ledger_;
  std::vector<Flight> flights_;
  std::map<std::string, int> effects_;
};

}  // namespace

TEST_CASE("flow: each record reaches the target once and in order, whatever happens on the way") {
  const auto seed = GENERATE(range(1U, 60U));
  CAPTURE(seed);
  World world{seed};
  world.run();
  REQUIRE(world.all_applied());
}

TEST_CASE("flow: the test above does happen to what it is about") {
  std::map<std::string, int> effects;
  for (unsigned seed = 1; seed < 10; ++seed) {
    World world{seed};
    world.run();
    for (const auto* what :
         {"reread", "answer of an older generation", "moved", "unavailable", "busy", "refused",
          "resumed", "retried", "evicted", "another owner", "rebalance", "poison"}) {
      effects[what] += world.effects(what);
    }
  }
  for (const auto& [what, times] : effects) {
    CAPTURE(what);
    CHECK(times >= 5);
  }
}
