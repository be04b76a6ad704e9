#include "kafka.hpp"

#include <librdkafka/rdkafka.h>

#include <array>
#include <functional>
#include <stdexcept>

#include "eventually.hpp"
#include "handles.hpp"
#include "stack.hpp"

namespace lockstep::test {

namespace {

constexpr int deadline_ms = 20'000;

}  // namespace

class Kafka::Impl {
 public:
  Impl() {
    rd_kafka_conf_t* const conf = rd_kafka_conf_new();
    const std::string brokers = Stack::from_environment().brokers;
    std::array<char, 512> reason{};
    for (const auto& [key, value] :
         {std::pair{"bootstrap.servers", brokers.c_str()}, std::pair{"linger.ms", "5"},
          std::pair{"enable.idempotence", "true"},
          std::pair{"queue.buffering.max.messages", "2000000"}, std::pair{"log_level", "2"}}) {
      if (rd_kafka_conf_set(conf, key, value, reason.data(), reason.size()) != RD_KAFKA_CONF_OK) {
        throw std::runtime_error{reason.data()};
      }
    }
    handle_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason.data(), reason.size()));
    if (!handle_) throw std::runtime_error{reason.data()};
  }

  rd_kafka_t* handle() const { return handle_.get(); }

  /// Sends an admin request and waits for its answer, which has no error as a whole.
  Event ask(rd_kafka_admin_op_t op, const std::string& what,
            const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& send) {
    const Options options{rd_kafka_AdminOptions_new(handle(), op)};
    std::array<char, 512> reason{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), deadline_ms, reason.data(),
                                              reason.size());
    const Queue queue{rd_kafka_queue_new(handle())};
    send(options.get(), queue.get());
    Event event{rd_kafka_queue_poll(queue.get(), deadline_ms)};
    if (!event) throw std::runtime_error{what + ": no answer"};
    require(rd_kafka_event_error(event.get()), what);
    return event;
  }

  static void check_topics(const rd_kafka_topic_result_t** results, std::size_t count,
                           const std::string& what) {
    for (std::size_t i = 0; i < count; ++i) require(rd_kafka_topic_result_error(results[i]), what);
  }

  bool exists(const std::string& topic) {
    const rd_kafka_metadata_t* raw = nullptr;
    require(rd_kafka_metadata(handle(), 1, nullptr, &raw, deadline_ms), "metadata");
    const Owned<const rd_kafka_metadata_t, &rd_kafka_metadata_destroy> metadata{raw};
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      if (metadata->topics[i].topic == topic) return true;
    }
    return false;
  }

 private:
  Handle handle_;
};

Kafka::Kafka() : impl_{std::make_unique<Impl>()} {}
Kafka::~Kafka() = default;

void Kafka::create_topic(const std::string& topic, int partitions) {
  std::array<char, 512> reason{};
  const Owned<rd_kafka_NewTopic_t, &rd_kafka_NewTopic_destroy> wanted{
      rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, reason.data(), reason.size())};
  if (!wanted) throw std::runtime_error{reason.data()};
  rd_kafka_NewTopic_t* list[] = {wanted.get()};
  const auto event = impl_->ask(RD_KAFKA_ADMIN_OP_CREATETOPICS, "create " + topic,
                                [&](auto* options, auto* queue) {
                                  rd_kafka_CreateTopics(impl_->handle(), list, 1, options, queue);
                                });
  std::size_t count = 0;
  const auto** const results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  Impl::check_topics(results, count, "create " + topic);
  eventually(std::chrono::seconds{20}, topic + " is there", [&] { return impl_->exists(topic); });
}

void Kafka::delete_topic(const std::string& topic) {
  const Owned<rd_kafka_DeleteTopic_t, &rd_kafka_DeleteTopic_destroy> unwanted{
      rd_kafka_DeleteTopic_new(topic.c_str())};
  rd_kafka_DeleteTopic_t* list[] = {unwanted.get()};
  const auto event = impl_->ask(RD_KAFKA_ADMIN_OP_DELETETOPICS, "delete " + topic,
                                [&](auto* options, auto* queue) {
                                  rd_kafka_DeleteTopics(impl_->handle(), list, 1, options, queue);
                                });
  std::size_t count = 0;
  const auto** const results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  Impl::check_topics(results, count, "delete " + topic);
  eventually(std::chrono::seconds{20}, topic + " is gone", [&] { return !impl_->exists(topic); });
}

void Kafka::delete_records(const std::string& topic, int partition, std::int64_t offset) {
  const Partitions list{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  const Owned<rd_kafka_DeleteRecords_t, &rd_kafka_DeleteRecords_destroy> wanted{
      rd_kafka_DeleteRecords_new(list.get())};
  rd_kafka_DeleteRecords_t* requests[] = {wanted.get()};
  const auto event = impl_->ask(
      RD_KAFKA_ADMIN_OP_DELETERECORDS, "delete records", [&](auto* options, auto* queue) {
        rd_kafka_DeleteRecords(impl_->handle(), requests, 1, options, queue);
      });
  const auto* const done =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()));
  for (int i = 0; i < done->cnt; ++i) require(done->elems[i].err, "delete records");
}

void Kafka::produce(const std::string& topic, int partition, const std::optional<std::string>& key,
                    const std::optional<std::string>& value) {
  // RD_KAFKA_V_…() would be shorter, but is no standard C++.
  std::array<rd_kafka_vu_t, 5> record{};
  record[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  record[0].u.cstr = topic.c_str();
  record[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  record[1].u.i32 = partition;
  record[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  record[2].u.i = RD_KAFKA_MSG_F_COPY;
  record[3].vtype = RD_KAFKA_VTYPE_KEY;
  record[4].vtype = RD_KAFKA_VTYPE_VALUE;
  const auto set = [](rd_kafka_vu_t& to, const std::optional<std::string>& bytes) {
    if (bytes) to.u.mem = {const_cast<char*>(bytes->data()), bytes->size()};
  };
  set(record[3], key);
  set(record[4], value);
  const Owned<rd_kafka_error_t, &rd_kafka_error_destroy> failed{
      rd_kafka_produceva(impl_->handle(), record.data(), record.size())};
  if (failed) throw std::runtime_error{rd_kafka_error_string(failed.get())};
  rd_kafka_poll(impl_->handle(), 0);
}

void Kafka::flush() {
  require(rd_kafka_flush(impl_->handle(), 3 * deadline_ms), "flush");
}

std::int64_t Kafka::end(const std::string& topic, int partition) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  require(rd_kafka_query_watermark_offsets(impl_->handle(), topic.c_str(), partition, &low, &high,
                                           deadline_ms),
          "end of " + topic);
  return high;
}

std::optional<std::int64_t> Kafka::committed(const std::string& group, const std::string& topic,
                                             int partition) {
  const Partitions list{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
  const Owned<rd_kafka_ListConsumerGroupOffsets_t, &rd_kafka_ListConsumerGroupOffsets_destroy>
      wanted{rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), list.get())};
  rd_kafka_ListConsumerGroupOffsets_t* requests[] = {wanted.get()};
  const auto event =
      impl_->ask(RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, "offsets of " + group,
                 [&](auto* options, auto* queue) {
                   rd_kafka_ListConsumerGroupOffsets(impl_->handle(), requests, 1, options, queue);
                 });
  std::size_t count = 0;
  const auto** const groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &count);
  if (count != 1) throw std::runtime_error{"offsets of " + group + ": no answer for the group"};
  if (const auto* const error = rd_kafka_group_result_error(groups[0])) {
    require(rd_kafka_error_code(error), "offsets of " + group);
  }
  const auto* const found = rd_kafka_group_result_partitions(groups[0]);
  if (found == nullptr || found->cnt != 1 || found->elems[0].offset < 0) return std::nullopt;
  return found->elems[0].offset;
}

int Kafka::members(const std::string& group) {
  int members = 0;
  // A broker whose first group this is loads its coordinator first, and says so with an error.
  eventually(std::chrono::milliseconds{deadline_ms}, "the members of " + group, [&] {
    const rd_kafka_group_list* raw = nullptr;
    require(rd_kafka_list_groups(impl_->handle(), group.c_str(), &raw, deadline_ms), "list groups");
    const Owned<const rd_kafka_group_list, &rd_kafka_group_list_destroy> groups{raw};
    members = groups->group_cnt == 0 ? 0 : groups->groups[0].member_cnt;
    return true;
  });
  return members;
}

}  // namespace lockstep::test
