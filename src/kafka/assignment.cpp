#include "assignment.hpp"

#include <spdlog/spdlog.h>

#include "brokers.hpp"
#include "lists.hpp"

namespace lockstep::kafka {

using std::chrono::milliseconds;

namespace {

void check(std::string_view what, rd_kafka_resp_err_t err) {
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  spdlog::warn("kafka {} failed: {}", what, rd_kafka_err2str(err));
}

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
  given_up_.clear();
  resume({paused_.begin(), paused_.end()});
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
  if (!paused_.empty()) accept();
  given_up_.clear();
  const auto err = rd_kafka_assign(handle_, list.get());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaError{rd_kafka_err2str(err)};
  return of_the_group;
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

void Assignment::resume(const std::vector<TopicPartition>& partitions) {
  const PartitionList list = make_list(partitions.size());
  for (const auto& tp : partitions) {
    if (paused_.contains(tp) && !given_up_.contains(tp)) add(list, tp);
  }
  if (list->cnt == 0) return;
  check("resume", first_error(rd_kafka_resume_partitions(handle_, list.get()), list.get()));
  for (const auto& tp : to_vector(*list)) paused_.erase(tp);
}

bool Assignment::give_up(const TopicPartition& tp) {
  if (!given_up_.insert(tp).second) return false;
  pause({tp});  // or it would be fetched for nothing, an unreadable batch twice a second
  return true;
}

bool Assignment::is_given_up(const rd_kafka_message_t& message) const {
  return !given_up_.empty() &&
         given_up_.contains({rd_kafka_topic_name(message.rkt), message.partition});
}

}  // namespace lockstep::kafka
