#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "lockstep/batch/backoff.hpp"
#include "lockstep/model/mutex.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep::pipeline {

/// N sinks with a connection and a thread each. A job goes to one that is free; what it answered
/// is fetched with take().
///
/// An outage is the connection's: a writer whose sink was unavailable is not free for a while,
/// jittered from 100 ms up to 5 s; its job comes back to be given to any. It is logged once when it
/// begins, with each new cause, and when it ends.
/// Threads: all functions from one, the owner's; `wake` is called from the writers'.
/// Errors: what a sink throws becomes an answer.
class Writers {
 public:
  using Clock = std::chrono::steady_clock;

  struct ReadPositions {
    std::vector<TopicPartition> partitions;
    std::uint64_t assignment = 0;  ///< the owner's, handed back
  };
  struct Apply {
    std::unique_ptr<Batch> batch;
    std::size_t lane = 0;  ///< the owner's, as is the next: handed back
    std::uint64_t generation = 0;
  };
  using Job = std::variant<ReadPositions, Apply>;

  struct Standing {
    SinkPositions positions;
    ParkedKeys parked;
  };
  struct Answer {
    Job job;
    Result<Standing, SinkError> result;  ///< empty for an Apply
    Clock::duration took{};
  };
  /// Puts the letters of a batch where they belong. Errors: why it can't now.
  using Deliver = std::function<Result<Done, std::string>(const Batch&)>;

  /// What one of them does, for status.
  struct Seat {
    bool busy = false;
    Clock::time_point since{};    ///< when busy
    Clock::time_point free_at{};  ///< not before, after an outage
    int failures = 0;             ///< in a row
  };

  /// `deliver` is called before a batch with letters is applied, by several threads.
  Writers(std::string pipeline, std::vector<std::unique_ptr<Sink>> sinks,
          std::function<void()> wake, Deliver deliver = {});
  ~Writers();  ///< waits for what runs
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;

  bool has_free(Clock::time_point now) const;
  /// When one is free that is not now, if time alone makes it so.
  std::optional<Clock::time_point> next_free_at(Clock::time_point now) const;
  /// Needs a free one.
  void start(Job job, Clock::time_point now);
  std::vector<Answer> take(Clock::time_point now);
  /// take() has something.
  bool has_answers() const noexcept { return has_answers_; }
  /// Nothing runs. Answers may be waiting.
  bool idle() const;
  /// Waits until nothing runs; false after `timeout`.
  bool wait_idle(std::chrono::milliseconds timeout);
  const std::vector<Seat>& seats() const noexcept { return seats_; }
  /// Why a connection has failed last; empty: one has answered since.
  const std::string& outage() const noexcept { return outage_cause_; }

 private:
  struct Slot {
    std::optional<Job> job;
    bool running = false;
  };
  struct Finished {
    std::size_t writer;
    Answer answer;
  };

  void work(std::size_t writer, Sink& sink);
  Result<Standing, SinkError> perform(Sink& sink, const Job& job) const;
  void note(std::size_t writer, const Answer& answer, Clock::time_point now);

  const std::string pipeline_;
  const std::vector<std::unique_ptr<Sink>> sinks_;  // each used by its thread only
  const std::function<void()> wake_;
  const Deliver deliver_;

  // The owner's:
  std::vector<Seat> seats_;
  std::string outage_cause_;
  Clock::time_point outage_since_{};

  std::atomic<bool> has_answers_{false};

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Slot> slots_ LOCKSTEP_GUARDED_BY(mutex_);
  std::vector<Finished> done_ LOCKSTEP_GUARDED_BY(mutex_);
  bool closing_ LOCKSTEP_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace lockstep::pipeline
