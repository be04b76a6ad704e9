#include "lockstep/kafka/producer.hpp"

#include <spdlog/spdlog.h>

#include <array>

#include "brokers.hpp"
#include "lockstep/model/mutex.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds topic_deadline{10'000};
constexpr milliseconds send_deadline{10'000};

using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<&rd_kafka_NewTopic_destroy>>;
using Headers = std::unique_ptr<rd_kafka_headers_t, Destroy<&rd_kafka_headers_destroy>>;
using AdminOptions =
    std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<&rd_kafka_AdminOptions_destroy>>;

Headers to_headers(const std::vector<Header>& headers) {
  Headers list{rd_kafka_headers_new(headers.size())};
  for (const auto& [name, value] : headers) {
    rd_kafka_header_add(list.get(), name.data(), static_cast<ssize_t>(name.size()),
                        value ? static_cast<const void*>(value->data()) : nullptr,
                        value ? static_cast<ssize_t>(value->size()) : 0);
  }
  return list;
}

}  // namespace

class Producer::Impl {
 public:
  explicit Impl(const ProducerConfig& config) : topic_{config.topic}, health_{config.brokers} {}

  Result<Done, KafkaError> open(const ProducerConfig& config) {
    const Properties defaults{{"enable.idempotence", "true"},
                              {"linger.ms", "0"},
                              // How large a record may be the brokers decide.
                              {"message.max.bytes", "1000000000"}};
    auto properties = config.properties;
    properties.erase("message.max.bytes");  // of what is fetched
    properties["message.timeout.ms"] = std::to_string(send_deadline.count());
    auto conf = make_conf(RD_KAFKA_PRODUCER, config.brokers, defaults, properties);
    if (!conf) return conf.error();
    rd_kafka_conf_set_opaque(conf->get(), this);
    rd_kafka_conf_set_dr_msg_cb(conf->get(),
                                [](rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
                                  static_cast<Impl*>(self)->note_delivery(*message);
                                });
    rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int err, const char* text, void* self) {
      static_cast<Impl*>(self)->health_.note_error(static_cast<rd_kafka_resp_err_t>(err), text);
    });
    auto handle = make_handle(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!handle) return handle.error();
    handle_ = std::move(*handle);
    return done;
  }

  Result<Done, KafkaError> send(std::span<const OutgoingRecord> records) {
    const Lock lock{mutex_};
    if (!topic_is_there_) {
      if (auto made = make_topic(); !made) return made;
      topic_is_there_ = true;
    }
    cause_.clear();
    for (const auto& record : records) {
      if (auto queued = enqueue(record); !queued) {
        if (cause_.empty()) cause_ = queued.error().message;
        break;
      }
    }
    // librdkafka gives each its message.timeout.ms, and then says how it went.
    while (outstanding_ > 0) rd_kafka_poll(handle_.get(), 100);
    if (cause_.empty()) return done;
    topic_is_there_ = false;  // perhaps not any more
    return KafkaError{cause_};
  }

 private:
  Result<Done, KafkaError> enqueue(const OutgoingRecord& record) {
    Headers headers = to_headers(record.headers);
    // RD_KAFKA_V_…() would be shorter, but is no standard C++.
    std::array<rd_kafka_vu_t, 5> parts{};
    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    parts[0].u.cstr = topic_.c_str();
    parts[1].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[1].u.i = RD_KAFKA_MSG_F_COPY;
    parts[2].vtype = RD_KAFKA_VTYPE_KEY;
    parts[3].vtype = RD_KAFKA_VTYPE_VALUE;
    const auto set = [](rd_kafka_vu_t& part, const std::optional<std::string_view>& bytes) {
      if (bytes) part.u.mem = {const_cast<char*>(bytes->data()), bytes->size()};
    };
    set(parts[2], record.key);
    set(parts[3], record.value);
    parts[4].vtype = RD_KAFKA_VTYPE_HEADERS;
    parts[4].u.headers = headers.get();
    for (const auto end = Clock::now() + send_deadline;;) {
      const ErrorHandle failed{rd_kafka_produceva(handle_.get(), parts.data(), parts.size())};
      if (!failed) {
        static_cast<void>(headers.release());  // the message owns them now
        ++outstanding_;
        return done;
      }
      if (rd_kafka_error_code(failed.get()) != RD_KAFKA_RESP_ERR__QUEUE_FULL ||
          Clock::now() >= end) {
        return KafkaError{rd_kafka_error_string(failed.get())};
      }
      rd_kafka_poll(handle_.get(), 100);
    }
  }

  void note_delivery(const rd_kafka_message_t& message) {
    --outstanding_;
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR && cause_.empty()) {
      cause_ = rd_kafka_err2str(message.err);
    }
  }

  Result<Done, KafkaError> make_topic() {
    std::array<char, 512> reason{};
    constexpr int of_the_broker = -1;
    const NewTopic topic{
        rd_kafka_NewTopic_new(topic_.c_str(), 1, of_the_broker, reason.data(), reason.size())};
    if (!topic) return KafkaError{reason.data()};
    rd_kafka_NewTopic_set_config(topic.get(), "retention.ms", "-1");
    const AdminOptions options{
        rd_kafka_AdminOptions_new(handle_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS)};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), ms(topic_deadline), reason.data(),
                                              reason.size());
    const Queue answers{rd_kafka_queue_new(handle_.get())};
    rd_kafka_NewTopic_t* topics[] = {topic.get()};
    rd_kafka_CreateTopics(handle_.get(), topics, 1, options.get(), answers.get());
    const Event answer{rd_kafka_queue_poll(answers.get(), ms(topic_deadline))};
    if (!answer) return KafkaError{"topic " + topic_ + ": no answer from the brokers"};
    auto err = rd_kafka_event_error(answer.get());
    std::string text = rd_kafka_event_error_string(answer.get());
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      std::size_t count = 0;
      const auto* const created = rd_kafka_CreateTopics_result_topics(
          rd_kafka_event_CreateTopics_result(answer.get()), &count);
      if (count == 1) {
        err = rd_kafka_topic_result_error(created[0]);
        if (const char* const why = rd_kafka_topic_result_error_string(created[0])) text = why;
      }
    }
    // It may be there already, or be made by others: then sending tells.
    if (err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ||
        err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
      return done;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return KafkaError{"topic " + topic_ + " can't be made: " + text};
    }
    spdlog::info("topic made topic={}", topic_);
    return done;
  }

  const std::string topic_;
  BrokerHealth health_;
  Handle handle_;

  Mutex mutex_;
  bool topic_is_there_ LOCKSTEP_GUARDED_BY(mutex_) = false;
  // Changed by callbacks, which are called by rd_kafka_poll() only: with the lock held.
  std::size_t outstanding_ = 0;
  std::string cause_;
};

Producer::Producer(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Producer::~Producer() = default;

Result<std::unique_ptr<Producer>, KafkaError> Producer::open(const ProducerConfig& config) {
  auto impl = std::make_unique<Impl>(config);
  if (auto opened = impl->open(config); !opened) return opened.error();
  return std::unique_ptr<Producer>{new Producer{std::move(impl)}};
}

Result<Done, KafkaError> Producer::send(std::span<const OutgoingRecord> records) {
  return impl_->send(records);
}

}  // namespace lockstep::kafka
