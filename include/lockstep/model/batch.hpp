#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/model/arena.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/letter.hpp"
#include "lockstep/model/position.hpp"

namespace lockstep {

/// How large a batch gets and how long its first change waits for more: it is due as soon as one is
/// reached. While the sink is busy batches grow by themselves, so even without a wait a backlog
/// goes in large ones.
struct BatchLimits {
  std::size_t max_events = 20'000;           ///< Kafka records in one transaction
  std::size_t max_bytes = 64 * 1024 * 1024;  ///< decoded, in memory; one record may go beyond
  std::chrono::milliseconds max_wait{0};     ///< since the first record, if the sink is free

  bool operator==(const BatchLimits&) const = default;
};

/// The part of one partition that a batch covers.
struct Slice {
  TopicPartition partition;
  /// What lockstep.progress must hold when the batch is applied: the next offset after the batch
  /// before; nullopt: no row yet.
  std::optional<NextOffset> expected;
  /// What it holds afterwards.
  NextOffset next;
  /// Of the newest change in the slice; 0 and empty if it has none.
  std::int64_t source_ts_us = 0;
  std::string source_position;
  /// The table of the newest change that names one (tombstones don't); nullptr: none does. Of the
  /// decoder, as Change::relation is.
  const Relation* relation = nullptr;
  bool has_several_relations = false;  ///< others were named before it
};

/// Changes in a row that the source has committed at one time.
struct CommitTime {
  std::int64_t ts_us = 0;
  std::uint64_t changes = 0;
};

/// The record that a change was made of, and what the change does not hold of it.
struct Origin {
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::span<const Header> headers;
  Row before;
};

/// Changes that become visible at the target together, in one transaction, in arrival order.
/// Plain data, handed from the thread that fills it to the thread that applies it.
struct Batch {
  Arena arena;  // first: the changes point into it
  std::vector<Change> changes;
  std::vector<Origin> origins;  ///< of `changes`, one each, where the pipeline keeps them
  std::vector<Letter> letters;  ///< passed by: no change of them is in `changes`
  /// The table was truncated: of its parked keys only those of `letters` are parked afterwards.
  bool unparks = false;
  std::vector<Slice> slices;
  std::vector<CommitTime> commit_times;  ///< of `changes`, as far as they say
  std::chrono::steady_clock::time_point begun;
  std::chrono::steady_clock::time_point taken;  ///< by a writer
  std::size_t records = 0;                      ///< Kafka records, skipped ones too
  std::uint64_t generation = 0;                 ///< of its lane, when it was taken

  /// The slice of this partition; one that begins at `expected` if there is none yet.
  Slice& slice_of(std::string_view topic, std::int32_t partition,
                  std::optional<NextOffset> expected) {
    // Records come in runs of one partition: the last one first.
    for (auto slice = slices.rbegin(); slice != slices.rend(); ++slice) {
      if (slice->partition.partition == partition && slice->partition.topic == topic) {
        if (slice != slices.rbegin()) std::swap(*slice, slices.back());
        return slices.back();
      }
    }
    Slice& slice = slices.emplace_back();
    slice.partition = {std::string{topic}, partition};
    slice.expected = expected;
    return slices.back();
  }

  /// Memory held, in bytes.
  std::size_t bytes() const noexcept {
    return arena.bytes() + changes.capacity() * sizeof(Change) +
           origins.capacity() * sizeof(Origin) + letters.capacity() * sizeof(Letter) +
           commit_times.capacity() * sizeof(CommitTime);
  }
};

}  // namespace lockstep
