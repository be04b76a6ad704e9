#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>

#include "lockstep/model/mutex.hpp"

namespace lockstep::source {

/// A thread for what has to wait for somebody, one after the other. Its end waits for the one that
/// runs; the others are dropped.
/// Threads: post() from any.
class Worker {
 public:
  static constexpr std::size_t most = 64;  ///< that wait for their turn

  Worker() : thread_{[this](const std::stop_token& stop) { work(stop); }} {}

  /// False: too many wait already.
  bool post(std::function<void()> job) {
    const Lock lock{mutex_};
    if (jobs_.size() >= most) return false;
    jobs_.push_back(std::move(job));
    woken_.notify_one();
    return true;
  }

 private:
  void work(const std::stop_token& stop) {
    for (;;) {
      std::function<void()> job;
      {
        Lock lock{mutex_};
        woken_.wait(lock, stop, [this]() LOCKSTEP_REQUIRES(mutex_) { return !jobs_.empty(); });
        if (stop.stop_requested()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  Mutex mutex_;
  std::condition_variable_any woken_;
  std::deque<std::function<void()>> jobs_ LOCKSTEP_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace lockstep::source
