#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "lockstep/model/batch.hpp"
#include "lockstep/model/destination.hpp"
#include "lockstep/model/position.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep {

/// Why a sink did not apply a batch, by what the caller can do about it. Nothing was applied, but
/// for an answer that was lost: the next try with the same batch finds out.
struct SinkError {
  enum class Kind {
    unavailable,  ///< the connection or the server: this sink rests for a while; the same batch is
                  ///< tried again, by it or by another, as often as it takes
    busy,         ///< the batch's own table: a lock, a deadlock, a statement that ran out of time:
                  ///< the same batch later; other tables need not wait
    refused,      ///< the target won't have this batch (constraint, missing table, unknown type):
                  ///< its table must wait for an operator
    moved,        ///< another owner has moved the position: forget the batch, read it anew
    waits,        ///< a change needs what is still to come, of another table or of its own: what is
                  ///< before the culprit can be applied, the rest read again later
    undelivered,  ///< no sink's answer: the batch's letters can't be delivered, so it has not seen
                  ///< the batch
  };
  Kind kind;
  std::string message;                   ///< for logs: never a row's value
  std::string sqlstate{};                ///< empty if it is not PostgreSQL's
  std::string constraint{};              ///< that is violated, where known
  Relation constrained{};                ///< the table that has it
  std::optional<RecordPlace> culprit{};  ///< the record that caused it, where known
  /// The table, not the record, is at fault: the culprit is the first record that it can't take.
  bool is_about_table = false;
};

/// What the time of a batch went into.
struct Spent {
  std::chrono::steady_clock::duration lock{};  ///< the position's: another owner, or an old commit
  std::chrono::steady_clock::duration sql{};   ///< its rows
  std::chrono::steady_clock::duration commit{};  ///< until it is durable
};

/// Where a partition stands in a sink, and what was read of it before. One that the sink has no
/// position for is not in SinkPositions.
struct SinkPosition {
  NextOffset next;
  std::optional<SourceTables> tables{};  ///< nullopt: not known
  bool operator==(const SinkPosition&) const = default;
};
using SinkPositions = std::map<TopicPartition, SinkPosition>;

/// Why a LateSink takes no more of a topic.
struct LateRefusal {
  RecordPlace record;  ///< that is one too many
  std::string cause;
};

/// What a LateSink is done with: parts of slices that it was given, of one topic.
struct LateAnswer {
  std::vector<Slice> slices;
  std::uint64_t generation = 0;                    ///< of the batch that they were in
  std::uint64_t changes = 0;                       ///< applied
  std::vector<CommitTime> commit_times{};          ///< of those, as far as they say
  std::uint64_t letters = 0;                       ///< changes that became dead letters
  std::map<std::string, std::uint64_t> skipped{};  ///< changes that are not for it, by rule
  std::optional<LateRefusal> refusal{};            ///< then there is nothing else in it
};

/// A sink that is done with changes later than it takes them, in any order.
///
/// Sink::apply() only takes a batch, and copies what it keeps of it. It waits for room for a second
/// at most, then it is `busy`. Nothing that was taken is lost: each part of its slices is answered,
/// or was forgotten. A topic that it refuses to go on with it answers with a refusal, finishes what
/// it has begun of it, and drops the rest, and what else it is handed of it, until it is told to
/// forget the topic. Threads: all functions here from any.
class LateSink {
 public:
  using Deliver = std::function<Result<Done, std::string>(std::span<const Letter>)>;

  /// Before the first batch. `wake` is called, from any thread, when take_answers() has something;
  /// `deliver`, from one thread at a time, puts records into the dead-letter topic, which takes up
  /// to 20 s: only where the pipeline has one. They are answered once they are there.
  virtual void attach(std::function<void()> wake, Deliver deliver) = 0;
  virtual std::vector<LateAnswer> take_answers() = 0;
  /// What was taken of the topic with a generation before this one, or is yet to be, is not wanted
  /// any more: what has not begun is dropped. It is read and handed over again.
  virtual void forget(const std::string& topic, std::uint64_t generation) = 0;
  /// Begins nothing until the next apply(), before which it is told what to forget; waits until
  /// nothing runs; false after `timeout`.
  virtual bool settle(std::chrono::milliseconds timeout) = 0;
  virtual DestinationStatus status() const = 0;

 protected:
  ~LateSink() = default;
};

/// Where a pipeline's batches go. Used by one thread at a time.
class Sink {
 public:
  virtual ~Sink() = default;

  /// The position that the target holds for each of `partitions`; one that it has none for is left
  /// out. Errors: unavailable. Nothing is thrown, here and below.
  virtual Result<SinkPositions, SinkError> positions(
      const std::vector<TopicPartition>& partitions) = 0;

  /// The keys that are parked of each of `topics`; one that has none is left out. Errors:
  /// unavailable.
  virtual Result<ParkedKeys, SinkError> parked(const std::set<std::string>& topics) {
    static_cast<void>(topics);
    return ParkedKeys{};
  }

  /// Applies the whole batch, parks the keys of its letters and moves its slices' positions, or
  /// changes nothing. May be called again after any error: a batch that took effect although its
  /// answer was lost is recognised. The letters themselves are delivered already.
  virtual Result<Done, SinkError> apply(const Batch& batch) = 0;

  /// Asks for a sign of life. Errors: unavailable.
  virtual Result<Done, SinkError> ping() { return done; }

  /// Of the last apply() that succeeded, where it is known.
  virtual Spent spent() const { return {}; }

  /// The same object, if it is one; then it is the pipeline's only sink.
  virtual LateSink* late() noexcept { return nullptr; }
};

}  // namespace lockstep
