#include "lockstep/batch/ledger.hpp"

#include <algorithm>

namespace lockstep {

void Ledger::begin(const TopicPartition& partition, std::size_t lane,
                   std::optional<NextOffset> at) {
  Entry entry;
  entry.lane = lane;
  entry.reading = true;
  entry.read = entry.applied = at;
  entries_.insert_or_assign(partition, std::move(entry));
}

void Ledger::suspend(std::string_view topic) {
  for_each_of(topic, [](const TopicPartition&, Entry& entry) { entry.reading = false; });
}

void Ledger::clear() {
  entries_.clear();
  committable_.clear();
  last_found_ = nullptr;
}

Ledger::Entry* Ledger::find(std::string_view topic, std::int32_t partition) {
  if (last_found_ != nullptr && last_found_->first.partition == partition &&
      last_found_->first.topic == topic) {
    return &last_found_->second;
  }
  const auto found = entries_.find({std::string{topic}, partition});
  if (found == entries_.end()) return nullptr;
  last_found_ = &*found;
  return &found->second;
}

bool Ledger::answered(const TopicPartition& partition, std::optional<NextOffset> from,
                      NextOffset next) {
  const auto found = entries_.find(partition);
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  // An empty optional orders before every offset, as the beginning does.
  if (from < entry.applied || from >= std::optional{next} || std::optional{next} > entry.read) {
    return false;
  }
  const auto [at, is_new] = entry.ahead.try_emplace(from, next);
  if (!is_new) return false;
  while (!entry.ahead.empty() && entry.ahead.begin()->first == entry.applied) {
    entry.applied = entry.ahead.begin()->second;
    entry.ahead.erase(entry.ahead.begin());
    committable_[partition] = *entry.applied;
  }
  return true;
}

Positions Ledger::take_committable() {
  return std::exchange(committable_, {});
}

std::int64_t lag_of(const Ledger::Entry& entry, std::optional<NextOffset> end) {
  if (!end || (!entry.applied && !entry.first)) return 0;
  if (entry.end_reached >= end && entry.all_applied()) return 0;
  const auto begin = entry.applied ? entry.applied->value : entry.first->value;
  return std::max<std::int64_t>(0, end->value - begin);
}

std::optional<NextOffset> passed_of(const Ledger::Entry& entry) {
  return entry.all_applied() ? std::max(entry.applied, entry.end_reached) : entry.applied;
}

}  // namespace lockstep
