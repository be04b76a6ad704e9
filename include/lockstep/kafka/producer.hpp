#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/kafka/error.hpp"
#include "lockstep/model/letter.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::kafka {

struct ProducerConfig {
  std::string brokers;
  std::string topic;                              ///< made when it is missing
  std::map<std::string, std::string> properties;  ///< handed to librdkafka as they are
};

struct OutgoingRecord {
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::vector<Header> headers;
};

/// Appends records to one topic. Each is on all in-sync replicas, once and in order, when send()
/// returns. The partition follows from the key; a topic that it makes has one partition and keeps
/// its records for ever.
/// Threads: send() from any, one at a time. Waits: 10 s at most for the topic, 10 s for the
/// records.
class Producer {
 public:
  /// Errors: a property that librdkafka refuses. Does not wait for brokers.
  static Result<std::unique_ptr<Producer>, KafkaError> open(const ProducerConfig& config);
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  /// Errors: what kept the first of them that failed from the topic; the others may be in it.
  Result<Done, KafkaError> send(std::span<const OutgoingRecord> records);

 private:
  class Impl;
  explicit Producer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::kafka
