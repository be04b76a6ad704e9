#include "worker.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

namespace lockstep::pipeline {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds first_backoff{100};
constexpr milliseconds longest_backoff{5000};

/// The same batch can succeed later.
bool passes(SinkError::Kind kind) {
  return kind == SinkError::Kind::unavailable || kind == SinkError::Kind::busy;
}

milliseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
}

/// Half to all of `backoff`, so that many daemons don't come back at one moment.
milliseconds jittered(milliseconds backoff) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return milliseconds{
      std::uniform_int_distribution<std::int64_t>{backoff.count() / 2, backoff.count()}(random)};
}

}  // namespace

Worker::Worker(std::string name, std::unique_ptr<Sink> sink)
    : name_{std::move(name)}, sink_{std::move(sink)}, thread_{[this](const std::stop_token& stop) {
        work(stop);
      }} {}

void Worker::push(Task task) {
  const std::scoped_lock lock{mutex_};
  held_bytes_ += bytes_of(task);
  queue_.push_back({std::move(task), epoch_});
  changed_.notify_all();
}

std::vector<Worker::Answer> Worker::take() {
  const std::scoped_lock lock{mutex_};
  return std::exchange(answers_, {});
}

bool Worker::wait(milliseconds timeout) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, timeout, [&] { return !answers_.empty(); });
}

bool Worker::idle() const {
  const std::scoped_lock lock{mutex_};
  return queue_.empty() && !running_;
}

std::size_t Worker::held_bytes() const {
  const std::scoped_lock lock{mutex_};
  return held_bytes_;
}

void Worker::cancel() {
  const std::scoped_lock lock{mutex_};
  for (const auto& queued : queue_) held_bytes_ -= bytes_of(queued.task);
  queue_.clear();
  ++epoch_;
  changed_.notify_all();
}

bool Worker::wait_idle(milliseconds timeout) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, timeout, [&] { return queue_.empty() && !running_; });
}

std::size_t Worker::bytes_of(const Task& task) {
  const auto* const apply = std::get_if<Apply>(&task);
  return apply == nullptr ? 0 : apply->batch->bytes();
}

void Worker::work(const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  while (changed_.wait(lock, stop, [&] { return !queue_.empty(); })) {
    Queued next = std::move(queue_.front());
    queue_.pop_front();
    running_ = true;
    const auto epoch = next.epoch;
    const auto bytes = bytes_of(next.task);
    lock.unlock();
    auto answer = perform(std::move(next), stop);
    lock.lock();
    running_ = false;
    held_bytes_ -= bytes;
    // Positions that were asked for before a cancel() are of an assignment that is gone.
    const bool stale = epoch != epoch_ && answer && std::holds_alternative<PositionsRead>(*answer);
    if (answer && !stale) answers_.push_back(std::move(*answer));
    changed_.notify_all();
  }
}

std::optional<Worker::Answer> Worker::perform(Queued queued, const std::stop_token& stop) {
  if (const auto* read = std::get_if<ReadPositions>(&queued.task)) {
    auto positions =
        persist(queued.epoch, stop, [&] { return sink_->positions(read->partitions); });
    if (!positions) return std::nullopt;
    return PositionsRead{std::move(*positions)};
  }
  auto& apply = std::get<Apply>(queued.task);
  const auto begin = Clock::now();
  auto applied = persist(queued.epoch, stop, [&] { return sink_->apply(*apply.batch); });
  if (applied) return Applied{std::move(apply), since(begin)};
  if (passes(applied.error().kind)) return std::nullopt;
  return Failed{std::move(apply), applied.error()};
}

template <class Attempt>
auto Worker::persist(std::uint64_t epoch, const std::stop_token& stop, const Attempt& attempt)
    -> decltype(attempt()) {
  auto backoff = first_backoff;
  const auto begin = Clock::now();
  std::string last_cause;
  for (int tries = 1;; ++tries) {
    auto result = attempt();
    if (result || !passes(result.error().kind)) {
      if (!last_cause.empty()) {
        spdlog::info("target is back pipeline={} after_ms={} tries={}", name_, since(begin).count(),
                     tries);
      }
      return result;
    }
    if (result.error().message != last_cause) {  // a new cause is news, the same one is not
      last_cause = result.error().message;
      spdlog::warn("target unavailable, trying until it answers pipeline={}: {}", name_,
                   last_cause);
    }
    std::unique_lock lock{mutex_};
    const auto unwanted = [&] { return epoch != epoch_; };
    changed_.wait_for(lock, stop, jittered(backoff), unwanted);
    if (unwanted() || stop.stop_requested()) return result;
    backoff = std::min(backoff * 2, longest_backoff);
  }
}

}  // namespace lockstep::pipeline
