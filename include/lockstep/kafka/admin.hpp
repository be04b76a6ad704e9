#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/kafka/error.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::kafka {

/// Why the brokers did not do what they were asked, by whose matter it is.
struct AdminError {
  enum class Kind : std::uint8_t {
    unavailable,  ///< they have not answered in time
    exists,       ///< there is a topic of this name
    missing,      ///< there is none
    refused,      ///< they won't: a value out of range, a right that is missing
  };
  Kind kind;
  std::string message;
};

struct TopicSize {
  std::string name;
  int partitions = 0;
  int replicas = 0;  ///< of the first partition
};

/// Settings of topics and brokers, as Kafka names them (retention.ms).
using TopicConfig = std::map<std::string, std::string>;

/// Makes, changes and removes topics. Each call ends by its deadline.
/// Threads: one uses it.
class Admin {
 public:
  /// Errors: a property that librdkafka refuses. Does not wait for brokers.
  static Result<std::unique_ptr<Admin>, KafkaError> open(
      const std::string& brokers, const std::map<std::string, std::string>& properties);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  /// All topics, by name.
  Result<std::vector<TopicSize>, AdminError> topics(std::chrono::milliseconds deadline);
  /// All settings that hold for the topic, its own and the brokers' defaults.
  Result<TopicConfig, AdminError> config(const std::string& topic,
                                         std::chrono::milliseconds deadline);
  /// Whether a broker makes topics that clients ask for (auto.create.topics.enable).
  Result<bool, AdminError> makes_topics(std::chrono::milliseconds deadline);

  /// `size`: -1 partitions or replicas are the brokers' default.
  Result<Done, AdminError> create(const TopicSize& size, const TopicConfig& config,
                                  std::chrono::milliseconds deadline);
  /// Sets these, and leaves the topic's other settings as they are, unless another changes one at
  /// the same moment: librdkafka before 2.3 can only replace all of them.
  Result<Done, AdminError> alter(const std::string& topic, const TopicConfig& changes,
                                 std::chrono::milliseconds deadline);
  Result<Done, AdminError> remove(const std::string& topic, std::chrono::milliseconds deadline);

  /// Has the group begin behind what the topic's partitions have now, those that it has an offset
  /// of excepted; a topic that is made later it reads from its beginning. Errors: refused: the
  /// group has members.
  Result<Done, AdminError> begin_at_end(const std::string& group, const std::string& topic,
                                        std::chrono::milliseconds deadline);

 private:
  class Impl;
  explicit Admin(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::kafka
