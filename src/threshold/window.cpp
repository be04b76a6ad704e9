#include "window.hpp"

#include <algorithm>

namespace lockstep::threshold {

void Window::restore(const Gathered& stored, WallTime now) {
  std::uint64_t came_since = 0;
  for (auto& [tp, partition] : partitions_) {
    const auto counted = stored.counted.find(tp);
    const auto known = counted == stored.counted.end() ? NextOffset{} : counted->second;
    came_since += static_cast<std::uint64_t>(
        std::count_if(partition.held.begin(), partition.held.end(),
                      [&](RecordOffset offset) { return offset.value >= known.value; }));
    if (counted != stored.counted.end() && (!partition.counted || *partition.counted < known)) {
      partition.counted = known;
    }
  }
  count_ = stored.count + came_since;
  const auto earliest = stored.count > 0 ? stored.window_start : start_;
  start_.reset();
  if (count_ > 0) start_ = std::min(earliest.value_or(now), now);
  load_ = stored.load;
  changed_ = true;
  for (const auto& [tp, until] : stored.load_until) {
    const auto found = partitions_.find(tp);
    if (found == partitions_.end()) continue;
    auto& partition = found->second;
    if (partition.applied && *partition.applied >= until) continue;
    auto& held = partition.held;
    while (!held.empty() && held.front().value < until.value) held.pop_front();
    partition.opened_at = until;
    run_until(tp.topic, partition, until);
  }
  if (is_loading() && !load_) load_ = Load{now};
  end_if_over(now);
  forget_if_all_applied();
}

void Window::assigned(const std::set<TopicPartition>& partitions, WallTime now) {
  for (auto at = partitions_.begin(); at != partitions_.end();) {
    if (partitions.contains(at->first)) {
      ++at;
      continue;
    }
    uncount(at->second.held.size());
    if (at->second.load_until) {
      const auto topic = loading_.find(at->first.topic);
      if (--topic->second == 0) loading_.erase(topic);
    }
    at = partitions_.erase(at);
  }
  for (const auto& tp : partitions) partitions_[tp];
  end_if_over(now);
  changed_ = true;
}

bool Window::came(const TopicPartition& tp, RecordOffset offset, WallTime now) {
  Partition& partition = partitions_[tp];
  if (partition.load_until && offset.value < partition.load_until->value) return false;
  if (partition.applied && offset.value < partition.applied->value) return false;
  // Of a load that went without it.
  if (partition.opened_at && offset.value < partition.opened_at->value) return true;
  auto& held = partition.held;
  if (held.empty() || held.back() < offset) held.push_back(offset);
  if (partition.counted && offset.value < partition.counted->value) return true;  // read again
  partition.counted = after(offset);
  changed_ = true;
  if (count_++ == 0) start_ = now;
  return true;
}

bool Window::applied(const TopicPartition& tp, NextOffset next, WallTime now) {
  const auto found = partitions_.find(tp);
  if (found == partitions_.end()) return false;
  Partition& partition = found->second;
  if (partition.applied == next) return false;
  partition.applied = next;
  auto& held = partition.held;
  std::uint64_t went = 0;
  for (; !held.empty() && held.front().value < next.value; ++went) held.pop_front();
  uncount(went);
  if (partition.load_until && next >= *partition.load_until) loaded(tp.topic, partition, now);
  forget_if_all_applied();
  return went > 0;
}

/// What was counted by an earlier run may have been applied after it was kept, and is not read
/// again then.
void Window::forget_if_all_applied() {
  const auto is_applied = [](const auto& entry) {
    const Partition& partition = entry.second;
    return !partition.counted || (partition.applied && *partition.applied >= *partition.counted);
  };
  if (count_ > 0 && std::all_of(partitions_.begin(), partitions_.end(), is_applied)) {
    uncount(count_);
    forgot_ = true;
  }
}

void Window::uncount(std::uint64_t events) {
  if (events == 0) return;
  changed_ = true;
  count_ -= std::min(count_, events);
  if (count_ == 0) start_.reset();
}

void Window::give_up(std::string_view topic, WallTime now) {
  for (auto at = partitions_.lower_bound({std::string{topic}, 0});
       at != partitions_.end() && at->first.topic == topic; ++at) {
    if (at->second.load_until) loaded(topic, at->second, now);
  }
}

// ---- Loads

std::optional<Window::Due> Window::due(bool is_full, WallTime now) const {
  if (count_ == 0) return std::nullopt;
  if (count_ > limits_.max_event) return Due::events;
  if (now >= *due_at()) return Due::time;
  if (is_full) return Due::memory;
  return std::nullopt;
}

std::optional<WallTime> Window::due_at() const {
  if (!start_) return std::nullopt;
  return *start_ + limits_.max_time;
}

void Window::open(WallTime now) {
  changed_ = true;
  if (!is_loading()) load_ = Load{now};
  load_->events += count_;
  count_ = 0;
  start_.reset();
  for (auto& [tp, partition] : partitions_) {
    partition.held.clear();
    partition.opened_at = partition.counted;
    if (!partition.counted) continue;
    if (partition.applied && *partition.applied >= *partition.counted) continue;
    run_until(tp.topic, partition, *partition.counted);
  }
}

void Window::run_until(const std::string& topic, Partition& partition, NextOffset until) {
  if (!partition.load_until) ++loading_[topic];
  partition.load_until = until;
}

void Window::loaded(std::string_view topic, Partition& partition, WallTime now) {
  changed_ = true;
  partition.load_until.reset();
  const auto found = loading_.find(topic);
  if (--found->second > 0) return;
  loading_.erase(found);
  end_if_over(now);
}

void Window::end_if_over(WallTime now) {
  if (!is_loading() && load_ && !load_->ended) load_->ended = now;
}

Gathered Window::gathered() const {
  Gathered all{count_, start_, {}, {}, load_};
  for (const auto& [tp, partition] : partitions_) {
    if (partition.counted) all.counted[tp] = *partition.counted;
    if (partition.load_until) all.load_until[tp] = *partition.load_until;
  }
  return all;
}

}  // namespace lockstep::threshold
