#include <algorithm>
#include <regex>

#include "lockstep/kafka/consumer.hpp"
#include "lockstep/kafka/reader.hpp"

namespace lockstep::kafka {

Result<std::map<std::string, int>, KafkaError> find_topics(const ConsumerConfig& config,
                                                           std::chrono::milliseconds deadline) {
  const auto reader = Reader::open(config);
  if (!reader) return reader.error();
  const auto topics = (*reader)->topics(deadline);
  if (!topics) return topics.error();

  std::map<std::string, int> found;
  for (const auto& topic : config.topics) {
    if (!topic.starts_with('^')) found[topic] = 0;
  }
  const auto wanted = [&](const std::string& topic) {
    return std::any_of(
        config.topics.begin(), config.topics.end(), [&](const std::string& name_or_pattern) {
          return name_or_pattern.starts_with('^')
                     ? std::regex_search(topic, std::regex{name_or_pattern, std::regex::extended})
                     : name_or_pattern == topic;
        });
  };
  for (const auto& [topic, partitions] : *topics) {
    if (wanted(topic)) found[topic] = partitions;
  }
  return found;
}

}  // namespace lockstep::kafka
