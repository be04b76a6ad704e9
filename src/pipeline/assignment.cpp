#include "assignment.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace lockstep::pipeline {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds retry_delay{1000};
constexpr milliseconds kafka_deadline{5000};
constexpr milliseconds over_before_pause{500};  // pausing drops what was fetched: not for a moment

}  // namespace

void Assignment::assigned(const std::vector<TopicPartition>& partitions, Time now) {
  spdlog::info("partitions assigned pipeline={} count={}", pipeline_, partitions.size());
  assigned_ = partitions;
  awaiting_ = {partitions.begin(), partitions.end()};
  ask_at_ = now;
  asked_ = false;
  ++question_;
}

void Assignment::revoked() {
  assigned_.clear();
  awaiting_.clear();
  begun_.clear();
  asked_ = false;
  ++question_;
  assign_at_.reset();
  over_since_.reset();
  all_paused_ = false;
}

void Assignment::begin_again(const std::string& topic, Time when) {
  ledger_.suspend(topic);
  for (const auto& tp : assigned_) {
    if (tp.topic == topic) awaiting_.insert(tp);
  }
  ask_again(when);
}

void Assignment::begin_only(const TopicPartition& partition, Time when) {
  ledger_.suspend(partition.topic);
  std::erase_if(awaiting_, [&](const auto& tp) { return tp.topic == partition.topic; });
  awaiting_.insert(partition);
  ask_again(when);
}

void Assignment::ask_again(Time when) {
  ask_at_ = when;
  asked_ = false;
  ++question_;
}

void Assignment::follow(Fetcher& fetcher, Time now) {
  if (!awaiting_.empty() && !asked_ && now >= ask_at_ && writers_.has_free(now)) ask(now);
  if (assign_at_ && now >= *assign_at_) assign(fetcher, now);
  pause_and_resume(fetcher, now);
}

std::optional<Assignment::Time> Assignment::next_at(Time now) const {
  std::optional<Time> next = assign_at_;
  const auto at = [&](Time time) { next = next ? std::min(*next, time) : time; };
  if (!awaiting_.empty() && !asked_ && ask_at_ > now) at(ask_at_);
  if (over_since_ && !all_paused_) at(*over_since_ + over_before_pause);
  return next;
}

void Assignment::ask(Time now) {
  asked_ = true;
  writers_.start(Writers::ReadPositions{{awaiting_.begin(), awaiting_.end()}, question_}, now);
}

void Assignment::positions_read(const Writers::Answer& answer, Time now) {
  const auto& question = std::get<Writers::ReadPositions>(answer.job);
  if (question.assignment != question_) return;
  asked_ = false;
  if (!answer.result) {
    ask_at_ = now;  // as soon as a writer is free again
    if (answer.result.error().kind == SinkError::Kind::unavailable) return;
    ask_at_ = now + retry_delay;
    spdlog::error("positions can't be read, trying again pipeline={}: {}", pipeline_,
                  answer.result.error().message);
    return;
  }
  for (const auto& tp : question.partitions) {
    awaiting_.erase(tp);
    const auto lane = lanes_.index_of(tp.topic);
    if (!lanes_[lane].takes_records()) continue;  // begins when it is retried or resumed
    const auto& [positions, parked] = *answer.result;
    const auto known = positions.find(tp);
    const bool is_known = known != positions.end();
    auto at = is_known ? std::optional{known->second.next} : std::nullopt;
    if (const auto* const before = ledger_.find(tp.topic, tp.partition);
        before && !has_positions_) {
      at = before->applied;
    }
    ledger_.begin(tp, lane, at);
    if (at) letterbox_.passed(tp, *at);
    if (is_known && known->second.tables) decoder_.remember(tp.topic, *known->second.tables);
    const auto keys = parked.find(tp.topic);
    letterbox_.begin(tp.topic, keys == parked.end() ? ParkedKeys::mapped_type{} : keys->second);
    begun_.insert(tp);
  }
  assign_at_ = now;
}

void Assignment::assign(Fetcher& fetcher, Time now) {
  std::vector<kafka::Consumer::Start> starts;
  std::vector<TopicPartition> full;
  for (const auto& [tp, entry] : ledger_.entries()) {
    if (!entry.reading) continue;
    starts.push_back({tp, entry.read});
    if (!lanes_.wants_reading(entry.lane)) full.push_back(tp);
  }
  const auto from_group = fetcher.assign(starts, kafka_deadline);
  if (!from_group) {
    spdlog::warn("can't start reading, trying again pipeline={}: {}", pipeline_,
                 from_group.error().message);
    assign_at_ = now + retry_delay;
    return;
  }
  assign_at_.reset();
  all_paused_ = false;
  over_since_.reset();
  if (!full.empty()) fetcher.pause(full);
  for (const auto& [tp, at] : starts) {
    if (!begun_.contains(tp)) continue;
    const auto group = from_group->find(tp);
    if (group != from_group->end() && !has_positions_) {
      spdlog::info("reading from the consumer group's offset pipeline={} {} from={}", pipeline_,
                   to_string(tp), group->second.value);
    } else if (group != from_group->end()) {
      spdlog::warn(
          "no position in lockstep.progress, reading from the consumer group's offset: what is "
          "before it is taken for applied pipeline={} {} from={}",
          pipeline_, to_string(tp), group->second.value);
    } else {
      spdlog::info("reading pipeline={} {} from={}", pipeline_, to_string(tp),
                   at ? std::to_string(at->value) : "beginning");
    }
  }
  begun_.clear();
}

void Assignment::pause_and_resume(Fetcher& fetcher, Time now) {
  std::vector<TopicPartition> to_pause;
  std::vector<TopicPartition> to_resume;
  for (const auto lane : lanes_.take_turned()) {
    const bool wanted = lanes_.wants_reading(lane);
    ledger_.for_each_of(lanes_[lane].topic(), [&](const TopicPartition& tp, const auto& entry) {
      if (!wanted) {
        to_pause.push_back(tp);
      } else if (entry.reading) {  // else it begins again, by assign()
        to_resume.push_back(tp);
      }
    });
  }
  if (!to_pause.empty()) {
    fetcher.pause(to_pause);
    spdlog::debug("partitions paused pipeline={} topic={} buffered_bytes={}", pipeline_,
                  to_pause.front().topic, lanes_.bytes());
  }
  if (!lanes_.over_budget()) {
    over_since_.reset();
  } else if (!over_since_) {
    over_since_ = now;
  }
  const bool was_paused = all_paused_;
  if (over_since_ && now >= *over_since_ + over_before_pause) all_paused_ = true;
  if (all_paused_ && lanes_.has_room()) all_paused_ = false;
  if (all_paused_ != was_paused) {
    std::vector<TopicPartition> all;
    for (const auto& [tp, entry] : ledger_.entries()) {
      if (entry.reading && lanes_.wants_reading(entry.lane)) all.push_back(tp);
    }
    if (all_paused_) {
      fetcher.pause(all);
      spdlog::debug("partitions paused pipeline={} buffered_bytes={}", pipeline_, lanes_.bytes());
    } else {
      to_resume = std::move(all);
      spdlog::debug("partitions resumed pipeline={}", pipeline_);
    }
  }
  if (!to_resume.empty() && !all_paused_) fetcher.resume(to_resume);
}

}  // namespace lockstep::pipeline
