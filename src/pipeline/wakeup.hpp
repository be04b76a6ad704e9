#pragma once

#include <chrono>

namespace lockstep::pipeline {

/// What one thread sleeps on and others wake: an eventfd, so that librdkafka can write to it, too.
/// A notify() that comes while nobody waits is not lost: the next wait() returns at once.
/// Threads: wait() from one, notify() from any.
class Wakeup {
 public:
  Wakeup();
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  int fd() const noexcept { return fd_; }
  void notify() const noexcept;
  /// Until notified, or for `timeout`.
  void wait(std::chrono::steady_clock::duration timeout) const;

 private:
  const int fd_;
};

}  // namespace lockstep::pipeline
