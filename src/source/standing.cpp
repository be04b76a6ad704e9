#include "standing.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "lockstep/model/names.hpp"
#include "lockstep/model/utc.hpp"

namespace lockstep::source {

namespace {

const pipeline::PartitionStatus* find(const pipeline::LaneStatus& lane, std::int32_t partition) {
  const auto found = std::find_if(lane.partitions.begin(), lane.partitions.end(),
                                  [&](const auto& one) { return one.partition == partition; });
  return found == lane.partitions.end() ? nullptr : &*found;
}

std::string joined(const std::vector<std::string>& texts, const std::string& separator) {
  constexpr std::size_t most = 5;
  std::string all;
  for (std::size_t i = 0; i < std::min(most, texts.size()); ++i) {
    all += (all.empty() ? "" : separator) + texts[i];
  }
  if (texts.size() > most) all += " and " + std::to_string(texts.size() - most) + " more";
  return all;
}

}  // namespace

Result<std::string, NoTopic> message_topic_of(const std::map<std::string, int>& topics) {
  std::set<std::string> prefixes;
  for (const auto& [topic, partitions] : topics) {
    const auto table = source_table_of(topic);
    if (!table || topic.starts_with("__debezium-heartbeat.")) continue;
    const auto size = table->schema.size() + table->table.size() + 2;
    if (topic.size() > size) prefixes.insert(topic.substr(0, topic.size() - size));
  }
  if (prefixes.size() == 1) return *prefixes.begin() + ".message";
  if (prefixes.empty()) {
    return NoTopic{
        "the pipeline has no topic yet that is named <topic.prefix>.<schema>.<table>, as the "
        "connector names them"};
  }
  return NoTopic{"the pipeline's topics are of several connectors (" +
                 joined({prefixes.begin(), prefixes.end()}, ", ") +
                 "): one marker can't tell for all, give each a pipeline of its own"};
}

Standing standing(const pipeline::PipelineStatus& status,
                  const std::map<TopicPartition, NextOffset>& ends) {
  std::vector<std::string> behind;
  for (const auto& [tp, end] : ends) {
    const auto lane =
        std::find_if(status.lanes.begin(), status.lanes.end(),
                     [&topic = tp.topic](const auto& one) { return one.topic == topic; });
    const auto* const partition = lane == status.lanes.end() ? nullptr : find(*lane, tp.partition);
    if (partition == nullptr) {
      behind.push_back(to_string(tp) + " is not read yet, or by another daemon of the group");
      continue;
    }
    if (partition->passed >= end) continue;
    if (lane->state == Lane::State::stopped) {
      return {Standing::Is::stuck,
              tp.topic + " has stopped: " + lane->cause,
              {{tp, partition->passed}}};
    }
    if (lane->state == Lane::State::paused) {
      return {Standing::Is::stuck, tp.topic + " is paused: resume it", {{tp, partition->passed}}};
    }
    auto text = to_string(tp);
    if (partition->passed) {
      text += " is " + std::to_string(end.value - partition->passed->value) + " offsets behind";
    } else {
      text += " has not begun";
    }
    if (!lane->cause.empty()) text += " and waits: " + lane->cause;
    behind.push_back(std::move(text));
  }
  if (behind.empty()) return {};
  std::string detail = joined(behind, "; ");
  if (!status.kafka_reachable) detail += "; Kafka does not answer";
  if (!status.target_outage.empty()) {
    detail += "; the target is unavailable: " + status.target_outage;
  }
  if (const auto& gate = status.gate; gate && gate->window_start && !gate->is_loading) {
    detail += "; " + std::to_string(gate->count) +
              " changes are gathered, their load begins with more than " +
              std::to_string(gate->max_event) + ", at " +
              utc_text(*gate->window_start + gate->max_time) + " at the latest";
  }
  return {Standing::Is::behind, detail};
}

}  // namespace lockstep::source
