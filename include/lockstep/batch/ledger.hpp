#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lockstep/model/position.hpp"

namespace lockstep {

/// Where a pipeline stands in each partition that it has: the one home of its positions.
///
/// Positions are next offsets; `applied` <= `read`. Offsets of a log have holes (compaction,
/// transaction markers), so what is answered comes as ranges [from, next) that follow each other
/// without a gap because each begins where the one before it ended.
/// Answers may come in any order and in parts: `applied` is the end of what is answered without a
/// gap from the start, and only that may be committed.
/// Pure: no I/O, no clock. Threads: one.
class Ledger {
 public:
  struct Entry {
    std::size_t lane = 0;
    bool reading = false;  ///< false: what comes of it is not wanted until begin()
    /// The first offset that is still to be read; nullopt: whatever comes first.
    std::optional<NextOffset> read;
    /// All before it is in the sink; nullopt: the sink has no position yet.
    std::optional<NextOffset> applied;
    /// The first record that has come.
    std::optional<RecordOffset> first;
    /// The log's end when it was last reached.
    std::optional<NextOffset> end_reached;

    /// The record is the next one, or one after a hole; false: it was read before.
    bool wants(RecordOffset offset) const noexcept {
      return reading && (!read || offset.value >= read->value);
    }
    bool all_applied() const noexcept { return applied == read; }

   private:
    friend class Ledger;
    /// Answered, but something before it is not: from, next.
    std::map<std::optional<NextOffset>, NextOffset> ahead;
  };

  /// Reads the partition from `at` on, where the sink stands. Whatever was there before no longer
  /// counts.
  void begin(const TopicPartition& partition, std::size_t lane, std::optional<NextOffset> at);

  /// Nothing more is wanted of the topic's partitions until begin().
  void suspend(std::string_view topic);

  /// All partitions are gone, and what was not committed with them.
  void clear();

  /// nullptr: not one of ours. Valid until clear().
  Entry* find(std::string_view topic, std::int32_t partition);

  /// The range [from, next) of a partition is in the sink. False, and nothing changes, for a range
  /// that was not read or was answered already.
  [[nodiscard]] bool answered(const TopicPartition& partition, std::optional<NextOffset> from,
                              NextOffset next);

  /// What may be committed and has moved since it was last taken.
  Positions take_committable();
  bool has_committable() const noexcept { return !committable_.empty(); }

  const std::map<TopicPartition, Entry>& entries() const noexcept { return entries_; }
  /// Calls `f(partition, entry)` for each of the topic's.
  template <class F>
  void for_each_of(std::string_view topic, F&& f) {
    auto at = entries_.lower_bound({std::string{topic}, 0});
    for (; at != entries_.end() && at->first.topic == topic; ++at) f(at->first, at->second);
  }

 private:
  std::map<TopicPartition, Entry> entries_;
  std::pair<const TopicPartition, Entry>* last_found_ = nullptr;  // records come in runs
  Positions committable_;
};

/// Records that are in the log and not in the sink; of a sink without a position, from the first
/// that has come. `end`: the log's end as far as it is known.
/// Transaction markers take offsets too: once the end was reached and all that was read is applied,
/// what is between is markers.
std::int64_t lag_of(const Ledger::Entry& entry, std::optional<NextOffset> end);

/// All before it is in the sink, or is no record: markers of transactions and holes behind the last
/// record count as passed once the log's end behind them was reached.
std::optional<NextOffset> passed_of(const Ledger::Entry& entry);

}  // namespace lockstep
