#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "handles.hpp"
#include "lockstep/kafka/consumer.hpp"

namespace lockstep::kafka {

/// What a group member fetches: from where, and what of it is paused or given up.
/// Threads: the consumer's.
class Assignment {
 public:
  explicit Assignment(rd_kafka_t* handle) : handle_{handle} {}

  /// Partitions have come. Nothing is fetched until start() says from where.
  void accept();
  /// All of them have gone.
  void give_back();

  Result<Positions, KafkaError> start(const std::vector<Consumer::Start>& starts,
                                      std::chrono::milliseconds deadline);

  void pause(const std::vector<TopicPartition>& partitions);
  void resume(const std::vector<TopicPartition>& partitions);

  /// Fetching goes on where it rests although the log has more: see wake().
  void wake_fetching();

  /// A partition's beginning could not be looked up, and librdkafka has stopped at that. All is
  /// assigned anew, from where each partition is, in a second; in two if that does not help, and so
  /// on up to 30 s, for as long as the partitions are ours.
  void start_again_later();
  void start_again_if_due();

  /// Nothing of this partition is handed out any more, until start(). False: so it was already.
  bool give_up(const TopicPartition& tp);
  bool is_given_up(const rd_kafka_message_t& message) const;

 private:
  void stop(const rd_kafka_topic_partition_list_t* nothing);
  PartitionList unpause(const std::vector<TopicPartition>& partitions);
  void wake(const PartitionList& partitions);

  rd_kafka_t* const handle_;
  std::map<TopicPartition, std::int64_t> begun_at_;  // librdkafka's logical offsets too
  std::optional<std::chrono::steady_clock::time_point> start_again_at_;
  std::chrono::milliseconds start_again_after_{0};
  std::set<TopicPartition> paused_;
  std::set<TopicPartition> given_up_;
};

}  // namespace lockstep::kafka
