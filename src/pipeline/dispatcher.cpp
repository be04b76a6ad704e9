#include "dispatcher.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "lockstep/batch/cut.hpp"

namespace lockstep::pipeline {

namespace {

constexpr std::chrono::milliseconds moved_delay{1000};
constexpr auto not_skipped = "; not skipped: ";
// How long a change waits for those of other tables while none of them is applied.
constexpr std::chrono::seconds longest_without_others{60};

CommandError no_topic(const std::string& topic, const std::string& pipeline) {
  return {"no topic " + topic + " in pipeline " + pipeline, CommandError::Kind::refused};
}

RecordPlace place_of(const Letter& letter) {
  return {{std::string{letter.topic}, letter.partition}, letter.offset};
}

/// nullptr: none of the batch's letters was skipped. At most one is: the batch ends with it.
const Letter* skipped_letter(const Batch& batch) {
  if (batch.letters.empty() || batch.letters.back().stage != Letter::Stage::skipped) return nullptr;
  return &batch.letters.back();
}

/// The record that the error is about, or the ranges of the batch.
std::string where(const SinkError& error, const Batch& batch) {
  if (error.culprit) return to_string(error.culprit->partition, error.culprit->offset);
  std::string ranges;
  for (const auto& slice : batch.slices) {
    if (!ranges.empty()) ranges += ", ";
    ranges += to_string(slice.partition) + "@" +
              (slice.expected ? std::to_string(slice.expected->value) : "begin") + ".." +
              std::to_string(slice.next.value - 1);
  }
  return ranges;
}

}  // namespace

void Dispatcher::hand_over(Time now, const KnownEnd& known_end) {
  const auto remaining = [&](const Batch& batch) {
    std::int64_t records = 0;
    for (const auto& slice : batch.slices) {
      const auto end = known_end(slice.partition);
      if (end) records += std::max<std::int64_t>(0, end->value - slice.next.value);
    }
    return records;
  };
  Lanes::Admits admits;
  if (gate_ != nullptr) admits = [&](const Lane& lane) { return gate_->admits(lane.topic()); };
  if (late_ != nullptr) tell_generations();
  while (writers_.has_free(now)) {
    const auto next = lanes_.next_ready(now, remaining, admits);
    if (!next) return;
    auto batch = lanes_.change(*next)->take(now);
    batch->taken = now;
    batch->generation = lanes_[*next].generation();
    // In one order in all daemons, so that they don't wait for each other in a circle.
    std::sort(batch->slices.begin(), batch->slices.end(),
              [](const Slice& a, const Slice& b) { return a.partition < b.partition; });
    writers_.start(Writers::Apply{std::move(batch), *next, lanes_[*next].generation()}, now);
  }
}

void Dispatcher::take_answers(Time now) {
  for (auto& answer : writers_.take(now)) {
    if (std::holds_alternative<Writers::ReadPositions>(answer.job)) {
      assignment_.positions_read(answer, now);
    } else if (std::holds_alternative<Writers::Apply>(answer.job)) {
      take_answer(answer, now);
    }
  }
  if (late_ == nullptr) return;
  for (const auto& answer : late_->take_answers()) take_late_answer(answer, now);
}

/// A sink that is late need not know of what is dropped before it is handed the next batch, but for
/// what it would begin meanwhile.
void Dispatcher::tell_generations() {
  told_.resize(lanes_.size());
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto generation = lanes_[i].generation();
    if (std::exchange(told_[i], generation) != generation) {
      late_->forget(lanes_[i].topic(), generation);
    }
  }
}

void Dispatcher::take_late_answer(const LateAnswer& answer, Time now) {
  if (answer.refusal) take_refusal(*answer.refusal, answer.generation, now);
  if (answer.slices.empty()) return;
  const auto index = lanes_.find(answer.slices.front().partition.topic);
  if (!index) return;
  report_.answered(*index, answer);
  last_applied_ = now;
  if (answer.generation != lanes_[*index].generation()) return;
  answered(answer.slices);
  for (const auto& slice : answer.slices) {
    const auto* const entry = ledger_.find(slice.partition.topic, slice.partition.partition);
    if (entry != nullptr && entry->applied) report_.reached(slice.partition, *entry->applied);
  }
}

/// What it has begun still counts once it is done; the rest is read again when it is tried again.
void Dispatcher::take_refusal(const LateRefusal& refusal, std::uint64_t generation, Time now) {
  const auto index = lanes_.find(refusal.record.partition.topic);
  if (!index || generation != lanes_[*index].generation()) return;
  const auto lane = lanes_.change(*index);
  const std::string cause =
      to_string(refusal.record.partition, refusal.record.offset) + ": " + refusal.cause;
  lane->stop(cause, now, refusal.record);
  report_.stopped(lane->topic(), cause);
}

void Dispatcher::answered(const std::vector<Slice>& slices) {
  for (const auto& slice : slices) {
    letterbox_.passed(slice.partition, slice.next);
    if (ledger_.answered(slice.partition, slice.expected, slice.next)) continue;
    spdlog::error(
        "a batch does not follow the one before it, this is a bug: report it with the log "
        "pipeline={} {}@{}",
        pipeline_, to_string(slice.partition), slice.next.value);
  }
}

void Dispatcher::take_answer(Writers::Answer& answer, Time now) {
  auto& [batch, index, generation] = std::get<Writers::Apply>(answer.job);
  lanes_.served(index, answer.took);
  if (answer.result) note_skipped(*batch);
  if (answer.result && late_ != nullptr) report_.taken(*batch, answer.took);
  if (answer.result && late_ == nullptr) {
    report_.applied(index, *batch, answer.took, answer.spent);
    if (!batch->changes.empty()) last_applied_ = now;
  }
  const auto lane = lanes_.change(index);
  if (generation != lane->generation()) {  // its partitions have begun again since
    lane->forget_in_flight();
    return;
  }
  if (answer.result) {
    if (late_ == nullptr) answered(batch->slices);
    const auto trouble = lane->trouble();
    lane->applied();
    if (trouble && !lane->trouble()) report_.goes_on(index, *trouble, now);
    return;
  }
  const SinkError& error = answer.result.error();
  switch (error.kind) {
    case SinkError::Kind::unavailable:
      lane->returned(std::move(batch));
      return;
    case SinkError::Kind::undelivered:
      if (const auto* const skipped = skipped_letter(*batch)) {
        keep_stopped(index, *skipped, error, now);
        return;
      }
      [[fallthrough]];
    case SinkError::Kind::busy:
      lane->busy(std::move(batch), error.message, now);
      report_.retried();
      report_.waits(index);
      return;
    case SinkError::Kind::refused:
      refuse(index, error, std::move(batch), now);
      return;
    case SinkError::Kind::waits:
      if (skipped_letter(*batch) != nullptr) {  // each try would send it again
        refuse(index, error, std::move(batch), now);
        return;
      }
      wait(index, error, std::move(batch), now);
      return;
    case SinkError::Kind::moved:
      spdlog::warn("position moved by another, starting from it again pipeline={} topic={}: {}",
                   pipeline_, lane->topic(), error.message);
      lane->forget_in_flight();
      lane->drop();
      assignment_.begin_again(lane->topic(), now + moved_delay);
      return;
  }
}

/// What came before the record is applied, the rest read again later. If nothing has been applied
/// for long, what it waits for won't come.
void Dispatcher::wait(std::size_t index, const SinkError& error, std::unique_ptr<Batch> batch,
                      Time now) {
  const auto lane = lanes_.change(index);
  if (lane->state() == Lane::State::stopped) {  // by what was read behind it
    lane->busy(std::move(batch), error.message, now);
    return;
  }
  const auto& trouble = lane->trouble();
  if (trouble && now - std::max(trouble->since, last_applied_) > longest_without_others) {
    refuse(index, error, std::move(batch), now);
    return;
  }
  const std::string cause = where(error, *batch) + ": " + error.message;
  lane->forget_in_flight();
  lane->read_more_later(cause, now);
  ledger_.suspend(lane->topic());
  if (error.culprit && cut_before(*batch, *error.culprit)) lane->returned(std::move(batch));
  report_.retried();
  report_.waits(index);
}

/// A record that becomes a letter is read again, since a batch does not keep what records were
/// like; so is what came with it. Otherwise the table stops. What came before the record is still
/// applied, so that the position stands in front of it: who then moves it past the record by hand
/// loses nothing else.
void Dispatcher::refuse(std::size_t index, const SinkError& error, std::unique_ptr<Batch> batch,
                        Time now) {
  const auto lane = lanes_.change(index);
  const std::string cause = where(error, *batch) + ": " + error.message;
  lane->forget_in_flight();
  lane->drop();
  const bool is_skipped = error.culprit && letterbox_.skipped(*error.culprit) != nullptr;
  if (error.culprit && !error.is_about_table && letterbox_.is_open() && !is_skipped) {
    letterbox_.condemn(error.culprit->partition, error.culprit->offset, error.message);
    assignment_.begin_again(lane->topic(), now);
    return;
  }
  ledger_.suspend(lane->topic());
  if (error.culprit && cut_before(*batch, *error.culprit)) lane->returned(std::move(batch));
  lane->stop(cause, now, error.is_about_table ? std::nullopt : error.culprit);
  report_.stopped(lane->topic(), cause);
}

/// What can't be a letter stops its table as before, and an operator is told so.
void Dispatcher::keep_stopped(std::size_t index, const Letter& skipped, const SinkError& error,
                              Time now) {
  const RecordPlace record = place_of(skipped);
  const std::string cause =
      to_string(record) + ": " + std::string{skipped.error} + not_skipped + error.message;
  const auto lane = lanes_.change(index);
  lane->forget_in_flight();
  lane->drop();
  ledger_.suspend(lane->topic());
  lane->stop(cause, now, record);
  report_.stopped(lane->topic(), cause);
}

void Dispatcher::look_after(Time now) {
  if (const auto stuck = lanes_.to_evict(now)) {
    spdlog::debug("memory is short, what waits is read again later pipeline={} topic={} bytes={}",
                  pipeline_, lanes_[*stuck].topic(), lanes_[*stuck].bytes());
    ledger_.suspend(lanes_[*stuck].topic());
    lanes_.change(*stuck)->evict();
  }
  for (const auto index : lanes_.rereads(now)) {
    lanes_.change(index)->reopen();
    assignment_.begin_again(lanes_[index].topic(), now);
  }
  answer_skips(now);
}

Result<Done, CommandError> Dispatcher::obey(const Command& command, Time now) {
  if (command.topic.empty()) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) obey(command.verb, i, now);
    return done;
  }
  const auto lane = lanes_.find(command.topic);
  if (!lane) return no_topic(command.topic, pipeline_);
  obey(command.verb, *lane, now);
  return done;
}

void Dispatcher::obey(Command::Verb verb, std::size_t index, Time now) {
  const auto lane = lanes_.change(index);
  const auto state = lane->state();
  switch (verb) {
    case Command::Verb::pause:
      if (state == Lane::State::paused) return;
      spdlog::info("table paused pipeline={} topic={}", pipeline_, lane->topic());
      lane->pause();
      ledger_.suspend(lane->topic());
      return;
    case Command::Verb::resume:
      if (state != Lane::State::paused) return;
      spdlog::info("table resumed pipeline={} topic={}", pipeline_, lane->topic());
      lane->reopen();
      assignment_.begin_again(lane->topic(), now);
      return;
    case Command::Verb::retry:
      if (state == Lane::State::waiting) lane->hasten(now);
      if (state != Lane::State::stopped) return;
      spdlog::info("trying a stopped table again pipeline={} topic={}", pipeline_, lane->topic());
      lane->drop();
      lane->reopen();
      assignment_.begin_again(lane->topic(), now);
      return;
    case Command::Verb::skip:
      return;  // see skip()
  }
}

// ---- To skip

Result<RecordPlace, CommandError> Dispatcher::to_skip(const Command& command) const {
  const auto refused = [](std::string why) {
    return CommandError{std::move(why), CommandError::Kind::refused};
  };
  const auto index = lanes_.find(command.topic);
  if (!index) return no_topic(command.topic, pipeline_);
  const Lane& lane = lanes_[*index];
  if (lane.state() != Lane::State::stopped) {
    return refused("the table has not stopped: it is " + std::string{name(lane.state())});
  }
  const auto& record = lane.trouble()->record;
  if (!record) {
    return refused(
        "it is not one record that stops the table: mend the cause, then retry; cause: " +
        lane.trouble()->cause);
  }
  if (command.record && *command.record != *record) {
    return refused("it is not " + to_string(*command.record) + " that stops the table, but " +
                   lane.trouble()->cause);
  }
  return *record;
}

void Dispatcher::skip(const RecordPlace& record, Answer answer, Time now) {
  const auto index = lanes_.index_of(record.partition.topic);
  // Without the place, which a letter has by itself, and what has kept it from being one.
  std::string cause = lanes_[index].trouble()->cause;
  if (const auto place = to_string(record) + ": "; cause.starts_with(place)) {
    cause.erase(0, place.size());
  }
  cause.erase(std::min(cause.size(), cause.find(not_skipped)));
  spdlog::info("skipping the record that stops a table pipeline={} {}", pipeline_,
               to_string(record));
  letterbox_.skip(record, std::move(cause));
  skips_.push_back({index, record, std::move(answer)});
  const auto lane = lanes_.change(index);
  lane->drop();
  lane->reopen();
  // Of its partition alone: a bad record of another could stop the table first.
  assignment_.begin_only(record.partition, now);
}

void Dispatcher::note_skipped(const Batch& applied) {
  const auto* const letter = skipped_letter(applied);
  if (letter == nullptr) return;
  for (auto& skip : skips_) {
    if (skip.record == place_of(*letter)) skip.was_found = true;
  }
}

/// All before the position behind it is applied, or its partition ends without it.
bool Dispatcher::is_passed(std::size_t lane, const RecordPlace& record) {
  if (letterbox_.skipped(record) == nullptr) return true;
  const auto* const entry = ledger_.find(record.partition.topic, record.partition.partition);
  const NextOffset behind = after(record.offset);
  return entry != nullptr && entry->reading && lanes_[lane].empty() &&
         std::optional{behind} > entry->read && entry->end_reached >= behind;
}

/// A record is passed, or its table stands still again, in front of it: then it is not to be
/// skipped any more.
void Dispatcher::answer_skips(Time now) {
  using Kind = CommandError::Kind;
  std::erase_if(skips_, [&](const Skip& skip) {
    const auto lane = lanes_.change(skip.lane);
    const bool is_paused = lane->state() == Lane::State::paused;
    const bool is_stopped = lane->state() == Lane::State::stopped;
    if (is_passed(skip.lane, skip.record)) {
      letterbox_.keep(skip.record);
      if (!is_paused && !is_stopped) {  // so far only its partition is read
        lane->drop();
        assignment_.begin_again(lane->topic(), now);
      }
      if (skip.was_found) {
        skip.answer(done);
      } else {
        skip.answer(CommandError{to_string(skip.record) +
                                     " is not in the log any more, or the position is past it: "
                                     "nothing is skipped, the table goes on",
                                 Kind::refused});
      }
      return true;
    }
    // What was read before it stopped may have the record's letter: its answer is to come.
    if (!is_paused && !(is_stopped && lane->empty())) return false;
    letterbox_.keep(skip.record);
    skip.answer(CommandError{is_paused ? "the table was paused meanwhile" : lane->trouble()->cause,
                             Kind::failed});
    return true;
  });
}

void Dispatcher::give_up_skips(const std::string& cause, Time now) {
  answer_skips(now);
  for (const auto& skip : std::exchange(skips_, {})) {
    letterbox_.keep(skip.record);
    skip.answer(CommandError{cause, CommandError::Kind::failed});
  }
}

}  // namespace lockstep::pipeline
