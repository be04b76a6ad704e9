#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/kafka/error.hpp"
#include "lockstep/model/letter.hpp"
#include "lockstep/model/position.hpp"
#include "lockstep/model/result.hpp"

struct rd_kafka_message_s;

namespace lockstep::kafka {

struct ConsumerConfig {
  std::string brokers;
  std::string group;
  std::vector<std::string> topics;  ///< a name, or a regular expression that starts with ^
  std::map<std::string, std::string> properties;  ///< handed to librdkafka as they are
  std::size_t queue_bytes = 64 * 1024 * 1024;     ///< of messages fetched and not polled yet
  int wake_fd = -1;  ///< an eventfd that is written to when poll() has something; -1: none
};

/* The contract of wake_fd, as librdkafka keeps it (2.0 and 2.8):
   - It is written to (a std::uint64_t 1) when something comes to an empty queue, once in a period
   in which poll() was not called. What is left in the queue is not told again: who stops before
     poll() has returned nothing must poll again without waiting.
   - It may be written to for nothing: for what a poll() that was waiting has taken meanwhile, for
     what is dropped because it was fetched before a pause or an assign(), for an event that only
     calls the listener.
   - So: read the eventfd, then poll(0) until it returns nothing, then wait for it. Poll once a
   second all the same: brokers that are lost are asked for a sign of life in poll().
   - It must stay open until the Consumer is destroyed, and is not closed by it. */

/// One record. Its bytes stay where librdkafka put them until it is destroyed, which must happen
/// before its Consumer is.
class Message {
 public:
  explicit Message(rd_kafka_message_s* message) : message_{message} {}

  std::string_view topic() const;
  std::int32_t partition() const;
  RecordOffset offset() const;
  std::optional<std::string_view> key() const;    ///< nullopt: Kafka's null
  std::optional<std::string_view> value() const;  ///< nullopt: Kafka's null, a tombstone
  /// When it was written, or put into the log: ms since 1970. nullopt: the broker does not tell.
  std::optional<std::int64_t> time_ms() const;
  std::vector<Header> headers() const;  ///< in their order; names can come twice
  /// The last of this name. The first call reads all headers of the message, at a cost.
  std::optional<std::string_view> header(const char* name) const;

 private:
  struct Destroy {
    void operator()(rd_kafka_message_s* message) const noexcept;
  };
  std::unique_ptr<rd_kafka_message_s, Destroy> message_;
};

/// What happens to a group member between its messages; called inside Consumer::poll() and
/// Consumer::close(), on their thread.
class ConsumerListener {
 public:
  virtual ~ConsumerListener() = default;

  /// These partitions, and no others, are ours now. Nothing is fetched before
  /// Consumer::assign() says from where.
  virtual void on_assigned(const std::vector<TopicPartition>& partitions) = 0;

  /// All partitions are about to go. What was applied can be committed here, in good time: other
  /// members of the group wait.
  /// `lost`: they are gone already (session timeout): a commit could only fail, and as it would
  /// come from a member that is no more, the brokers would fence us for it.
  virtual void on_revoked(bool lost) = 0;

  /// All that is in the partition before `end` has been read.
  virtual void on_end_reached(const TopicPartition& partition, NextOffset end) = 0;

  /// The partition can't be read on from its position: retention has passed it, or the topic was
  /// made anew. Nothing of it comes until Consumer::assign(). (A beginning that could not be looked
  /// up, as that of a topic just made, is not this: it is logged and asked for again, after 1 s,
  /// then up to 30 s, for as long as the partition is ours.)
  virtual void on_position_gone(const TopicPartition& partition, const std::string& cause) = 0;

  /// The batch at this offset can't be read: its checksum, format or compression is not what we
  /// know. What came before it has been handed out; of what follows nothing is, and nothing is
  /// fetched, until Consumer::assign(). The batch may begin before the position.
  virtual void on_unreadable(const TopicPartition& partition, RecordOffset at,
                             const std::string& cause) = 0;
};

/// A member of a consumer group whose offsets are committed by hand.
///
/// Assignor: range (eager). With the cooperative one, librdkafka before 2.10 can lose the
/// assignment when an offset commit meets a rebalance (its changelog).
/// Membership: static (group.instance.id is lockstep.<group>@<host> unless the properties set it;
/// empty there: dynamic), so that a daemon that was killed has its partitions back at once when
/// it starts again; close() nevertheless leaves the group.
/// Threads: one thread uses it; librdkafka's own threads stay inside.
/// Broker loss: librdkafka reconnects by itself; logged once when it goes and once when it is back.
class Consumer {
 public:
  /// Errors: a property that librdkafka refuses. Does not wait for brokers.
  static Result<std::unique_ptr<Consumer>, KafkaError> open(const ConsumerConfig& config,
                                                            ConsumerListener& listener);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  /// The next message, or nothing after `timeout`. Must be called at least every 5 minutes
  /// (max.poll.interval.ms), also while all partitions are paused.
  std::optional<Message> poll(std::chrono::milliseconds timeout);

  /// Where to read a partition from; nullopt: from the group's offset, else the beginning.
  struct Start {
    TopicPartition partition;
    std::optional<NextOffset> at;
  };
  /// Fetches exactly these partitions from now on, none of them paused; messages fetched before
  /// are gone. Returns those of them without `at` that begin at the group's committed offset.
  /// Errors: the group's offsets could not be read within `deadline`.
  Result<Positions, KafkaError> assign(const std::vector<Start>& starts,
                                       std::chrono::milliseconds deadline);

  /// Stops fetching until resume(), assign() or on_revoked(); what was already fetched is dropped
  /// and fetched again.
  void pause(const std::vector<TopicPartition>& partitions);
  /// Leaves alone what is not paused: librdkafka before 2.4 would set back its position.
  void resume(const std::vector<TopicPartition>& partitions);

  /// False from the moment no broker answers until one does again. Offsets are better kept back
  /// then: librdkafka would hold on to them for the session timeout, close() included.
  bool reachable() const;
  /// In the next poll() the brokers are asked for a sign of life (for up to 500 ms), if nothing has
  /// come from them for a while: a connection that swallows packets is not noticed for a minute.
  void ask_for_life();

  /// Sends the group's offsets without waiting; a failure is logged and made good by the next one.
  void commit(const Positions& positions);
  /// Sends them and waits. Errors: refused, or no answer within `deadline`.
  Result<Done, KafkaError> commit(const Positions& positions, std::chrono::milliseconds deadline);

  /// Where the partition ended when it was last fetched from (exclusive); nullopt: never fetched.
  std::optional<NextOffset> known_end(const TopicPartition& partition) const;

  /// How many partitions the topic has now.
  Result<int, KafkaError> partition_count(const std::string& topic,
                                          std::chrono::milliseconds deadline);

  /// Set when the consumer can't go on at all (fenced by a second member with the same
  /// group.instance.id, for instance).
  std::optional<std::string> fatal_error() const;

  /// Leaves the group; on_revoked() is called if partitions are held. Then only destruction is
  /// left. After `deadline` it gives up: the group notices by its session timeout.
  void close(std::chrono::milliseconds deadline);

 private:
  class Impl;
  explicit Consumer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Of `all`, topics with their partitions, those that match `wanted` (names or ^patterns). A named
/// one that is not in it has 0.
std::map<std::string, int> matching_topics(const std::map<std::string, int>& all,
                                           const std::vector<std::string>& wanted);

/// Partitions per topic of those that match `topics` (names or ^patterns), or why the brokers
/// could not be asked. A named topic that does not exist has 0.
Result<std::map<std::string, int>, KafkaError> find_topics(const ConsumerConfig& config,
                                                           std::chrono::milliseconds deadline);

}  // namespace lockstep::kafka
