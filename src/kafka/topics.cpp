#include <algorithm>
#include <regex>

#include "lockstep/kafka/consumer.hpp"
#include "lockstep/kafka/reader.hpp"

namespace lockstep::kafka {

std::map<std::string, int> matching_topics(const std::map<std::string, int>& all,
                                           const std::vector<std::string>& wanted) {
  std::map<std::string, int> found;
  for (const auto& topic : wanted) {
    if (!topic.starts_with('^')) found[topic] = 0;
  }
  const auto matches = [&](const std::string& topic) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& name_or_pattern) {
      return name_or_pattern.starts_with('^')
                 ? std::regex_search(topic, std::regex{name_or_pattern, std::regex::extended})
                 : name_or_pattern == topic;
    });
  };
  for (const auto& [topic, partitions] : all) {
    if (matches(topic)) found[topic] = partitions;
  }
  return found;
}

Result<std::map<std::string, int>, KafkaError> find_topics(const ConsumerConfig& config,
                                                           std::chrono::milliseconds deadline) {
  const auto reader = Reader::open(config);
  if (!reader) return reader.error();
  const auto topics = (*reader)->topics(deadline);
  if (!topics) return topics.error();
  return matching_topics(*topics, config.topics);
}

}  // namespace lockstep::kafka
