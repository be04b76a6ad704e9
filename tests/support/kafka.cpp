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

Handle new_handle(rd_kafka_type_t type, std::map<std::string, std::string> properties) {
  properties["bootstrap.servers"] = Stack::from_environment().brokers;
  properties["log_level"] = "2";
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  std::array<char, 512> reason{};
  for (const auto& [key, value] : properties) {
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), reason.data(), reason.size()) !=
        RD_KAFKA_CONF_OK) {
      throw std::runtime_error{reason.data()};
    }
  }
  Handle handle{rd_kafka_new(type, conf, reason.data(), reason.size())};
  if (!handle) throw std::runtime_error{reason.data()};
  return handle;
}

}  // namespace

class Kafka::Impl {
 public:
  Impl()
      : handle_{new_handle(RD_KAFKA_PRODUCER, {{"linger.ms", "5"},
                                               {"enable.idempotence", "true"},
                                               {"queue.buffering.max.messages", "2000000"}})} {}

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

void Kafka::create_topic(const std::string& topic, int partitions,
                         const std::map<std::string, std::string>& config) {
  std::array<char, 512> reason{};
  const Owned<rd_kafka_NewTopic_t, &rd_kafka_NewTopic_destroy> wanted{
      rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, reason.data(), reason.size())};
  if (!wanted) throw std::runtime_error{reason.data()};
  for (const auto& [key, value] : config) {
    rd_kafka_NewTopic_set_config(wanted.get(), key.c_str(), value.c_str());
  }
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
                    const std::optional<std::string>& value,
                    const std::map<std::string, std::string>& headers) {
  // RD_KAFKA_V_…() would be shorter, but is no standard C++.
  std::vector<rd_kafka_vu_t> record(5 + headers.size());
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
  for (std::size_t i = 5; const auto& [name, text] : headers) {
    record[i].vtype = RD_KAFKA_VTYPE_HEADER;
    record[i++].u.header = {name.c_str(), text.data(), static_cast<ssize_t>(text.size())};
  }
  const Owned<rd_kafka_error_t, &rd_kafka_error_destroy> failed{
      rd_kafka_produceva(impl_->handle(), record.data(), record.size())};
  if (failed) throw std::runtime_error{rd_kafka_error_string(failed.get())};
  rd_kafka_poll(impl_->handle(), 0);
}

void Kafka::flush() {
  require(rd_kafka_flush(impl_->handle(), 3 * deadline_ms), "flush");
}

std::vector<Kafka::Record> Kafka::records(const std::string& topic, int partition) {
  const auto last = end(topic, partition);
  const Handle reader = new_handle(
      RD_KAFKA_CONSUMER,
      {{"group.id", "reader"}, {"enable.auto.commit", "false"}, {"enable.partition.eof", "true"}});
  const Partitions list{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset =
      RD_KAFKA_OFFSET_BEGINNING;
  require(rd_kafka_assign(reader.get(), list.get()), "assign " + topic);
  std::vector<Record> records;
  for (std::int64_t next = 0; next < last;) {
    const Message message{rd_kafka_consumer_poll(reader.get(), deadline_ms)};
    if (!message) throw std::runtime_error{"reading " + topic + ": no answer"};
    next = message->offset + (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ? 0 : 1);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) continue;
    require(message->err, "reading " + topic);
    const auto text = [](const void* bytes, std::size_t size) {
      return bytes == nullptr ? std::nullopt
                              : std::optional{std::string{static_cast<const char*>(bytes), size}};
    };
    auto& record = records.emplace_back();
    record.key = text(message->key, message->key_len);
    record.value = text(message->payload, message->len);
    rd_kafka_headers_t* headers = nullptr;
    rd_kafka_message_headers(message.get(), &headers);
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0;
         headers != nullptr && rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0;
         ++i) {
      record.headers[name] = text(value, size).value_or("");
    }
  }
  return records;
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
