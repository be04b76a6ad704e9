#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "lockstep/model/sink.hpp"

namespace lockstep::pipeline {

/// Gives a sink a thread of its own and the patience to try again while it is unavailable, with
/// jittered exponential backoff from 100 ms to 5 s, logged once when it goes and once when it is
/// back.
/// Order : tasks are done, and answered, in the order in which they were pushed.
/// Bounds: the queue has none of its own: its one user pushes against a budget of bytes.
/// Threads: all but the constructor and destructor from one thread, the user's.
class Worker {
 public:
  struct ReadPositions {
    std::vector<TopicPartition> partitions;
  };
  /// `owner` and `chain` are the user's, handed back with the answer.
  struct Apply {
    std::unique_ptr<Batch> batch;
    std::size_t owner = 0;
    std::uint64_t chain = 0;
  };
  using Task = std::variant<ReadPositions, Apply>;

  struct PositionsRead {
    Positions positions;
  };
  struct Applied {
    Apply task;
    std::chrono::milliseconds took;
  };
  struct Failed {
    Apply task;
    SinkError error;  ///< refused or moved
  };
  using Answer = std::variant<PositionsRead, Applied, Failed>;

  Worker(std::string name, std::unique_ptr<Sink> sink);

  void push(Task task);
  /// The answers so far.
  std::vector<Answer> take();
  /// Waits until there is an answer to take; false after `timeout`.
  bool wait(std::chrono::milliseconds timeout);
  /// Nothing queued, nothing running.
  bool idle() const;
  /// Of the batches that are queued or running.
  std::size_t held_bytes() const;

  /// Drops what is queued without an answer. What runs is not tried again, and if it fails now it
  /// has no answer either.
  void cancel();
  /// Waits until nothing runs; false after `timeout`.
  bool wait_idle(std::chrono::milliseconds timeout);

 private:
  struct Queued {
    Task task;
    std::uint64_t epoch;
  };

  static std::size_t bytes_of(const Task& task);
  void work(const std::stop_token& stop);
  std::optional<Answer> perform(Queued queued, const std::stop_token& stop);
  /// Calls `attempt` until its answer is other than unavailable, or nobody waits for it any more.
  template <class Attempt>
  auto persist(std::uint64_t epoch, const std::stop_token& stop, const Attempt& attempt)
      -> decltype(attempt());

  const std::string name_;
  const std::unique_ptr<Sink> sink_;  // used by thread_ only

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  // Guarded by mutex_:
  std::deque<Queued> queue_;
  std::vector<Answer> answers_;
  std::uint64_t epoch_ = 0;  // cancel() raises it
  bool running_ = false;
  std::size_t held_bytes_ = 0;

  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace lockstep::pipeline
