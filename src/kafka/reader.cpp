#include "lockstep/kafka/reader.hpp"

#include <utility>

#include "brokers.hpp"
#include "lists.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;

class Reader::Impl {
 public:
  Result<Done, KafkaError> open(const ConsumerConfig& config, Sees sees);
  ~Impl() {
    // There is no group to leave.
    if (handle_) rd_kafka_destroy_flags(handle_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  rd_kafka_t* handle() { return handle_.get(); }

  /// Why the brokers did not answer, as far as the client's connections tell.
  KafkaError failed(rd_kafka_resp_err_t err) {
    rd_kafka_poll(handle(), 0);  // calls the callback: refused, no TLS there, a wrong password
    const bool away = err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__TRANSPORT ||
                      err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                      err == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE;
    return {away && !cause_.empty() ? cause_ : rd_kafka_err2str(err)};
  }

  /// The list with the answer in each element: of a time, or of an end of the log.
  Result<std::map<TopicPartition, std::int64_t>, KafkaError> offsets(const PartitionList& list,
                                                                     milliseconds deadline);

 private:
  std::string cause_;  // outlives the handle, whose callback writes it
  Handle handle_;
};

Result<Done, KafkaError> Reader::Impl::open(const ConsumerConfig& config, Sees sees) {
  ConsumerConfig named = config;
  // librdkafka assigns nothing to a consumer without one, although it never joins.
  if (named.group.empty()) named.group = "lockstep.reader";
  auto conf =
      make_conf(RD_KAFKA_CONSUMER, named.brokers, consumer_defaults(named), named.properties);
  if (!conf) return conf.error();
  if (sees == Sees::all) {  // else as for all consumers
    rd_kafka_conf_set(conf->get(), "isolation.level", "read_uncommitted", nullptr, 0);
  }
  rd_kafka_conf_set_opaque(conf->get(), &cause_);
  rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int err, const char* text, void* cause) {
    if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) *static_cast<std::string*>(cause) = text;
  });
  auto handle = make_handle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  handle_ = std::move(*handle);
  return done;
}

Result<std::map<TopicPartition, std::int64_t>, KafkaError> Reader::Impl::offsets(
    const PartitionList& list, milliseconds deadline) {
  std::map<TopicPartition, std::int64_t> found;
  if (list->cnt == 0) return found;
  const auto err = rd_kafka_offsets_for_times(handle(), list.get(), ms(deadline));
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return failed(err);
  for (int i = 0; i < list->cnt; ++i) {
    const auto& answer = list->elems[i];
    const TopicPartition tp = partition_of(answer);
    if (answer.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return KafkaError{to_string(tp) + ": " + rd_kafka_err2str(answer.err)};
    }
    found[tp] = answer.offset;
  }
  return found;
}

Reader::Reader(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Reader::~Reader() = default;

Result<std::unique_ptr<Reader>, KafkaError> Reader::open(const ConsumerConfig& config, Sees sees) {
  auto impl = std::make_unique<Impl>();
  if (auto opened = impl->open(config, sees); !opened) return opened.error();
  rd_kafka_poll_set_consumer(impl->handle());
  return std::unique_ptr<Reader>{new Reader{std::move(impl)}};
}

Result<std::map<std::string, int>, KafkaError> Reader::topics(milliseconds deadline) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto err = rd_kafka_metadata(impl_->handle(), 1, nullptr, &raw, ms(deadline));
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return impl_->failed(err);
  const Metadata metadata{raw};
  std::map<std::string, int> found;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    found[metadata->topics[i].topic] = metadata->topics[i].partition_cnt;
  }
  return found;
}

Result<Stretches, KafkaError> Reader::bounds(const std::map<std::string, int>& topics,
                                             milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  Stretches found;
  // In the place of a time these two ask for the log's beginning and its end.
  for (const auto which : {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END}) {
    const PartitionList list = make_list(topics.size());
    for (const auto& [topic, partitions] : topics) {
      for (int i = 0; i < partitions; ++i) add(list, {topic, i}, which);
    }
    const auto offsets = impl_->offsets(list, time_until(until));
    if (!offsets) return offsets.error();
    for (const auto& [tp, offset] : *offsets) {
      (which == RD_KAFKA_OFFSET_END ? found[tp].end : found[tp].begin) = offset;
    }
  }
  return found;
}

Result<std::map<TopicPartition, std::int64_t>, KafkaError> Reader::at_time(
    const Stretches& partitions, std::int64_t time_ms, milliseconds deadline) {
  const PartitionList list = make_list(partitions.size());
  for (const auto& [tp, stretch] : partitions) add(list, tp, time_ms);
  auto found = impl_->offsets(list, deadline);
  if (!found) return found;
  for (auto& [tp, offset] : *found) {
    if (offset < 0) offset = partitions.at(tp).end;  // RD_KAFKA_OFFSET_END: nothing is so late
  }
  return found;
}

Result<Positions, KafkaError> Reader::committed(const std::string& group,
                                                const std::vector<TopicPartition>& partitions,
                                                milliseconds deadline) {
  using Request = std::unique_ptr<rd_kafka_ListConsumerGroupOffsets_t,
                                  Destroy<&rd_kafka_ListConsumerGroupOffsets_destroy>>;
  using Options = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<&rd_kafka_AdminOptions_destroy>>;
  const PartitionList list = make_list(partitions.size());
  for (const auto& tp : partitions) add(list, tp);
  const Request request{rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), list.get())};
  const Options options{
      rd_kafka_AdminOptions_new(impl_->handle(), RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS)};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), ms(deadline), nullptr, 0);
  const Queue queue{rd_kafka_queue_new(impl_->handle())};
  rd_kafka_ListConsumerGroupOffsets_t* requests[] = {request.get()};
  rd_kafka_ListConsumerGroupOffsets(impl_->handle(), requests, 1, options.get(), queue.get());
  const Event event{rd_kafka_queue_poll(queue.get(), ms(deadline) + 1000)};
  if (!event) return KafkaError{"offsets of " + group + ": no answer in time"};
  if (const auto err = rd_kafka_event_error(event.get()); err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return impl_->failed(err);
  }
  std::size_t count = 0;
  const auto** const groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
      rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &count);
  Positions found;
  if (count != 1) return found;
  if (const auto* const error = rd_kafka_group_result_error(groups[0])) {
    return KafkaError{"offsets of " + group + ": " + rd_kafka_error_string(error)};
  }
  const auto* const answers = rd_kafka_group_result_partitions(groups[0]);
  for (int i = 0; answers != nullptr && i < answers->cnt; ++i) {
    const auto& answer = answers->elems[i];
    if (answer.offset >= 0) found[partition_of(answer)] = NextOffset{answer.offset};
  }
  return found;
}

Result<Done, KafkaError> Reader::assign(const std::map<TopicPartition, std::int64_t>& from) {
  const PartitionList list = make_list(from.size());
  for (const auto& [tp, offset] : from) add(list, tp, offset);
  const auto err = rd_kafka_assign(impl_->handle(), list.get());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return impl_->failed(err);
  return done;
}

Result<Reader::Polled, KafkaError> Reader::poll(milliseconds timeout) {
  Polled polled;
  rd_kafka_message_t* const raw = rd_kafka_consumer_poll(impl_->handle(), ms(timeout));
  if (raw == nullptr) return polled;
  Message message{raw};
  if (raw->rkt == nullptr) return polled;  // of a connection: another may do
  const TopicPartition tp{rd_kafka_topic_name(raw->rkt), raw->partition};
  switch (raw->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      polled.message = std::move(message);
      break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return KafkaError{to_string(tp) + ": " + rd_kafka_message_errstr(raw)};
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      polled.end = raw->offset;
      [[fallthrough]];
    default:  // its end, or it can't be read on, which the daemon will tell
      polled.ended = tp;
  }
  return polled;
}

Result<Done, KafkaError> Reader::read(Stretches& stretches, milliseconds deadline,
                                      const std::function<void(Message)>& visit) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  std::map<TopicPartition, std::int64_t> from;
  for (const auto& [tp, stretch] : stretches) from[tp] = stretch.begin;
  if (auto assigned = assign(from); !assigned) return assigned;
  while (!stretches.empty() && std::chrono::steady_clock::now() < until) {
    auto polled = poll(time_until(until));
    if (!polled) return polled.error();
    if (polled->ended) stretches.erase(*polled->ended);
    if (!polled->message) continue;
    auto& message = *polled->message;
    const auto stretch = stretches.find({std::string{message.topic()}, message.partition()});
    if (stretch == stretches.end()) continue;  // its stretch is read; what follows it came along
    const auto [offset, end] = std::pair{message.offset().value, stretch->second.end};
    if (offset < end) visit(std::move(message));
    if (offset + 1 >= end) stretches.erase(stretch);
  }
  return done;
}

}  // namespace lockstep::kafka
