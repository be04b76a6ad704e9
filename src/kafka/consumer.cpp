#include "lockstep/kafka/consumer.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "assignment.hpp"
#include "brokers.hpp"
#include "lists.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

void Message::Destroy::operator()(rd_kafka_message_s* message) const noexcept {
  rd_kafka_message_destroy(message);
}

std::string_view Message::topic() const {
  return rd_kafka_topic_name(message_->rkt);
}
std::int32_t Message::partition() const {
  return message_->partition;
}
RecordOffset Message::offset() const {
  return {message_->offset};
}

std::optional<std::string_view> Message::key() const {
  if (message_->key == nullptr) return std::nullopt;
  return std::string_view{static_cast<const char*>(message_->key), message_->key_len};
}

std::optional<std::string_view> Message::value() const {
  if (message_->payload == nullptr) return std::nullopt;
  return std::string_view{static_cast<const char*>(message_->payload), message_->len};
}

std::optional<std::int64_t> Message::time_ms() const {
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const auto time = rd_kafka_message_timestamp(message_.get(), &type);
  if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || time < 0) return std::nullopt;
  return time;
}

std::vector<Header> Message::headers() const {
  std::vector<Header> headers;
  rd_kafka_headers_t* list = nullptr;
  if (rd_kafka_message_headers(message_.get(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return headers;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    Header header{name, std::nullopt};
    if (value != nullptr) header.value = std::string_view{static_cast<const char*>(value), size};
    headers.push_back(header);
  }
  return headers;
}

std::optional<std::string_view> Message::header(const char* name) const {
  rd_kafka_headers_t* headers = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  if (rd_kafka_message_headers(message_.get(), &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      value == nullptr) {
    return std::nullopt;
  }
  return std::string_view{static_cast<const char*>(value), size};
}

class Consumer::Impl {
 public:
  Impl(const ConsumerConfig& config, ConsumerListener& listener)
      : listener_{listener}, queue_bytes_{config.queue_bytes}, health_{config.brokers} {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (!handle_) return;
    // Without this flag the destructor would close the consumer, and wait for that without end.
    rd_kafka_destroy_flags(handle_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  Result<Done, KafkaError> open(const ConsumerConfig& config) {
    auto conf =
        make_conf(RD_KAFKA_CONSUMER, config.brokers, consumer_defaults(config), config.properties);
    if (!conf) return conf.error();
    rd_kafka_conf_set_opaque(conf->get(), this);
    rd_kafka_conf_set_rebalance_cb(
        conf->get(), [](rd_kafka_t*, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t* list,
                        void* self) { static_cast<Impl*>(self)->rebalance(err, *list); });
    rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int err, const char* text, void* self) {
      static_cast<Impl*>(self)->health_.note_error(static_cast<rd_kafka_resp_err_t>(err), text);
    });
    rd_kafka_conf_set_offset_commit_cb(
        conf->get(),
        [](rd_kafka_t*, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t* list,
           void* self) { static_cast<Impl*>(self)->note_commit(first_error(err, list)); });
    auto handle = make_handle(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!handle) return handle.error();
    handle_ = std::move(*handle);
    assignment_.emplace(handle_.get());
    rd_kafka_poll_set_consumer(handle_.get());
    if (config.wake_fd >= 0) {
      constexpr std::uint64_t one = 1;  // copied
      const Queue queue{rd_kafka_queue_get_consumer(handle_.get())};
      rd_kafka_queue_io_event_enable(queue.get(), config.wake_fd, &one, sizeof one);
    }

    const PartitionList topics = make_list(config.topics.size());
    for (const auto& topic : config.topics) {
      rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    }
    const auto err = rd_kafka_subscribe(handle_.get(), topics.get());
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return KafkaError{"kafka: subscribe: " + std::string{rd_kafka_err2str(err)}};
    }
    return done;
  }

  std::optional<Message> poll(milliseconds timeout) {
    health_.probe_if_due(handle_.get());
    assignment_->start_again_if_due();
    while (rd_kafka_message_t* const raw = rd_kafka_consumer_poll(handle_.get(), ms(timeout))) {
      Message message{raw};
      if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        note_partition_error(*raw);
      } else if (!assignment_->is_given_up(*raw)) {
        polled_bytes_ += raw->len + raw->key_len;
        polled_since_asked_ = true;
        return message;
      }
      timeout = milliseconds{0};  // "nothing" must mean that nothing is left, see wake_fd
    }
    // So much at a stretch: the queue was full, or nearly, and perhaps fetching has gone to rest.
    if (polled_bytes_ >= queue_bytes_ / 4 * 3) assignment_->wake_fetching();
    polled_bytes_ = 0;
    return std::nullopt;
  }

  Assignment& assignment() { return *assignment_; }

  bool reachable() const { return health_.reachable(); }
  void ask_for_life() {
    if (std::exchange(polled_since_asked_, false)) return;
    health_.doubt_if_quiet();
  }

  void commit(const Positions& positions) {
    if (positions.empty()) return;
    const PartitionList list = to_list(positions);
    check("commit", rd_kafka_commit(handle_.get(), list.get(), /*async=*/1));
  }

  Result<Done, KafkaError> commit(const Positions& positions, milliseconds deadline) {
    if (positions.empty()) return done;
    // rd_kafka_commit() has no deadline of its own; a queue has.
    const PartitionList list = to_list(positions);
    const Queue answers{rd_kafka_queue_new(handle_.get())};
    auto err = rd_kafka_commit_queue(handle_.get(), list.get(), answers.get(), nullptr, nullptr);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
    const Event answer{rd_kafka_queue_poll(answers.get(), ms(deadline))};
    if (!answer) return KafkaError{"no answer within " + std::to_string(ms(deadline)) + " ms"};
    err = first_error(rd_kafka_event_error(answer.get()),
                      rd_kafka_event_topic_partition_list(answer.get()));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
    return done;
  }

  std::optional<NextOffset> known_end(const TopicPartition& tp) const {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const auto err =
        rd_kafka_get_watermark_offsets(handle_.get(), tp.topic.c_str(), tp.partition, &low, &high);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) return std::nullopt;
    return NextOffset{high};
  }

  Result<int, KafkaError> partition_count(const std::string& topic, milliseconds deadline) {
    const std::unique_ptr<rd_kafka_topic_t, Destroy<&rd_kafka_topic_destroy>> only{
        rd_kafka_topic_new(handle_.get(), topic.c_str(), nullptr)};
    auto metadata = fetch_metadata(handle_.get(), only.get(), deadline);
    if (!metadata) return metadata.error();
    if ((*metadata)->topic_cnt != 1) return KafkaError{"no metadata of topic " + topic};
    return (*metadata)->topics[0].partition_cnt;
  }

  std::optional<std::string> fatal_error() const {
    std::array<char, 512> text{};
    const auto err = rd_kafka_fatal_error(handle_.get(), text.data(), text.size());
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
    if (err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) {
      return "another daemon has joined the group with the same group.instance.id and taken over: "
             "stop one of them, or give each its own kafka.properties group.instance.id";
    }
    return text.data();
  }

  void close(milliseconds deadline) {
    const auto end = Clock::now() + deadline;
    // A static member does not leave by closing (KIP-345), but it does by unsubscribing.
    rd_kafka_unsubscribe(handle_.get());
    // It leaves once its partitions have come to rest; closing before that would keep it from it.
    while ((assigned_ || is_member()) && Clock::now() < end) {
      poll(std::min(time_until(end), milliseconds{20}));
    }
    const Queue events{rd_kafka_queue_new(handle_.get())};
    const ErrorHandle refused{rd_kafka_consumer_close_queue(handle_.get(), events.get())};
    while (!refused && rd_kafka_consumer_closed(handle_.get()) == 0 && Clock::now() < end) {
      const Event event{
          rd_kafka_queue_poll(events.get(), ms(std::min(time_until(end), milliseconds{100})))};
      if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) {
        rebalance(rd_kafka_event_error(event.get()),
                  *rd_kafka_event_topic_partition_list(event.get()));
      }
    }
    if (rd_kafka_consumer_closed(handle_.get()) == 0) {
      spdlog::warn("kafka group not left in time: the group waits for the session timeout");
    }
  }

 private:
  void rebalance(rd_kafka_resp_err_t err, const rd_kafka_topic_partition_list_t& list) {
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      assignment_->accept();
      health_.note_alive();
      assigned_ = true;
      for (int i = 0; i < list.cnt; ++i) awaited_topics_.erase(list.elems[i].topic);
      listener_.on_assigned(to_vector(list));
      return;
    }
    listener_.on_revoked(rd_kafka_assignment_lost(handle_.get()) != 0);
    assigned_ = false;
    assignment_->give_back();
  }

  /// librdkafka forgets the member id when it sends that it leaves.
  bool is_member() const {
    char* const id = rd_kafka_memberid(handle_.get());
    const bool member = id != nullptr && *id != '\0';
    rd_kafka_mem_free(handle_.get(), id);
    return member;
  }

  void note_commit(rd_kafka_resp_err_t err) {
    const bool failed = err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR__NO_OFFSET;
    if (failed && !commits_fail_) {
      spdlog::warn("offset commit failed, the next one makes it good: {}", rd_kafka_err2str(err));
    }
    commits_fail_ = failed;
  }

  void note_partition_error(const rd_kafka_message_t& message) {
    const TopicPartition tp{message.rkt == nullptr ? "" : rd_kafka_topic_name(message.rkt),
                            message.partition};
    const std::string text = rd_kafka_message_errstr(&message);
    switch (message.err) {
      case RD_KAFKA_RESP_ERR__FATAL:  // fatal_error() tells
        break;
      case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        listener_.on_end_reached(tp, {message.offset});
        break;
      case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        // The offset tells the two apart: that of a lookup that failed is what was looked for.
        if (message.offset == RD_KAFKA_OFFSET_BEGINNING) {
          health_.note_other("kafka can't say where " + to_string(tp) + " begins, asking again",
                             text);
          assignment_->start_again_later();
        } else if (assignment_->give_up(tp)) {
          listener_.on_position_gone(tp, text);
        }
        break;
      // librdkafka jumps over the first two and asks for the others again and again.
      case RD_KAFKA_RESP_ERR__BAD_MSG:          // its checksum is wrong
      case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:  // format or codec unknown
      case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
      case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      case RD_KAFKA_RESP_ERR_INVALID_MSG:  // the broker itself can't read it
      case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
        if (message.offset < 0) {  // not of a batch: the answer to some other request
          note_other(message.err, tp, text);
        } else if (assignment_->give_up(tp)) {
          listener_.on_unreadable(tp, {message.offset}, text);
        }
        break;
      case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
      case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        if (awaited_topics_.insert(tp.topic).second) {
          spdlog::warn("topic does not exist yet, waiting for it topic={}", tp.topic);
        }
        break;
      case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        health_.note_refusal("check the access rights", text);
        break;
      default:
        note_other(message.err, tp, text);
    }
  }

  void note_other(rd_kafka_resp_err_t err, const TopicPartition& tp, const std::string& text) {
    health_.note_other(std::string{"kafka "} + rd_kafka_err2name(err) + " topic=" + to_string(tp),
                       text);
  }

  ConsumerListener& listener_;
  const std::size_t queue_bytes_;
  std::size_t polled_bytes_ = 0;  ///< since poll() has last returned nothing
  BrokerHealth health_;
  bool polled_since_asked_ = false;
  Handle handle_;
  std::optional<Assignment> assignment_;  // from open() on
  bool assigned_ = false;
  bool commits_fail_ = false;
  std::set<std::string> awaited_topics_;
};

Consumer::Consumer(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Consumer::~Consumer() = default;

Result<std::unique_ptr<Consumer>, KafkaError> Consumer::open(const ConsumerConfig& config,
                                                             ConsumerListener& listener) {
  auto impl = std::make_unique<Impl>(config, listener);
  if (auto opened = impl->open(config); !opened) return opened.error();
  return std::unique_ptr<Consumer>{new Consumer{std::move(impl)}};
}

std::optional<Message> Consumer::poll(milliseconds timeout) {
  return impl_->poll(timeout);
}
Result<Positions, KafkaError> Consumer::assign(const std::vector<Start>& starts,
                                               milliseconds deadline) {
  return impl_->assignment().start(starts, deadline);
}
void Consumer::pause(const std::vector<TopicPartition>& partitions) {
  impl_->assignment().pause(partitions);
}
void Consumer::resume(const std::vector<TopicPartition>& partitions) {
  impl_->assignment().resume(partitions);
}
void Consumer::ask_for_life() {
  impl_->ask_for_life();
}
bool Consumer::reachable() const {
  return impl_->reachable();
}
void Consumer::commit(const Positions& positions) {
  impl_->commit(positions);
}
Result<Done, KafkaError> Consumer::commit(const Positions& positions, milliseconds deadline) {
  return impl_->commit(positions, deadline);
}
std::optional<NextOffset> Consumer::known_end(const TopicPartition& tp) const {
  return impl_->known_end(tp);
}
Result<int, KafkaError> Consumer::partition_count(const std::string& topic, milliseconds deadline) {
  return impl_->partition_count(topic, deadline);
}
std::optional<std::string> Consumer::fatal_error() const {
  return impl_->fatal_error();
}
void Consumer::close(milliseconds deadline) {
  impl_->close(deadline);
}

}  // namespace lockstep::kafka
