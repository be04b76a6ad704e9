#pragma once

#include <vector>

#include "handles.hpp"
#include "lockstep/model/position.hpp"

/// librdkafka's partition lists from and to our own values.
namespace lockstep::kafka {

inline PartitionList make_list(std::size_t size) {
  return PartitionList{rd_kafka_topic_partition_list_new(static_cast<int>(size))};
}

inline void add(const PartitionList& list, const TopicPartition& tp,
                std::int64_t offset = RD_KAFKA_OFFSET_INVALID) {
  rd_kafka_topic_partition_list_add(list.get(), tp.topic.c_str(), tp.partition)->offset = offset;
}

inline PartitionList to_list(const Positions& positions) {
  PartitionList list = make_list(positions.size());
  for (const auto& [tp, next] : positions) add(list, tp, next.value);
  return list;
}

inline TopicPartition partition_of(const rd_kafka_topic_partition_t& element) {
  return {element.topic, element.partition};
}

inline std::vector<TopicPartition> to_vector(const rd_kafka_topic_partition_list_t& list) {
  std::vector<TopicPartition> partitions;
  for (int i = 0; i < list.cnt; ++i) partitions.push_back(partition_of(list.elems[i]));
  return partitions;
}

/// The whole request's error, or the first partition's.
inline rd_kafka_resp_err_t first_error(rd_kafka_resp_err_t err,
                                       const rd_kafka_topic_partition_list_t* list) {
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR || list == nullptr) return err;
  for (int i = 0; i < list->cnt; ++i) {
    if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return list->elems[i].err;
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace lockstep::kafka
