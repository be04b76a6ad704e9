#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/batch/backoff.hpp"
#include "lockstep/batch/limits.hpp"
#include "lockstep/model/batch.hpp"
#include "lockstep/model/position.hpp"

namespace lockstep {

/// An ordered stream of changes that must stay in order among themselves: today those of one topic.
///
/// Records are added to its filling batch; full batches queue behind each other; one batch at a
/// time is in flight. A batch that could not be applied goes back to the head of the queue and is
/// held there with the lane's own backoff, while other lanes go on.
/// Generation: raised whenever what is held is forgotten; the answer to a batch of an older
/// generation no longer counts. Pure: no I/O; the time is handed in. Threads: one. Errors: none;
/// misuse (taking what is not ready, answering what is not in flight) is a bug of the caller.
class Lane {
 public:
  using Time = std::chrono::steady_clock::time_point;

  enum class State : std::uint8_t {
    reading,  ///< takes records and hands batches over
    waiting,  ///< for its table on the target, or to read its log again: see trouble()
    paused,   ///< by an operator
    stopped,  ///< by a cause that waiting will not mend; what was read before it is still applied
  };

  /// What keeps it from going on.
  struct Trouble {
    std::string cause;
    Time since;
    Time retry_at;  ///< when it is waiting
    int failures = 0;
    std::optional<RecordPlace> record{};  ///< that has stopped it, where it is one
  };

  Lane(std::string topic, BatchLimits limits) : topic_{std::move(topic)}, limits_{limits} {}

  const std::string& topic() const noexcept { return topic_; }
  State state() const noexcept;
  const std::optional<Trouble>& trouble() const noexcept { return trouble_; }
  std::uint64_t generation() const noexcept { return generation_; }
  bool in_flight() const noexcept { return in_flight_since_.has_value(); }
  std::optional<Time> in_flight_since() const noexcept { return in_flight_since_; }
  std::size_t queued() const noexcept { return queue_.size(); }
  /// Memory of all its batches, in flight ones too.
  std::size_t bytes() const noexcept;
  /// Nothing is held, nothing in flight.
  bool empty() const noexcept { return !filling_ && queue_.empty() && !in_flight(); }

  // ---- Reading

  /// Records that come now are wanted. If not, they are to be read again later, from where reading
  /// begins anew.
  bool takes_records() const noexcept { return intake_ == Intake::open; }
  /// The batch that the next record goes into.
  Batch& filling(Time now);
  /// The record was added, or none could be made of it.
  void filled();

  // ---- Handing over

  /// How many records the log still holds behind the batch, as far as is known.
  using Remaining = std::function<std::int64_t(const Batch&)>;

  /// There is a batch to hand over. One that the log can fill is filled first, but for at most
  /// longest_fill, and the first after a rest to an eighth only, since the next fills while it is
  /// applied; one at the log's end waits for max_wait only. `hurry`: memory is short, don't wait
  /// for more.
  bool ready(Time now, bool hurry, const Remaining& remaining) const;
  /// When ready() turns true without anything else happening; nullopt: it is already, or never.
  std::optional<Time> ready_at(Time now) const;
  std::unique_ptr<Batch> take(Time now);

  // ---- Answers, each for the batch in flight

  void applied();
  /// The connection failed, not the table: as if it had not been taken.
  void returned(std::unique_ptr<Batch> batch);
  /// The table can't take it now.
  void busy(std::unique_ptr<Batch> batch, std::string cause, Time now);
  /// The answer is of no use any more (an older generation's).
  void forget_in_flight() noexcept;

  // ---- Turns of the state

  /// Reads no further; what was read is still handed over. `record`: that is at fault, if one is.
  void stop(std::string cause, Time now, std::optional<RecordPlace> record = std::nullopt);
  /// The same for a while: something in the log can't be used yet.
  void read_later(std::string cause, Time now);
  /// What was read needs what is still to come, of its own log or another's: it is read again a
  /// while later, in a batch that may be twice as large, and so on until one is applied.
  void read_more_later(std::string cause, Time now);
  /// What is held is forgotten: a table that rests for days must not hold memory.
  void pause();
  /// Gives back the memory of what can't be handed over now: it is read again for the next try.
  void evict();
  /// Takes records again, from wherever reading begins anew.
  void reopen() noexcept;
  /// When it wants to read its log again: reopen(). nullopt: it does not, or not before what it
  /// holds is applied.
  std::optional<Time> reread_at() const noexcept {
    if (intake_ != Intake::later || !trouble_ || !empty()) return std::nullopt;
    return trouble_->retry_at;
  }
  /// The trouble is mended, says an operator: the next try is due now.
  void hasten(Time now) noexcept;
  /// Begins anew: forgets what is held and raises the generation. What is in flight is left to its
  /// writer. One that is paused or stopped stays so.
  void drop() noexcept;

  static constexpr Backoff backoff{std::chrono::milliseconds{100}, std::chrono::milliseconds{2000}};
  static constexpr std::chrono::milliseconds longest_fill{500};

 private:
  enum class Intake : std::uint8_t { open, later, paused, stopped };

  BatchLimits limits() const noexcept;
  bool held(Time now) const noexcept;
  void fail(std::string cause, Time now);
  void forget_batches() noexcept;

  const std::string topic_;
  const BatchLimits limits_;
  Intake intake_ = Intake::open;
  std::optional<Trouble> trouble_;
  int doublings_ = 0;  ///< of a batch's size
  bool held_ = false;  ///< the head of the queue waits for trouble_->retry_at
  std::uint64_t generation_ = 0;
  std::unique_ptr<Batch> filling_;
  std::deque<std::unique_ptr<Batch>> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t in_flight_bytes_ = 0;
  std::optional<Time> in_flight_since_;
  bool rested_ = true;  ///< nothing was handed over since it was last empty
};

}  // namespace lockstep
