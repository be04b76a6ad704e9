#include "lockstep/batch/lane.hpp"

#include <algorithm>
#include <utility>

namespace lockstep {

Lane::State Lane::state() const noexcept {
  switch (intake_) {
    case Intake::paused:
      return State::paused;
    case Intake::stopped:
      return State::stopped;
    case Intake::later:
      return State::waiting;
    case Intake::open:
      break;
  }
  return held_ ? State::waiting : State::reading;
}

std::size_t Lane::bytes() const noexcept {
  return (filling_ ? filling_->bytes() : 0) + queued_bytes_ + in_flight_bytes_;
}

// ---- Reading

Batch& Lane::filling(Time now) {
  if (!filling_) {
    filling_ = std::make_unique<Batch>();
    filling_->begun = now;
  }
  return *filling_;
}

void Lane::filled() {
  if (!filling_) return;
  if (filling_->records == 0) {
    filling_.reset();
  } else if (is_full(*filling_, limits())) {
    filling_->changes.shrink_to_fit();
    queued_bytes_ += filling_->bytes();
    queue_.push_back(std::move(filling_));
  }
}

// ---- Handing over

BatchLimits Lane::limits() const noexcept {
  BatchLimits limits = limits_;
  limits.max_events <<= doublings_;
  return limits;
}

bool Lane::held(Time now) const noexcept {
  return held_ && trouble_ && now < trouble_->retry_at;
}

bool Lane::ready(Time now, bool hurry, const Remaining& remaining) const {
  if (in_flight() || intake_ == Intake::paused || held(now)) return false;
  if (!queue_.empty()) return true;
  if (!filling_) return false;
  if (hurry || intake_ != Intake::open) return true;  // nothing more will come
  if (now < due_at(*filling_, limits())) return false;
  if (now >= filling_->begun + longest_fill) return true;
  constexpr std::size_t first_share = 8;
  if (rested_ && filling_->records >= limits().max_events / first_share) return true;
  const auto room = static_cast<std::int64_t>(limits().max_events - filling_->records);
  return remaining(*filling_) < room;
}

std::optional<Lane::Time> Lane::ready_at(Time now) const {
  if (in_flight() || intake_ == Intake::paused || (queue_.empty() && !filling_)) {
    return std::nullopt;
  }
  Time at = held_ && trouble_ ? trouble_->retry_at : Time::min();
  if (queue_.empty() && intake_ == Intake::open) {
    const Time due = due_at(*filling_, limits());
    at = std::max(at, due > now ? due : filling_->begun + longest_fill);
  }
  return at > now ? std::optional{at} : std::nullopt;
}

std::unique_ptr<Batch> Lane::take(Time now) {
  std::unique_ptr<Batch> batch;
  if (queue_.empty()) {
    batch = std::move(filling_);
  } else {
    batch = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= batch->bytes();
  }
  in_flight_bytes_ = batch->bytes();
  in_flight_since_ = now;
  rested_ = false;
  return batch;
}

// ---- Answers

void Lane::forget_in_flight() noexcept {
  in_flight_bytes_ = 0;
  in_flight_since_.reset();
}

void Lane::applied() {
  forget_in_flight();
  rested_ = empty();
  held_ = false;
  if (intake_ != Intake::open) return;
  trouble_.reset();
  doublings_ = 0;
}

void Lane::returned(std::unique_ptr<Batch> batch) {
  forget_in_flight();
  queued_bytes_ += batch->bytes();
  queue_.push_front(std::move(batch));
}

void Lane::busy(std::unique_ptr<Batch> batch, std::string cause, Time now) {
  returned(std::move(batch));
  held_ = true;
  // A cause that has stopped it is the news, not that what was read before has to wait.
  if (intake_ == Intake::stopped) cause = trouble_->cause;
  fail(std::move(cause), now);
}

void Lane::fail(std::string cause, Time now) {
  if (!trouble_) trouble_ = Trouble{{}, now, {}, 0, {}};
  trouble_->cause = std::move(cause);
  trouble_->retry_at = now + backoff.after(++trouble_->failures);
}

// ---- Turns of the state

void Lane::stop(std::string cause, Time now, std::optional<RecordPlace> record) {
  intake_ = Intake::stopped;
  trouble_ = Trouble{std::move(cause), now, now, 0, std::move(record)};
}

void Lane::read_later(std::string cause, Time now) {
  intake_ = Intake::later;
  fail(std::move(cause), now);
}

void Lane::read_more_later(std::string cause, Time now) {
  constexpr int most_doublings = 16;  // max_bytes bounds it, too
  evict();
  doublings_ = std::min(doublings_ + 1, most_doublings);
  read_later(std::move(cause), now);
}

void Lane::pause() {
  intake_ = Intake::paused;
  drop();
}

void Lane::hasten(Time now) noexcept {
  if (trouble_) trouble_->retry_at = now;
}

void Lane::forget_batches() noexcept {
  ++generation_;
  filling_.reset();
  queue_.clear();
  queued_bytes_ = 0;
}

void Lane::evict() {
  forget_batches();
  if (intake_ == Intake::open) intake_ = Intake::later;
}

void Lane::drop() noexcept {
  forget_batches();
  held_ = false;
  doublings_ = 0;
  if (intake_ == Intake::later) intake_ = Intake::open;
  if (intake_ != Intake::stopped) trouble_.reset();
}

void Lane::reopen() noexcept {
  if (intake_ == Intake::stopped) trouble_.reset();
  intake_ = Intake::open;
}

}  // namespace lockstep
