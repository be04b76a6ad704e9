#include "lockstep/batch/lanes.hpp"

#include <algorithm>

namespace lockstep {

namespace {

// A lane that holds so many full batches, and so much of its share, keeps a writer supplied: more
// would only cost memory. Resting and going on again costs what was fetched and not read yet.
constexpr std::size_t enough_batches = 4;
constexpr std::size_t enough_share = 8;  // an eighth

}  // namespace

std::size_t Lanes::index_of(std::string_view topic) {
  if (const auto known = find(topic)) return *known;
  entries_.push_back(std::make_unique<Entry>(Entry{Lane{std::string{topic}, limits_}}));
  by_topic_.emplace(entries_.back()->lane.topic(), entries_.size() - 1);
  return entries_.size() - 1;
}

std::optional<std::size_t> Lanes::find(std::string_view topic) const {
  const auto found = by_topic_.find(topic);
  if (found == by_topic_.end()) return std::nullopt;
  return found->second;
}

// ---- What goes to a writer next

std::optional<std::size_t> Lanes::next_ready(Time now, const Lane::Remaining& remaining,
                                             const Admits& admits) const {
  const bool hurry = bytes_ > budget_ / 2;
  std::optional<std::size_t> next;
  for (const auto i : active_) {
    if (next && entries_[i]->served >= entries_[*next]->served) continue;
    if (admits && !admits(entries_[i]->lane)) continue;
    // What is not read can't be filled further.
    if (entries_[i]->lane.ready(now, hurry || !entries_[i]->wanted, remaining)) next = i;
  }
  return next;
}

std::optional<Lanes::Time> Lanes::next_ready_at(Time now) const {
  std::optional<Time> first;
  for (const auto i : active_) {
    const auto at = entries_[i]->lane.ready_at(now);
    if (at && (!first || *at < *first)) first = at;
  }
  return first;
}

void Lanes::served(std::size_t index, std::chrono::steady_clock::duration took) {
  entries_[index]->served += took;
  auto least = std::chrono::steady_clock::duration::max();
  for (const auto i : active_) least = std::min(least, entries_[i]->served);
  if (!active_.empty()) least_served_ = std::max(least_served_, least);
}

// ---- What is read

std::size_t Lanes::share() const noexcept {
  const auto lanes = std::max<std::size_t>(1, active_.size());
  return std::min(share_, budget_ / 4 * 3 / lanes);
}

void Lanes::settle(std::size_t index) {
  Entry& entry = *entries_[index];
  const std::size_t bytes = entry.lane.bytes();
  bytes_ += bytes - entry.bytes;  // modulo 2^64: also downwards
  entry.bytes = bytes;
  if (entry.lane.empty()) {
    active_.erase(index);
  } else if (active_.insert(index).second) {
    entry.served = std::max(entry.served, least_served_);
  }
  if (entry.lane.reread_at()) {
    rereads_.insert(index);
  } else {
    rereads_.erase(index);
  }
  const std::size_t queued = entry.lane.queued();
  const bool supplied = !gathers_ && queued >= enough_batches && bytes >= share() / enough_share;
  const bool used_up = gathers_ || queued < enough_batches || bytes < share() / enough_share / 2;
  const bool has_room =
      entry.wanted ? bytes < share() && !supplied : bytes <= share() / 2 && used_up;
  const bool wanted = entry.lane.takes_records() && has_room;
  if (wanted == entry.wanted) return;
  entry.wanted = wanted;
  turned_.push_back(index);
}

bool Lanes::is_full() const {
  return over_budget() || std::any_of(active_.begin(), active_.end(), [&](std::size_t i) {
           return !entries_[i]->wanted && entries_[i]->lane.takes_records();
         });
}

std::vector<std::size_t> Lanes::rereads(Time now) const {
  std::vector<std::size_t> due;
  for (const auto i : rereads_) {
    if (*entries_[i]->lane.reread_at() <= now) due.push_back(i);
  }
  return due;
}

std::optional<Lanes::Time> Lanes::next_reread_at() const {
  std::optional<Time> first;
  for (const auto i : rereads_) {
    const auto at = entries_[i]->lane.reread_at();
    if (!first || *at < *first) first = at;
  }
  return first;
}

std::optional<std::size_t> Lanes::to_evict(Time now) const {
  if (!over_budget()) return std::nullopt;
  std::optional<std::size_t> largest;
  for (const auto i : active_) {
    const Entry& entry = *entries_[i];
    const bool stuck =
        !entry.lane.in_flight() && entry.lane.trouble() && entry.lane.trouble()->retry_at > now;
    if (stuck && (!largest || entry.bytes > entries_[*largest]->bytes)) largest = i;
  }
  return largest;
}

}  // namespace lockstep
