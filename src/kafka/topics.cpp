#include <algorithm>
#include <regex>

#include "brokers.hpp"
#include "lockstep/kafka/consumer.hpp"

namespace lockstep::kafka {

Result<std::map<std::string, int>, KafkaError> find_topics(const ConsumerConfig& config,
                                                           std::chrono::milliseconds deadline) {
  auto conf =
      make_conf(RD_KAFKA_CONSUMER, config.brokers, consumer_defaults(config), config.properties);
  if (!conf) return conf.error();
  std::string cause;
  rd_kafka_conf_set_opaque(conf->get(), &cause);
  rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int err, const char* text, void* first) {
    auto& known = *static_cast<std::string*>(first);
    if (known.empty() && err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) known = text;
  });
  auto handle = make_handle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  auto metadata = fetch_metadata(handle->get(), nullptr, deadline);
  if (!metadata) {
    rd_kafka_poll(handle->get(), 0);  // calls the callback: refused, no TLS there, a wrong password
    return cause.empty() ? metadata.error() : KafkaError{cause};
  }

  std::map<std::string, int> found;
  for (const auto& topic : config.topics) {
    if (!topic.starts_with('^')) found[topic] = 0;
  }
  for (int i = 0; i < (*metadata)->topic_cnt; ++i) {
    const auto& topic = (*metadata)->topics[i];
    const bool wanted = std::any_of(
        config.topics.begin(), config.topics.end(), [&](const std::string& name_or_pattern) {
          return name_or_pattern.starts_with('^')
                     ? std::regex_search(topic.topic,
                                         std::regex{name_or_pattern, std::regex::extended})
                     : name_or_pattern == topic.topic;
        });
    if (wanted) found[topic.topic] = topic.partition_cnt;
  }
  return found;
}

}  // namespace lockstep::kafka
