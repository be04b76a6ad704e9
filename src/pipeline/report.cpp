#include "report.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace lockstep::pipeline {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds progress_interval{10};  // the progress line, when something was applied
constexpr seconds reminder_interval{60};  // of tables that stand still or wait
constexpr seconds long_wait{60};

double seconds_of(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::int64_t in_ms(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<milliseconds>(duration).count();
}

std::int64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

double seconds_since(std::int64_t source_ts_us) {
  if (source_ts_us == 0) return 0;
  return static_cast<double>(now_us() - source_ts_us) / 1e6;
}

Stages rate(const Stages& now, const Stages& before, double seconds) {
  return {.fetch = (now.fetch - before.fetch) / seconds,
          .decode = (now.decode - before.decode) / seconds,
          .wait = (now.wait - before.wait) / seconds,
          .lock = (now.lock - before.lock) / seconds,
          .sql = (now.sql - before.sql) / seconds,
          .commit = (now.commit - before.commit) / seconds};
}

std::optional<NextOffset> end_of(const kafka::Consumer* consumer, const TopicPartition& tp) {
  return consumer == nullptr ? std::nullopt : consumer->known_end(tp);
}

}  // namespace

std::string_view name(Lane::State state) {
  switch (state) {
    case Lane::State::reading:
      return "reading";
    case Lane::State::waiting:
      return "waiting";
    case Lane::State::paused:
      return "paused";
    case Lane::State::stopped:
      return "stopped";
  }
  return "";
}

void Report::letter(const Letter& letter) {
  const auto place = to_string({std::string{letter.topic}, letter.partition}, letter.offset);
  if (letter.stage == Letter::Stage::parked) {
    ++counters_.parked;
    spdlog::debug("parked pipeline={} {}: {}", pipeline_, place, letter.error);
  } else {
    ++counters_.dead_letters;
    spdlog::warn("dead letter, the table goes on without it pipeline={} stage={} {}: {}", pipeline_,
                 name(letter.stage), place, letter.error);
  }
}

void Report::lost(std::string_view topic, const debezium::Loss& loss) {
  std::string key{topic};
  key.append("\n").append(loss.column).append("\n").append(loss.what);
  if (!told_losses_.insert(std::move(key)).second) return;
  if (loss.of_value) {
    spdlog::warn("lossy values pipeline={} topic={} column=\"{}\": {}", pipeline_, topic,
                 loss.column, loss.what);
  } else {
    spdlog::info("column may be lossy pipeline={} topic={} column=\"{}\": {}", pipeline_, topic,
                 loss.column, loss.what);
  }
}

void Report::sampled(Writers::Clock::duration fetch, Writers::Clock::duration decode) {
  constexpr auto times = static_cast<double>(one_record_in);
  spent_.fetch += seconds_of(fetch) * times;
  spent_.decode += seconds_of(decode) * times;
  record_decode_.add(seconds_of(decode));
}

void Report::applied(std::size_t lane, const Batch& batch, Writers::Clock::duration took,
                     const Spent& spent) {
  counters_.records += batch.records;
  for (const auto& change : batch.changes) counters_.lossy_values += change.lossy_values;
  ++counters_.batches;
  count(lane, batch.changes.size(), batch.commit_times);
  batch_changes_.add(static_cast<double>(batch.changes.size()));
  batch_apply_.add(seconds_of(took));
  batch_commit_.add(seconds_of(spent.commit));
  spent_.wait += seconds_of(batch.taken - batch.begun);
  spent_.lock += seconds_of(spent.lock);
  spent_.sql += seconds_of(spent.sql);
  spent_.commit += seconds_of(spent.commit);
  for (const auto& slice : batch.slices) {
    spdlog::debug("batch applied pipeline={} rows={} took_ms={} next={}@{}", pipeline_,
                  batch.changes.size(), in_ms(took), to_string(slice.partition), slice.next.value);
    reached(slice.partition, slice.next);
    done_with(lane, slice);
  }
}

void Report::count(std::size_t lane, std::size_t changes, const std::vector<CommitTime>& times) {
  counters_.changes += changes;
  applied_.resize(std::max(applied_.size(), lane + 1));
  applied_[lane].changes += changes;
  const auto committed_us = now_us();
  for (const auto& time : times) {
    const auto late_us = std::max<std::int64_t>(0, committed_us - time.ts_us);
    applied_[lane].delay.add(static_cast<double>(late_us) / 1e6, time.changes);
  }
}

void Report::reached(const TopicPartition& partition, NextOffset next) {
  if (on_applied_) on_applied_(partition, next);
}

void Report::done_with(std::size_t lane, const Slice& slice) {
  if (slice.source_ts_us == 0) return;
  newest_ts_us_ = applied_[lane].newest_ts_us = slice.source_ts_us;
}

void Report::taken(const Batch& batch, Writers::Clock::duration took) {
  counters_.records += batch.records - batch.changes.size();  // those that are no changes
  for (const auto& change : batch.changes) counters_.lossy_values += change.lossy_values;
  ++counters_.batches;
  batch_changes_.add(static_cast<double>(batch.changes.size()));
  batch_apply_.add(seconds_of(took));
  spent_.wait += seconds_of(batch.taken - batch.begun);
}

void Report::answered(std::size_t lane, const LateAnswer& answer) {
  counters_.records += answer.changes + answer.letters;
  counters_.dead_letters += answer.letters;
  for (const auto& [rule, changes] : answer.skipped) {
    counters_.records += changes;
    counters_.skipped[rule] += changes;
  }
  count(lane, answer.changes, answer.commit_times);
  for (const auto& slice : answer.slices) done_with(lane, slice);
}

void Report::stopped(std::string_view topic, std::string_view cause) const {
  spdlog::error("table stopped, the others go on pipeline={} topic={} cause: {}", pipeline_, topic,
                cause);
}

void Report::waits(std::size_t lane) const {
  const auto& trouble = lanes_[lane].trouble();
  if (!trouble || trouble->failures != 1) return;  // the reminder tells how it goes on
  spdlog::warn("table waits, the others go on pipeline={} topic={} cause: {}", pipeline_,
               lanes_[lane].topic(), trouble->cause);
}

void Report::goes_on(std::size_t lane, const Lane::Trouble& after, Time now) const {
  spdlog::info("table goes on pipeline={} topic={} after_ms={} tries={}", pipeline_,
               lanes_[lane].topic(), in_ms(now - after.since), after.failures + 1);
}

Report::Time Report::next_tick() const noexcept {
  return std::min(told_at_ + progress_interval, reminded_at_ + reminder_interval);
}

void Report::tick(const kafka::Consumer* consumer, Time now) {
  if (now - told_at_ >= progress_interval) tell_progress(consumer, now);
  if (now - reminded_at_ >= reminder_interval) {
    reminded_at_ = now;
    remind(now);
  }
}

void Report::remind(Time now) const {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    if (lane.state() == Lane::State::stopped) {
      spdlog::error("table is still stopped pipeline={} topic={} for_s={} cause: {}", pipeline_,
                    lane.topic(), in_ms(now - lane.trouble()->since) / 1000, lane.trouble()->cause);
    } else if (lane.trouble() && now - lane.trouble()->since >= long_wait) {
      spdlog::warn("table still waits pipeline={} topic={} for_s={} tries={} cause: {}", pipeline_,
                   lane.topic(), in_ms(now - lane.trouble()->since) / 1000,
                   lane.trouble()->failures, lane.trouble()->cause);
    } else if (lane.in_flight() && now - *lane.in_flight_since() >= long_wait) {
      spdlog::warn("transaction still runs pipeline={} topic={} for_s={}", pipeline_, lane.topic(),
                   in_ms(now - *lane.in_flight_since()) / 1000);
    }
  }
}

void Report::tell_progress(const kafka::Consumer* consumer, Time now) {
  const double took = std::max(0.001, seconds_of(now - told_at_));
  told_at_ = now;
  for (auto& lane : applied_) {
    lane.per_s = static_cast<double>(lane.changes - lane.before) / took;
    lane.before = lane.changes;
  }
  changes_per_s_ = static_cast<double>(counters_.changes - told_.changes) / took;
  recent_ = rate(spent_, told_spent_, took);
  told_spent_ = spent_;
  if (counters_.records == told_.records) return;
  std::uint64_t skipped = 0;
  for (const auto& [rule, count] : counters_.skipped) skipped += count;
  const auto behind = lag(consumer);
  spdlog::info(
      "progress pipeline={} changes={} rate={:.0f}/s batches={} lag_messages={} lag_s={:.1f} "
      "skipped={} already_read={} retries={} lossy_values={}",
      pipeline_, counters_.changes, changes_per_s_, counters_.batches, behind,
      behind == 0 ? 0.0 : seconds_since(newest_ts_us_), skipped, counters_.already_read,
      counters_.retries, counters_.lossy_values);
  told_ = counters_;
}

std::int64_t Report::lag(const kafka::Consumer* consumer) const {
  std::int64_t lag = 0;
  for (const auto& [tp, entry] : ledger_.entries()) lag += lag_of(entry, end_of(consumer, tp));
  return lag;
}

PipelineStatus Report::status(const kafka::Consumer* consumer, const Writers& writers,
                              std::size_t assigned, Time now, const Gate* gate) {
  PipelineStatus status;
  status.name = pipeline_;
  status.assigned = assigned;
  status.kafka_reachable = consumer != nullptr && consumer->reachable();
  status.target_outage = writers.outage();
  status.writers = writers.seats().size();
  status.busy_writers =
      static_cast<std::size_t>(std::count_if(writers.seats().begin(), writers.seats().end(),
                                             [](const Writers::Seat& seat) { return seat.busy; }));
  for (const auto& seat : writers.seats()) {
    if (!seat.busy) continue;
    auto& longest = seat.pings ? status.unanswered_s : status.longest_busy_s;
    longest = std::max(longest, seconds_of(now - seat.since));
  }
  status.buffered_bytes = lanes_.bytes();
  status.changes_per_s = changes_per_s_;
  status.counters = counters_;
  status.spent = spent_;
  status.recent = recent_;
  status.batch_changes = batch_changes_;
  status.record_decode = record_decode_;
  status.batch_apply = batch_apply_;
  status.batch_commit = batch_commit_;
  if (gate != nullptr) status.gate = gate->status();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    LaneStatus& of = status.lanes.emplace_back();
    of.topic = lane.topic();
    of.gathers = gate != nullptr && !gate->admits(lane.topic());
    of.state = lane.state();
    if (const auto& trouble = lane.trouble()) {
      of.cause = trouble->cause;
      of.stopped_by = trouble->record;
      of.trouble_s = seconds_of(now - trouble->since);
      of.failures = trouble->failures;
    }
    of.bytes = lane.bytes();
    of.batches = lane.queued();
    if (lane.in_flight()) of.in_flight_s = seconds_of(now - *lane.in_flight_since());
    if (i >= applied_.size()) continue;
    of.changes = applied_[i].changes;
    of.changes_per_s = applied_[i].per_s;
    of.delay = applied_[i].delay;
    if (applied_[i].newest_ts_us != 0) of.newest_ts_us = applied_[i].newest_ts_us;
  }
  for (const auto& [tp, entry] : ledger_.entries()) {
    const auto end = end_of(consumer, tp);
    status.lanes[entry.lane].partitions.push_back(
        {tp.partition, entry.read, entry.applied, passed_of(entry), end, lag_of(entry, end)});
    status.lag += lag_of(entry, end);
  }
  status.lag_s = status.lag == 0 ? 0 : seconds_since(newest_ts_us_);
  look_for_stalled(status, now);
  return status;
}

void Report::look_for_stalled(PipelineStatus& status, Time now) {
  for (std::size_t i = 0; i < status.lanes.size(); ++i) {
    std::int64_t lag = 0;
    Behind behind{0, now};
    for (const auto& partition : status.lanes[i].partitions) {
      lag += partition.lag;
      if (partition.applied) behind.applied += partition.applied->value;
    }
    if (lag == 0 || status.lanes[i].gathers) {
      behind_.erase(i);
      continue;
    }
    const auto known = behind_.try_emplace(i, behind).first;
    if (known->second.applied != behind.applied) known->second = behind;
    status.lanes[i].stalled_s = seconds_of(now - known->second.since);
  }
}

void add_destination(PipelineStatus& status, DestinationStatus destination) {
  if (status.target_outage.empty()) status.target_outage = destination.outage;
  if (destination.waiting + destination.in_flight > 0) {
    for (auto& lane : status.lanes) lane.stalled_s = 0;
  }
  status.destination = std::move(destination);
}

namespace {

std::string bottleneck_of_calls(const DestinationStatus& destination) {
  if (destination.breaker == Breaker::throttled) {
    return destination.name + " wants no calls for a while (Retry-After)";
  }
  const auto in_flight = std::to_string(destination.in_flight);
  if (destination.in_flight >= destination.max_in_flight) {
    return "all " + in_flight + " calls that max_in_flight allows are under way: raise it if " +
           destination.name + " takes more";
  }
  return in_flight + " calls are under way, " + std::to_string(destination.waiting) +
         " changes wait for one of their row before them, for their next try, or for rate";
}

}  // namespace

std::string bottleneck(const PipelineStatus& status) {
  constexpr double much = 0.7;
  const auto percent = [](double part) {
    return std::to_string(static_cast<int>(std::min(1.0, part) * 100 + 0.5)) + " %";
  };
  if (!status.kafka_reachable) return "Kafka does not answer";
  if (!status.target_outage.empty()) return "the target is unavailable: " + status.target_outage;
  if (status.lag == 0) return "nothing is behind";
  if (status.gate && !status.gate->is_loading) {
    return std::to_string(status.gate->count) + " changes are gathered, the load begins with the " +
           std::to_string(status.gate->max_event + 1) + "th, or when its time has come";
  }
  if (status.destination && status.destination->waiting + status.destination->in_flight > 0) {
    return bottleneck_of_calls(*status.destination);
  }
  const auto stopped =
      std::count_if(status.lanes.begin(), status.lanes.end(),
                    [](const LaneStatus& lane) { return lane.state != Lane::State::reading; });
  const auto& recent = status.recent;
  const auto writers = static_cast<double>(std::max<std::size_t>(1, status.writers));
  const double reading = recent.fetch + recent.decode;
  const double writing = (recent.lock + recent.sql + recent.commit) / writers;
  if (writing >= much && writing >= reading) {
    if (recent.lock > std::max(recent.sql, recent.commit)) {
      return "the connections to the target wait " + percent(recent.lock / writers) +
             " of the time for positions that another daemon, or an old transaction, holds";
    }
    if (recent.commit > recent.sql) {
      return "the target takes " + percent(recent.commit / writers) +
             " of the time to make commits durable: larger batches (batch.max_wait), a faster "
             "disk, or synchronous_commit=off for the role";
    }
    return "the target takes " + percent(recent.sql / writers) +
           " of the time to write rows: look for its indexes and triggers, or raise "
           "sink.connections if many tables are busy";
  }
  if (reading >= much) {
    return "one core reads and decodes " + percent(reading) +
           " of the time: split the topics over several pipelines";
  }
  if (stopped > 0) return std::to_string(stopped) + " tables stand still: see their causes";
  return "Kafka delivers no faster: the brokers, or the network to them";
}

}  // namespace lockstep::pipeline
