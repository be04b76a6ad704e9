#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/kafka/consumer.hpp"
#include "lockstep/kafka/error.hpp"
#include "lockstep/model/position.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::kafka {

/// What of a partition is to be read: [begin, end).
struct Stretch {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
using Stretches = std::map<TopicPartition, Stretch>;

/// Reads partitions without a group: those records that are committed, unless told. Joins no group
/// and commits no offset; `group` and `topics` of its configuration are not used. Threads: one uses
/// it. Each call ends by its deadline, with an error that says what the brokers did not answer, and
/// why as far as the client knows.
class Reader {
 public:
  /// What a reader takes notice of: what is committed, or also what producers may still take back.
  enum class Sees : std::uint8_t { committed, all };

  /// Errors: a property that librdkafka refuses. Does not wait for brokers.
  static Result<std::unique_ptr<Reader>, KafkaError> open(const ConsumerConfig& config,
                                                          Sees sees = Sees::committed);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Of all topics, how many partitions they have.
  Result<std::map<std::string, int>, KafkaError> topics(std::chrono::milliseconds deadline);

  /// What their logs hold now; an empty partition has begin == end.
  Result<Stretches, KafkaError> bounds(const std::map<std::string, int>& topics,
                                       std::chrono::milliseconds deadline);

  /// Of each partition the first offset of this time (ms since 1970) or later; its end if there is
  /// none.
  Result<std::map<TopicPartition, std::int64_t>, KafkaError> at_time(
      const Stretches& partitions, std::int64_t time_ms, std::chrono::milliseconds deadline);

  /// What the group has committed; partitions without an offset are left out.
  Result<Positions, KafkaError> committed(const std::string& group,
                                          const std::vector<TopicPartition>& partitions,
                                          std::chrono::milliseconds deadline);

  /// Reads these from now on, each from its offset.
  Result<Done, KafkaError> assign(const std::map<TopicPartition, std::int64_t>& from);

  /// What comes next: a record, or that a partition has been read to its end, or nothing within
  /// `timeout`.
  struct Polled {
    std::optional<Message> message;
    std::optional<TopicPartition> ended;
    std::optional<std::int64_t> end;  ///< of its log, markers of transactions included
  };
  /// Errors: a right to read that is missing.
  Result<Polled, KafkaError> poll(std::chrono::milliseconds timeout);

  /// Reads what `stretches` say, in any order of partitions. What is left in it is what there was
  /// no time for. Errors: as of poll().
  Result<Done, KafkaError> read(Stretches& stretches, std::chrono::milliseconds deadline,
                                const std::function<void(Message)>& visit);

 private:
  class Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::kafka
