#include "lockstep/kafka/admin.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "brokers.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

using Options = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<&rd_kafka_AdminOptions_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<&rd_kafka_NewTopic_destroy>>;
using OldTopic = std::unique_ptr<rd_kafka_DeleteTopic_t, Destroy<&rd_kafka_DeleteTopic_destroy>>;
using Resource =
    std::unique_ptr<rd_kafka_ConfigResource_t, Destroy<&rd_kafka_ConfigResource_destroy>>;

struct Setting {
  std::string value;
  bool is_own = false;  ///< of the topic, not a default
};
using Settings = std::map<std::string, Setting>;

AdminError::Kind kind_of(rd_kafka_resp_err_t err) {
  switch (err) {
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return AdminError::Kind::exists;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
      return AdminError::Kind::missing;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
      return AdminError::Kind::unavailable;
    default:
      return AdminError::Kind::refused;
  }
}

}  // namespace

class Admin::Impl {
 public:
  Result<Done, KafkaError> open(const std::string& brokers, const Properties& properties) {
    auto conf = make_conf(RD_KAFKA_PRODUCER, brokers, {}, properties);
    if (!conf) return conf.error();
    rd_kafka_conf_set_opaque(conf->get(), &cause_);
    rd_kafka_conf_set_error_cb(conf->get(),
                               [](rd_kafka_t*, int err, const char* text, void* cause) {
                                 if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
                                   *static_cast<std::string*>(cause) = text;
                               });
    auto handle = make_handle(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!handle) return handle.error();
    handle_ = std::move(*handle);
    return done;
  }

  rd_kafka_t* handle() { return handle_.get(); }

  AdminError failed(rd_kafka_resp_err_t err, const char* text = nullptr) {
    rd_kafka_poll(handle(), 0);  // calls the callback: refused, no TLS there, a wrong password
    const auto kind = kind_of(err);
    if (kind == AdminError::Kind::unavailable && !cause_.empty()) return {kind, cause_};
    return {kind, text == nullptr ? rd_kafka_err2str(err) : text};
  }

  /// The answer, which has no error as a whole.
  Result<Event, AdminError> ask(
      rd_kafka_admin_op_t op, milliseconds deadline,
      const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& send) {
    const Options options{rd_kafka_AdminOptions_new(handle(), op)};
    std::array<char, 256> reason{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), ms(deadline), reason.data(),
                                              reason.size());
    if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS || op == RD_KAFKA_ADMIN_OP_DELETETOPICS) {
      // Until it has come about on the brokers, not only been decided.
      rd_kafka_AdminOptions_set_operation_timeout(options.get(), ms(deadline), reason.data(),
                                                  reason.size());
    }
    const Queue queue{rd_kafka_queue_new(handle())};
    send(options.get(), queue.get());
    Event event{rd_kafka_queue_poll(queue.get(), ms(deadline))};
    if (!event) return failed(RD_KAFKA_RESP_ERR__TIMED_OUT);
    const auto err = rd_kafka_event_error(event.get());
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return failed(err, rd_kafka_event_error_string(event.get()));
    }
    return event;
  }

  Result<Done, AdminError> first_of(const rd_kafka_topic_result_t** topics, std::size_t count) {
    if (count == 0) return failed(RD_KAFKA_RESP_ERR__TIMED_OUT);
    const auto err = rd_kafka_topic_result_error(topics[0]);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return done;
    return failed(err, rd_kafka_topic_result_error_string(topics[0]));
  }

  Result<Settings, AdminError> settings(rd_kafka_ResourceType_t type, const std::string& name,
                                        milliseconds deadline);

 private:
  std::string cause_;  // outlives the handle, whose callback writes it
  Handle handle_;
};

Result<Settings, AdminError> Admin::Impl::settings(rd_kafka_ResourceType_t type,
                                                   const std::string& name, milliseconds deadline) {
  const Resource wanted{rd_kafka_ConfigResource_new(type, name.c_str())};
  rd_kafka_ConfigResource_t* list[] = {wanted.get()};
  const auto event =
      ask(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline, [&](auto* options, auto* queue) {
        rd_kafka_DescribeConfigs(handle(), list, 1, options, queue);
      });
  if (!event) return event.error();
  std::size_t count = 0;
  const auto** const resources = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event->get()), &count);
  if (count == 0) return failed(RD_KAFKA_RESP_ERR__TIMED_OUT);
  const auto err = rd_kafka_ConfigResource_error(resources[0]);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(err, rd_kafka_ConfigResource_error_string(resources[0]));
  }
  Settings settings;
  const auto** const entries = rd_kafka_ConfigResource_configs(resources[0], &count);
  for (std::size_t i = 0; i < count; ++i) {
    const char* const value = rd_kafka_ConfigEntry_value(entries[i]);
    if (value == nullptr) continue;  // a secret
    settings[rd_kafka_ConfigEntry_name(entries[i])] = {
        value,
        rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG};
  }
  return settings;
}

Admin::Admin(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Admin::~Admin() = default;

Result<std::unique_ptr<Admin>, KafkaError> Admin::open(
    const std::string& brokers, const std::map<std::string, std::string>& properties) {
  auto impl = std::make_unique<Impl>();
  if (auto opened = impl->open(brokers, properties); !opened) return opened.error();
  return std::unique_ptr<Admin>{new Admin{std::move(impl)}};
}

Result<std::vector<TopicSize>, AdminError> Admin::topics(milliseconds deadline) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto err = rd_kafka_metadata(impl_->handle(), 1, nullptr, &raw, ms(deadline));
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return impl_->failed(err);
  const Metadata metadata{raw};
  std::vector<TopicSize> found;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const auto& topic = metadata->topics[i];
    if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;  // on its way in, or out
    found.push_back({topic.topic, topic.partition_cnt,
                     topic.partition_cnt == 0 ? 0 : topic.partitions[0].replica_cnt});
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

Result<TopicConfig, AdminError> Admin::config(const std::string& topic, milliseconds deadline) {
  const auto settings = impl_->settings(RD_KAFKA_RESOURCE_TOPIC, topic, deadline);
  if (!settings) return settings.error();
  TopicConfig config;
  for (const auto& [name, setting] : *settings) config[name] = setting.value;
  return config;
}

Result<bool, AdminError> Admin::makes_topics(milliseconds deadline) {
  const auto end = Clock::now() + deadline;
  const rd_kafka_metadata_t* raw = nullptr;
  const auto err = rd_kafka_metadata(impl_->handle(), 0, nullptr, &raw, ms(deadline));
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return impl_->failed(err);
  const Metadata metadata{raw};
  if (metadata->broker_cnt == 0) return impl_->failed(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
  const auto settings = impl_->settings(RD_KAFKA_RESOURCE_BROKER,
                                        std::to_string(metadata->brokers[0].id), time_until(end));
  if (!settings) return settings.error();
  const auto found = settings->find("auto.create.topics.enable");
  return found != settings->end() && found->second.value == "true";
}

Result<Done, AdminError> Admin::create(const TopicSize& size, const TopicConfig& config,
                                       milliseconds deadline) {
  std::array<char, 512> reason{};
  const NewTopic wanted{rd_kafka_NewTopic_new(size.name.c_str(), size.partitions, size.replicas,
                                              reason.data(), reason.size())};
  if (!wanted) return AdminError{AdminError::Kind::refused, reason.data()};
  for (const auto& [name, value] : config) {
    rd_kafka_NewTopic_set_config(wanted.get(), name.c_str(), value.c_str());
  }
  rd_kafka_NewTopic_t* list[] = {wanted.get()};
  const auto event =
      impl_->ask(RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline, [&](auto* options, auto* queue) {
        rd_kafka_CreateTopics(impl_->handle(), list, 1, options, queue);
      });
  if (!event) return event.error();
  std::size_t count = 0;
  const auto** const topics =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event->get()), &count);
  return impl_->first_of(topics, count);
}

Result<Done, AdminError> Admin::alter(const std::string& topic, const TopicConfig& changes,
                                      milliseconds deadline) {
  const auto end = Clock::now() + deadline;
  const auto settings = impl_->settings(RD_KAFKA_RESOURCE_TOPIC, topic, deadline);
  if (!settings) return settings.error();
  TopicConfig wanted = changes;
  for (const auto& [name, setting] : *settings) {
    if (setting.is_own) wanted.try_emplace(name, setting.value);
  }
  const Resource resource{rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str())};
  for (const auto& [name, value] : wanted) {
    rd_kafka_ConfigResource_set_config(resource.get(), name.c_str(), value.c_str());
  }
  rd_kafka_ConfigResource_t* list[] = {resource.get()};
  const auto event =
      impl_->ask(RD_KAFKA_ADMIN_OP_ALTERCONFIGS, time_until(end), [&](auto* options, auto* queue) {
        rd_kafka_AlterConfigs(impl_->handle(), list, 1, options, queue);
      });
  if (!event) return event.error();
  std::size_t count = 0;
  const auto** const resources = rd_kafka_AlterConfigs_result_resources(
      rd_kafka_event_AlterConfigs_result(event->get()), &count);
  if (count == 0) return impl_->failed(RD_KAFKA_RESP_ERR__TIMED_OUT);
  const auto err = rd_kafka_ConfigResource_error(resources[0]);
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return done;
  return impl_->failed(err, rd_kafka_ConfigResource_error_string(resources[0]));
}

namespace {

using Offsets = std::unique_ptr<rd_kafka_ListConsumerGroupOffsets_t,
                                Destroy<&rd_kafka_ListConsumerGroupOffsets_destroy>>;
using NewOffsets = std::unique_ptr<rd_kafka_AlterConsumerGroupOffsets_t,
                                   Destroy<&rd_kafka_AlterConsumerGroupOffsets_destroy>>;

rd_kafka_resp_err_t first_error(const rd_kafka_group_result_t& group) {
  if (const auto* const error = rd_kafka_group_result_error(&group)) {
    return rd_kafka_error_code(error);
  }
  const auto* const partitions = rd_kafka_group_result_partitions(&group);
  for (int i = 0; partitions != nullptr && i < partitions->cnt; ++i) {
    if (partitions->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return partitions->elems[i].err;
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace

Result<Done, AdminError> Admin::begin_at_end(const std::string& group, const std::string& topic,
                                             milliseconds deadline) {
  const auto end = Clock::now() + deadline;
  const auto topics = this->topics(deadline);
  if (!topics) return topics.error();
  const auto found = std::find_if(topics->begin(), topics->end(),
                                  [&](const auto& size) { return size.name == topic; });
  if (found == topics->end()) return done;

  const PartitionList wanted{rd_kafka_topic_partition_list_new(found->partitions)};
  rd_kafka_topic_partition_list_add_range(wanted.get(), topic.c_str(), 0, found->partitions - 1);
  const Offsets question{rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), wanted.get())};
  rd_kafka_ListConsumerGroupOffsets_t* questions[] = {question.get()};
  const auto listed = impl_->ask(
      RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, time_until(end), [&](auto* options, auto* queue) {
        rd_kafka_ListConsumerGroupOffsets(impl_->handle(), questions, 1, options, queue);
      });
  if (!listed) return listed.error();
  std::size_t count = 0;
  const auto** groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(listed->get()), &count);
  if (count == 0) return impl_->failed(RD_KAFKA_RESP_ERR__TIMED_OUT);
  if (const auto err = first_error(*groups[0]); err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return impl_->failed(err);
  }

  const PartitionList ends{rd_kafka_topic_partition_list_new(found->partitions)};
  const auto* const known = rd_kafka_group_result_partitions(groups[0]);
  for (int i = 0; i < known->cnt; ++i) {
    if (known->elems[i].offset >= 0) continue;
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto err =
        rd_kafka_query_watermark_offsets(impl_->handle(), topic.c_str(), known->elems[i].partition,
                                         &low, &high, ms(time_until(end)));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return impl_->failed(err);
    rd_kafka_topic_partition_list_add(ends.get(), topic.c_str(), known->elems[i].partition)
        ->offset = high;
  }
  if (ends->cnt == 0) return done;
  const NewOffsets change{rd_kafka_AlterConsumerGroupOffsets_new(group.c_str(), ends.get())};
  rd_kafka_AlterConsumerGroupOffsets_t* changes[] = {change.get()};
  const auto altered =
      impl_->ask(RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, time_until(end),
                 [&](auto* options, auto* queue) {
                   rd_kafka_AlterConsumerGroupOffsets(impl_->handle(), changes, 1, options, queue);
                 });
  if (!altered) return altered.error();
  groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
      rd_kafka_event_AlterConsumerGroupOffsets_result(altered->get()), &count);
  if (count == 0) return impl_->failed(RD_KAFKA_RESP_ERR__TIMED_OUT);
  const auto err = first_error(*groups[0]);
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return done;
  if (err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) {
    return AdminError{AdminError::Kind::refused,
                      "the consumer group " + group + " has members: stop what reads in it"};
  }
  return impl_->failed(err);
}

Result<Done, AdminError> Admin::remove(const std::string& topic, milliseconds deadline) {
  const OldTopic unwanted{rd_kafka_DeleteTopic_new(topic.c_str())};
  rd_kafka_DeleteTopic_t* list[] = {unwanted.get()};
  const auto event =
      impl_->ask(RD_KAFKA_ADMIN_OP_DELETETOPICS, deadline, [&](auto* options, auto* queue) {
        rd_kafka_DeleteTopics(impl_->handle(), list, 1, options, queue);
      });
  if (!event) return event.error();
  std::size_t count = 0;
  const auto** const topics =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event->get()), &count);
  return impl_->first_of(topics, count);
}

}  // namespace lockstep::kafka
