#include "lockstep/batch/letterbox.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

/// Without '"', so that a name and a value end where they seem to.
void put_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
}

void put_hex(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += "\\x";
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 0xF];
  }
}

/// The columns of an identity: "id, region".
std::string columns_of(std::string_view row_key) {
  std::string columns;
  bool in_value = false;
  for (std::size_t i = 0; i < row_key.size(); ++i) {
    const char c = row_key[i];
    if (c == '\\' && i + 1 < row_key.size()) {
      if (!in_value) columns.append({c, row_key[i + 1]});
      ++i;
    } else if (c == '"') {
      if (!in_value) columns.pop_back();  // the '=' before it
      in_value = !in_value;
    } else if (!in_value) {
      columns += c;
    }
  }
  return columns;
}

}  // namespace

std::string identity_of(const Layout& key_layout, std::span<const Cell> key) {
  const auto& columns = key_layout.columns;
  std::vector<std::size_t> order(key.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return columns[a].name < columns[b].name; });
  std::string text;
  for (const auto i : order) {
    if (!text.empty()) text += ", ";
    put_escaped(text, columns[i].name);
    text += "=\"";
    if (key[i].is_null()) {
      text += "\\0";  // no value is written so
    } else if (columns[i].type == ValueType::bytes) {
      put_hex(text, key[i].view());
    } else {
      put_escaped(text, key[i].view());
    }
    text += '"';
  }
  return text;
}

// ---- What the target has refused

void Letterbox::condemn(const TopicPartition& partition, RecordOffset offset, std::string cause) {
  condemned_[partition][offset] = std::move(cause);
}

const std::string* Letterbox::condemned(const TopicPartition& partition,
                                        RecordOffset offset) const {
  if (condemned_.empty()) return nullptr;
  const auto records = condemned_.find(partition);
  if (records == condemned_.end()) return nullptr;
  const auto found = records->second.find(offset);
  return found == records->second.end() ? nullptr : &found->second;
}

void Letterbox::pardon(const TopicPartition& partition, RecordOffset offset) {
  const auto records = condemned_.find(partition);
  if (records == condemned_.end()) return;
  records->second.erase(offset);
  if (records->second.empty()) condemned_.erase(records);
}

void Letterbox::passed(const TopicPartition& partition, NextOffset next) {
  skips_.erase(skips_.lower_bound({partition, {}}),
               skips_.lower_bound({partition, RecordOffset{next.value}}));
  if (condemned_.empty()) return;
  const auto records = condemned_.find(partition);
  if (records == condemned_.end()) return;
  auto& offsets = records->second;
  offsets.erase(offsets.begin(), offsets.lower_bound({next.value}));
  if (offsets.empty()) condemned_.erase(records);
}

// ---- What an operator passes by

void Letterbox::skip(const RecordPlace& record, std::string cause) {
  skips_.insert_or_assign(record, std::move(cause));
}

const std::string* Letterbox::skipped(const RecordPlace& record) const {
  const auto found = skips_.find(record);
  return found == skips_.end() ? nullptr : &found->second;
}

// ---- Keys

void Letterbox::begin(std::string_view topic, ParkedKeys::mapped_type keys) {
  unpark(topic);
  if (keys.empty()) return;
  Parked& parked = parked_[std::string{topic}];
  for (const auto& key : keys) parked.columns.insert(columns_of(key));
  parked.keys = std::move(keys);
}

std::size_t Letterbox::parked_count(std::string_view topic) const {
  const auto parked = parked_.find(topic);
  return parked == parked_.end() ? 0 : parked->second.keys.size();
}

bool Letterbox::is_parked(std::string_view topic, std::string_view row_key) const {
  const auto parked = parked_.find(topic);
  return parked != parked_.end() && parked->second.keys.contains(row_key);
}

bool Letterbox::park(std::string_view topic, std::string row_key) {
  if (is_parked(topic, row_key)) return true;
  if (parked_count(topic) >= most_parked) return false;
  Parked& parked = parked_[std::string{topic}];
  parked.columns.insert(columns_of(row_key));
  parked.keys.insert(std::move(row_key));
  return true;
}

void Letterbox::unpark(std::string_view topic) {
  if (const auto parked = parked_.find(topic); parked != parked_.end()) parked_.erase(parked);
}

std::string Letterbox::other_columns(std::string_view topic, std::string_view row_key) const {
  const auto parked = parked_.find(topic);
  if (parked == parked_.end()) return {};
  const auto& columns = parked->second.columns;
  const auto own = columns_of(row_key);
  const auto other =
      std::find_if(columns.begin(), columns.end(), [&](const auto& one) { return one != own; });
  return other == columns.end() ? std::string{} : *other;
}

// ---- Floods

bool Letterbox::admit(const TopicPartition& partition, RecordOffset offset, Time now) {
  Count& count =
      counts_.try_emplace(partition.topic, Count{{}, FloodGuard{per_minute()}}).first->second;
  const auto [last, is_first] = count.counted.try_emplace(partition.partition, offset);
  if (!is_first) {
    if (offset <= last->second) return true;  // read again
    last->second = offset;
  }
  if (count.guard.admit(now)) return true;
  last->second = {offset.value - 1};  // once it is tried again it counts
  return false;
}

}  // namespace lockstep
