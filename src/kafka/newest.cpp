#include "lockstep/kafka/newest.hpp"

#include <algorithm>
#include <cstdint>

#include "brokers.hpp"
#include "lists.hpp"

namespace lockstep::kafka {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Of offsets, at first: a delete, its tombstone and the marker of a transaction are three of them.
constexpr std::int64_t first_stretch = 10;
constexpr std::int64_t growth = 10;

/// What of a partition is not read yet: [begin, end).
struct Unread {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// A client that reads without a group: its destructor has nothing to leave.
class Reader {
 public:
  explicit Reader(Handle handle) : handle_{std::move(handle)} {
    rd_kafka_poll_set_consumer(handle_.get());
  }
  ~Reader() { rd_kafka_destroy_flags(handle_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Of all partitions; those that are empty are left out.
  Result<std::map<TopicPartition, Unread>, KafkaError> bounds(
      const std::map<std::string, int>& topics, Clock::time_point deadline);

  /// Reads what `stretches` say, in any order of partitions. What is left in it is what there was
  /// no time for.
  Result<Done, KafkaError> read(std::map<TopicPartition, Unread>& stretches,
                                Clock::time_point deadline,
                                const std::function<void(const Message&)>& visit);

 private:
  Handle handle_;
};

Result<std::map<TopicPartition, Unread>, KafkaError> Reader::bounds(
    const std::map<std::string, int>& topics, Clock::time_point deadline) {
  std::map<TopicPartition, Unread> found;
  // In the place of a time these two ask for the log's beginning and its end.
  for (const auto which : {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END}) {
    const PartitionList list = make_list(topics.size());
    for (const auto& [topic, partitions] : topics) {
      for (int i = 0; i < partitions; ++i) add(list, {topic, i}, which);
    }
    if (list->cnt == 0) return found;
    const auto err =
        rd_kafka_offsets_for_times(handle_.get(), list.get(), ms(time_until(deadline)));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
    for (int i = 0; i < list->cnt; ++i) {
      const auto& answer = list->elems[i];
      const TopicPartition tp = partition_of(answer);
      if (answer.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return KafkaError{to_string(tp) + ": " + rd_kafka_err2str(answer.err)};
      }
      (which == RD_KAFKA_OFFSET_END ? found[tp].end : found[tp].begin) = answer.offset;
    }
  }
  std::erase_if(found, [](const auto& one) { return one.second.begin >= one.second.end; });
  return found;
}

Result<Done, KafkaError> Reader::read(std::map<TopicPartition, Unread>& stretches,
                                      Clock::time_point deadline,
                                      const std::function<void(const Message&)>& visit) {
  const PartitionList list = make_list(stretches.size());
  for (const auto& [tp, stretch] : stretches) add(list, tp, stretch.begin);
  const auto err = rd_kafka_assign(handle_.get(), list.get());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
  while (!stretches.empty() && Clock::now() < deadline) {
    rd_kafka_message_t* const raw = rd_kafka_consumer_poll(handle_.get(), ms(time_until(deadline)));
    if (raw == nullptr) continue;
    const Message message{raw};
    if (raw->rkt == nullptr) continue;  // of a connection: another may do
    const auto stretch = stretches.find({rd_kafka_topic_name(raw->rkt), raw->partition});
    if (stretch == stretches.end()) continue;  // its stretch is read; what follows it came along
    switch (raw->err) {
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        if (raw->offset < stretch->second.end) visit(message);
        if (raw->offset + 1 >= stretch->second.end) stretches.erase(stretch);
        break;
      case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return KafkaError{to_string(stretch->first) + ": " + rd_kafka_message_errstr(raw)};
      default:  // its end, or it can't be read on, which the daemon will tell
        stretches.erase(stretch);
    }
  }
  return done;
}

Result<std::unique_ptr<Reader>, KafkaError> open_reader(const ConsumerConfig& config) {
  auto conf =
      make_conf(RD_KAFKA_CONSUMER, config.brokers, consumer_defaults(config), config.properties);
  if (!conf) return conf.error();
  auto handle = make_handle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  return std::make_unique<Reader>(std::move(*handle));
}

}  // namespace

Result<Done, KafkaError> read_all(const ConsumerConfig& config,
                                  const std::map<std::string, int>& topics, milliseconds deadline,
                                  const std::function<void(const Message&)>& visit) {
  const auto end = Clock::now() + deadline;
  auto reader = open_reader(config);
  if (!reader) return reader.error();
  auto unread = (*reader)->bounds(topics, end);
  if (!unread) return unread.error();
  if (auto read = (*reader)->read(*unread, end, visit); !read) return read;
  if (unread->empty()) return done;
  return KafkaError{to_string(unread->begin()->first) + ": not read to its end in time"};
}

Result<std::map<std::string, Looked>, KafkaError> read_newest(
    const ConsumerConfig& config, const std::map<std::string, int>& topics, milliseconds deadline,
    const std::function<bool(const Message&)>& visit) {
  const auto end = Clock::now() + deadline;
  auto reader = open_reader(config);
  if (!reader) return reader.error();
  auto bounds = (*reader)->bounds(topics, end);
  if (!bounds) return bounds.error();

  std::map<std::string, Looked> looked;
  for (const auto& [topic, partitions] : topics) looked[topic] = Looked::nothing;
  auto& unread = *bounds;
  for (std::int64_t size = first_stretch; !unread.empty(); size *= growth) {
    std::map<TopicPartition, Unread> stretches;
    for (auto& [tp, rest] : unread) {
      const auto begin = std::max(rest.begin, rest.end - size);
      stretches[tp] = {begin, rest.end};
      rest.end = begin;
    }
    const auto read = (*reader)->read(stretches, end, [&](const Message& message) {
      if (visit(message)) looked[std::string{message.topic()}] = Looked::found;
    });
    if (!read) return read.error();
    const bool in_time = stretches.empty();
    std::erase_if(unread, [&](const auto& one) {
      const auto& [tp, rest] = one;
      auto& topic = looked[tp.topic];
      const bool all_read = rest.begin >= rest.end && !stretches.contains(tp);
      if (topic != Looked::found && !all_read && !in_time) topic = Looked::out_of_time;
      return topic == Looked::found || all_read;
    });
    if (!in_time) break;
  }
  return looked;
}

}  // namespace lockstep::kafka
