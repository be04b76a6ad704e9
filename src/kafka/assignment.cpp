#include "assignment.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "brokers.hpp"
#include "lists.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds first_retry{1000};
constexpr milliseconds slowest_retry{30'000};

}  // namespace

void Assignment::accept() {
  stop(make_list(1).get());
}

void Assignment::give_back() {
  stop(nullptr);
}

/// The pauses end with what was fetched: librdkafka would keep them, across any assignment. It must
/// be asked between the two: fetching has stopped, so that nothing is fetched from the old
/// position, and the new start is not on its way, which could overtake the request (which then is
/// ignored).
void Assignment::stop(const rd_kafka_topic_partition_list_t* nothing) {
  check("assign", rd_kafka_assign(handle_, nothing));
  begun_at_.clear();
  start_again_at_.reset();
  start_again_after_ = first_retry;
  given_up_.clear();
  static_cast<void>(unpause({paused_.begin(), paused_.end()}));
}

Result<Positions, KafkaError> Assignment::start(const std::vector<Consumer::Start>& starts,
                                                milliseconds deadline) {
  const PartitionList list = make_list(starts.size());
  const PartitionList unknown = make_list(starts.size());
  for (const auto& start : starts) {
    add(list, start.partition, start.at ? start.at->value : RD_KAFKA_OFFSET_BEGINNING);
    if (!start.at) add(unknown, start.partition);
  }
  Positions of_the_group;
  if (unknown->cnt > 0) {
    const auto err =
        first_error(rd_kafka_committed(handle_, unknown.get(), ms(deadline)), unknown.get());
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return KafkaError{std::string{"group offsets: "} + rd_kafka_err2str(err)};
    }
    for (int i = 0; i < unknown->cnt; ++i) {
      const auto& committed = unknown->elems[i];
      if (committed.offset < 0) continue;  // none: from the beginning
      rd_kafka_topic_partition_list_find(list.get(), committed.topic, committed.partition)->offset =
          committed.offset;
      of_the_group[partition_of(committed)] = {committed.offset};
    }
  }
  accept();
  for (int i = 0; i < list->cnt; ++i) {
    begun_at_[partition_of(list->elems[i])] = list->elems[i].offset;
  }
  const auto err = rd_kafka_assign(handle_, list.get());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
  return of_the_group;
}

void Assignment::start_again_later() {
  if (start_again_at_) return;
  start_again_at_ = Clock::now() + start_again_after_;
  start_again_after_ = std::min(2 * start_again_after_, slowest_retry);
}

/// With an eager assignor librdkafka takes no part of an assignment, and seeking wants a partition
/// that is started.
void Assignment::start_again_if_due() {
  if (!start_again_at_ || Clock::now() < *start_again_at_) return;
  start_again_at_.reset();
  const PartitionList positions = make_list(begun_at_.size());
  for (const auto& [tp, offset] : begun_at_) add(positions, tp);
  check("position", rd_kafka_position(handle_, positions.get()));
  const PartitionList list = make_list(begun_at_.size());
  for (int i = 0; i < positions->cnt; ++i) {
    const auto tp = partition_of(positions->elems[i]);
    auto& begun_at = begun_at_[tp];
    if (positions->elems[i].offset >= 0) begun_at = positions->elems[i].offset;  // else: none read
    add(list, tp, begun_at);
  }
  check("assign", rd_kafka_assign(handle_, list.get()));
}

void Assignment::pause(const std::vector<TopicPartition>& partitions) {
  const PartitionList list = make_list(partitions.size());
  for (const auto& tp : partitions) {
    if (!paused_.contains(tp)) add(list, tp);
  }
  if (list->cnt == 0) return;
  check("pause", first_error(rd_kafka_pause_partitions(handle_, list.get()), list.get()));
  for (int i = 0; i < list->cnt; ++i) {
    if (list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      paused_.insert(partition_of(list->elems[i]));
    }
  }
}

/// Returns those that were paused.
PartitionList Assignment::unpause(const std::vector<TopicPartition>& partitions) {
  PartitionList list = make_list(partitions.size());
  for (const auto& tp : partitions) {
    if (paused_.contains(tp) && !given_up_.contains(tp)) add(list, tp);
  }
  if (list->cnt == 0) return list;
  check("resume", first_error(rd_kafka_resume_partitions(handle_, list.get()), list.get()));
  for (const auto& tp : to_vector(*list)) paused_.erase(tp);
  return list;
}

void Assignment::resume(const std::vector<TopicPartition>& partitions) {
  wake(unpause(partitions));
}

void Assignment::wake_fetching() {
  const PartitionList behind = make_list(begun_at_.size());
  for (const auto& [tp, offset] : begun_at_) {
    if (!paused_.contains(tp)) add(behind, tp);
  }
  wake(behind);
}

/// The thread that fetches sleeps for up to a second when it finds a partition paused, or its queue
/// full; neither resuming nor polling wakes it (rd_kafka_broker_consumer_serve, 2.0.2). Seeking
/// does. To where a partition is, it costs no more than what is fetched and not polled yet: call it
/// when that is nothing.
void Assignment::wake(const PartitionList& partitions) {
  if (partitions->cnt == 0) return;
  check("position", rd_kafka_position(handle_, partitions.get()));
  const PartitionList behind = make_list(static_cast<std::size_t>(partitions->cnt));
  for (int i = 0; i < partitions->cnt; ++i) {
    const auto& partition = partitions->elems[i];
    std::int64_t low = 0;
    std::int64_t high = 0;
    if (partition.offset < 0 ||  // none read: there is nothing to seek to
        rd_kafka_get_watermark_offsets(handle_, partition.topic, partition.partition, &low,
                                       &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        high <= partition.offset) {
      continue;
    }
    add(behind, partition_of(partition), partition.offset);
  }
  if (behind->cnt == 0) return;
  const ErrorHandle failed{rd_kafka_seek_partitions(handle_, behind.get(), /*don't wait*/ 0)};
  if (failed) spdlog::debug("kafka seek failed: {}", rd_kafka_error_string(failed.get()));
}

bool Assignment::give_up(const TopicPartition& tp) {
  if (!given_up_.insert(tp).second) return false;
  begun_at_.erase(tp);
  pause({tp});  // or it would be fetched for nothing, an unreadable batch twice a second
  return true;
}

bool Assignment::is_given_up(const rd_kafka_message_t& message) const {
  return !given_up_.empty() &&
         given_up_.contains({rd_kafka_topic_name(message.rkt), message.partition});
}

}  // namespace lockstep::kafka
