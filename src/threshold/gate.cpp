#include "lockstep/threshold/gate.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "lockstep/event/event.hpp"
#include "lockstep/model/utc.hpp"
#include "store.hpp"
#include "window.hpp"

namespace lockstep::threshold {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

namespace {

// How long what an earlier run has kept is waited for. Without it nothing is lost but the window's
// start: what was gathered is read again, and counted again.
constexpr seconds longest_read{5};
constexpr seconds load_line_interval{1};  // a backlog is many loads

std::string_view name(Window::Due due) {
  switch (due) {
    case Window::Due::events:
      return "max_event";
    case Window::Due::time:
      return "max_time";
    case Window::Due::memory:
      return "memory";
  }
  return "";
}

/// Under which name a change is pending: the newest of a row counts.
std::string row_of(const Change& change) {
  if (change.op == Op::truncate) return "truncate";
  if (change.has_key && change.key_layout != nullptr) {
    return event::row_to_json(*change.key_layout, change.key);
  }
  return std::to_string(change.partition) + "@" + std::to_string(change.offset.value);
}

class ThresholdGate : public pipeline::Gate {
 public:
  explicit ThresholdGate(GateConfig config)
      : config_{std::move(config)},
        window_{{config_.max_event, config_.max_time}},
        store_{config_.pipeline, config_.redis, config_.max_bytes, [this] { wake(); }} {}

  void attach(std::function<void()> wake) override {
    const Lock lock{mutex_};
    wake_ = std::move(wake);
  }

  void assigned(const std::vector<TopicPartition>& partitions, Time now) override {
    std::set<std::string> topics;
    for (const auto& tp : partitions) topics.insert(tp.topic);
    window_.assigned({partitions.begin(), partitions.end()}, system_clock::now());
    store_.assigned(topics);
    if (partitions.empty()) {
      store_.rest();
      state_ = State::without_partitions;
    } else if (state_ == State::without_partitions) {
      store_.ask();
      state_ = State::asks;
      asked_at_ = now;
    }
  }

  void came(const TopicPartition& partition, RecordOffset offset, const Change* change) override {
    if (!window_.came(partition, offset, system_clock::now())) return;
    if (change == nullptr) return;
    store_.keep(partition, offset, row_of(*change), event::to_json(*change, {}, partition.topic));
  }

  void follow(const Lanes& lanes, const Ledger& ledger, Time now) override {
    const auto wall = system_clock::now();
    next_at_.reset();
    if (state_ == State::without_partitions) return;
    for (const auto& [tp, entry] : ledger.entries()) {
      if (!entry.applied || !window_.applied(tp, *entry.applied, wall)) continue;
      store_.forget(tp, *entry.applied);
    }
    if (state_ == State::asks && !take_stored(now, wall)) return;
    give_up_what_stands(lanes, wall);
    if (is_loading_ && !window_.is_loading()) end_load(now);
    if (!gets_on(lanes)) open_if_due(lanes, wall);
    is_loading_ = window_.is_loading();
    if (window_.take_forgot()) store_.renew();
    if (window_.take_changed()) store_.save(window_.gathered());
    if (const auto due = window_.due_at(); due && !window_.is_loading()) {
      next_at_ = now + std::max(system_clock::duration{}, *due - wall);
    }
  }

  std::optional<Time> next_at() const override { return next_at_; }

  /// What is no event, such as a tombstone or a heartbeat, need not wait for one.
  bool admits(std::string_view topic) const override {
    return state_ == State::gathers && (window_.count() == 0 || window_.loading().contains(topic));
  }

  pipeline::GateStatus status() const override {
    pipeline::GateStatus status{.count = window_.count(),
                                .max_event = config_.max_event,
                                .max_time = config_.max_time,
                                .window_start = window_.start(),
                                .is_loading = window_.is_loading(),
                                .store_outage = store_.outage()};
    if (const auto& load = window_.load()) {
      status.load = {load->begun, load->ended, load->events};
    }
    if (const auto trouble = store_.last_trouble()) {
      status.last_error = {trouble->cause, trouble->at};
    }
    return status;
  }

 private:
  enum class State : std::uint8_t {
    without_partitions,
    asks,  ///< what an earlier run has kept
    gathers,
  };

  void wake() {
    const Lock lock{mutex_};
    if (wake_) wake_();
  }

  /// What is kept is known, or waited for no longer.
  bool take_stored(Time now, WallTime wall) {
    const auto stored = store_.take_stored();
    if (!stored && now < asked_at_ + longest_read) {
      next_at_ = asked_at_ + longest_read;
      return false;
    }
    if (stored) {
      window_.restore(*stored, wall);
      spdlog::info("gathering pipeline={} count={} window_start={}", config_.pipeline,
                   window_.count(), window_.start() ? utc_text(*window_.start()) : "none");
    } else {
      spdlog::warn(
          "redis has not told within {} s what was gathered before, counting what is read again; "
          "the window begins now pipeline={}",
          longest_read.count(), config_.pipeline);
    }
    store_.begin(window_.gathered(), !stored);
    is_loading_ = window_.is_loading();
    state_ = State::gathers;
    return true;
  }

  /// A table that is paused or stopped keeps no load from ending.
  void give_up_what_stands(const Lanes& lanes, WallTime wall) {
    std::vector<std::string> stand;
    for (const auto& [topic, partitions] : window_.loading()) {
      const auto index = lanes.find(topic);
      if (!index) continue;
      const Lane& lane = lanes[*index];
      const bool stands =
          lane.state() == Lane::State::paused || lane.state() == Lane::State::stopped;
      if (stands && lane.empty()) stand.push_back(topic);
    }
    for (const auto& topic : stand) {
      window_.give_up(topic, wall);
      spdlog::info("load goes without what is paused or stopped pipeline={} topic={}",
                   config_.pipeline, topic);
    }
  }

  /// A load runs, and not only tables that wait are left of it: the others need not wait for those.
  bool gets_on(const Lanes& lanes) const {
    const auto& loading = window_.loading();
    return std::any_of(loading.begin(), loading.end(), [&](const auto& entry) {
      const auto index = lanes.find(entry.first);
      return !index || lanes[*index].state() != Lane::State::waiting;
    });
  }

  void open_if_due(const Lanes& lanes, WallTime wall) {
    const bool is_full = lanes.is_full() || store_.bytes() >= config_.max_bytes;
    const auto due = window_.due(is_full, wall);
    if (!due) return;
    if (*due == Window::Due::memory && !std::exchange(told_full_, true)) {
      spdlog::warn(
          "memory is full, loading before max_event or max_time is reached: raise batch.max_bytes "
          "or lower sink.max_event pipeline={} count={}",
          config_.pipeline, window_.count());
    }
    spdlog::debug("load begins pipeline={} events={} reason={}", config_.pipeline, window_.count(),
                  name(*due));
    reason_ = *due;
    window_.open(wall);
    store_.begin_load();
  }

  void end_load(Time now) {
    store_.end_load();
    const auto& load = *window_.load();
    const bool is_often = told_load_at_ && now - *told_load_at_ < load_line_interval;
    if (!is_often) told_load_at_ = now;
    spdlog::log(is_often ? spdlog::level::debug : spdlog::level::info,
                "loaded pipeline={} events={} reason={} took_ms={}", config_.pipeline, load.events,
                name(reason_),
                std::chrono::duration_cast<milliseconds>(*load.ended - load.begun).count());
  }

  const GateConfig config_;
  Mutex mutex_;
  std::function<void()> wake_ LOCKSTEP_GUARDED_BY(mutex_);
  State state_ = State::without_partitions;
  Time asked_at_{};
  Window window_;
  bool is_loading_ = false;  ///< was, when it was last looked
  Window::Due reason_ = Window::Due::events;
  bool told_full_ = false;
  std::optional<Time> told_load_at_;
  std::optional<Time> next_at_;
  Store store_;  // last: its thread uses the above
};

}  // namespace

std::unique_ptr<pipeline::Gate> make_gate(GateConfig config) {
  return std::make_unique<ThresholdGate>(std::move(config));
}

}  // namespace lockstep::threshold
