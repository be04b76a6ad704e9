#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace lockstep {

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

inline std::string to_string(const TopicPartition& tp) {
  return tp.topic + "[" + std::to_string(tp.partition) + "]";
}

/// Where one record stands in its partition.
struct RecordOffset {
  std::int64_t value = 0;
  auto operator<=>(const RecordOffset&) const = default;
};

/// "topic[partition]@offset", as in logs and advice.
inline std::string to_string(const TopicPartition& tp, RecordOffset offset) {
  return to_string(tp) + "@" + std::to_string(offset.value);
}

/// One record of the log.
struct RecordPlace {
  TopicPartition partition;
  RecordOffset offset;
  auto operator<=>(const RecordPlace&) const = default;
};

inline std::string to_string(const RecordPlace& place) {
  return to_string(place.partition, place.offset);
}

/// The first offset that is still to be read: all before it is done. This, not the last record's
/// offset, is what Kafka's group offsets and lockstep.progress store.
struct NextOffset {
  std::int64_t value = 0;
  auto operator<=>(const NextOffset&) const = default;
};

constexpr NextOffset after(RecordOffset offset) noexcept {
  return {offset.value + 1};
}

/// Next offset per partition; a partition that has none is not in it.
using Positions = std::map<TopicPartition, NextOffset>;

}  // namespace lockstep
