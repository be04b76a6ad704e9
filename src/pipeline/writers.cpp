#include "writers.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <new>
#include <random>

namespace lockstep::pipeline {

using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds quiet{3};
constexpr Backoff outage_backoff{milliseconds{100}, milliseconds{5000}};

/// Half to all of `backoff`, so that many daemons don't come back at one moment.
milliseconds jittered(milliseconds backoff) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return milliseconds{
      std::uniform_int_distribution<std::int64_t>{backoff.count() / 2, backoff.count()}(random)};
}

}  // namespace

Writers::Writers(std::string pipeline, std::vector<std::unique_ptr<Sink>> sinks,
                 std::function<void()> wake, Deliver deliver)
    : pipeline_{std::move(pipeline)},
      sinks_{std::move(sinks)},
      wake_{std::move(wake)},
      deliver_{std::move(deliver)},
      seats_(sinks_.size()),
      slots_(sinks_.size()) {
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    threads_.emplace_back([this, i] { work(i, *sinks_[i]); });
  }
}

Writers::~Writers() {
  {
    const Lock lock{mutex_};
    closing_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

// ---- The owner's side

bool Writers::has_free(Clock::time_point now) const {
  return std::any_of(seats_.begin(), seats_.end(),
                     [&](const Seat& seat) { return !seat.busy && seat.free_at <= now; });
}

std::optional<Writers::Clock::time_point> Writers::next_free_at(Clock::time_point now) const {
  std::optional<Clock::time_point> first;
  for (const auto& seat : seats_) {
    if (seat.busy || seat.free_at <= now) continue;
    if (!first || seat.free_at < *first) first = seat.free_at;
  }
  return first;
}

void Writers::start(Job job, Clock::time_point now) {
  const auto free = std::find_if(seats_.begin(), seats_.end(), [&](const Seat& seat) {
    return !seat.busy && seat.free_at <= now;
  });
  free->busy = true;
  free->pings = std::holds_alternative<Ping>(job);
  free->since = now;
  {
    const Lock lock{mutex_};
    slots_[static_cast<std::size_t>(free - seats_.begin())].job = std::move(job);
  }
  changed_.notify_all();
}

void Writers::ping_if_quiet(Clock::time_point now) {
  if (idle() && now - answered_at_ >= quiet && has_free(now)) start(Ping{}, now);
}

std::vector<Writers::Answer> Writers::take(Clock::time_point now) {
  std::vector<Finished> done;
  {
    const Lock lock{mutex_};
    done.swap(done_);
    has_answers_ = false;
  }
  std::vector<Answer> answers;
  answers.reserve(done.size());
  for (auto& [writer, answer] : done) {
    seats_[writer].busy = false;
    answered_at_ = now;
    note(writer, answer, now);
    answers.push_back(std::move(answer));
  }
  return answers;
}

bool Writers::idle() const {
  return std::none_of(seats_.begin(), seats_.end(), [](const Seat& seat) { return seat.busy; });
}

bool Writers::wait_idle(milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  Lock lock{mutex_};
  const auto runs = [](const Slot& slot) { return slot.job || slot.running; };
  while (std::any_of(slots_.begin(), slots_.end(), runs)) {
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
      return std::none_of(slots_.begin(), slots_.end(), runs);
    }
  }
  return true;
}

void Writers::note(std::size_t writer, const Answer& answer, Clock::time_point now) {
  Seat& seat = seats_[writer];
  if (!answer.result && answer.result.error().kind == SinkError::Kind::unavailable) {
    seat.free_at = now + jittered(outage_backoff.after(++seat.failures));
    const auto& cause = answer.result.error().message;
    if (cause == outage_cause_) return;  // a new cause is news, the same one is not
    if (outage_cause_.empty()) outage_since_ = now;
    outage_cause_ = cause;
    spdlog::warn("target unavailable, trying until it answers pipeline={}: {}", pipeline_, cause);
    return;
  }
  seat.failures = 0;
  if (outage_cause_.empty()) return;
  outage_cause_.clear();
  // Who waits for a backoff need not wait it out.
  for (auto& other : seats_) other.free_at = now;
  spdlog::info("target is back pipeline={} after_ms={}", pipeline_,
               std::chrono::duration_cast<milliseconds>(now - outage_since_).count());
}

// ---- A writer's side

void Writers::work(std::size_t writer, Sink& sink) {
  for (;;) {
    std::optional<Job> job;
    {
      Lock lock{mutex_};
      while (!closing_ && !slots_[writer].job) changed_.wait(lock);
      if (!slots_[writer].job) return;
      job = std::exchange(slots_[writer].job, std::nullopt);
      slots_[writer].running = true;
    }
    const auto begin = Clock::now();
    auto result = perform(sink, *job);
    const auto took = Clock::now() - begin;
    const auto spent = result ? sink.spent() : Spent{};
    {
      const Lock lock{mutex_};
      slots_[writer].running = false;
      done_.push_back({writer, {std::move(*job), std::move(result), took, spent}});
      has_answers_ = true;
    }
    changed_.notify_all();
    wake_();
  }
}

/// A sink answers with errors; what it throws all the same is a bug, or memory that ran out, and
/// must not end the process.
Result<Writers::Standing, SinkError> Writers::perform(Sink& sink, const Job& job) const {
  using Kind = SinkError::Kind;
  try {
    if (const auto* read = std::get_if<ReadPositions>(&job)) {
      auto positions = sink.positions(read->partitions);
      if (!positions) return positions.error();
      std::set<std::string> topics;
      for (const auto& tp : read->partitions) topics.insert(tp.topic);
      auto parked = sink.parked(topics);
      if (!parked) return parked.error();
      return Standing{*std::move(positions), *std::move(parked)};
    }
    if (std::holds_alternative<Ping>(job)) {
      if (auto answered = sink.ping(); !answered) return answered.error();
      return Standing{};
    }
    const Batch& batch = *std::get<Apply>(job).batch;
    if (!batch.letters.empty()) {
      if (auto delivered = deliver_(batch); !delivered) {
        return SinkError{Kind::undelivered,
                         "dead letters can't be delivered: " + delivered.error()};
      }
    }
    if (auto applied = sink.apply(batch); !applied) return applied.error();
    return Standing{};
  } catch (const std::bad_alloc&) {
    return SinkError{.kind = Kind::unavailable, .message = "out of memory"};
  } catch (const std::exception& e) {
    return SinkError{.kind = Kind::refused, .message = std::string{"internal error: "} + e.what()};
  } catch (...) {
    return SinkError{.kind = Kind::refused, .message = "internal error"};
  }
}

}  // namespace lockstep::pipeline
