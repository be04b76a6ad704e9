#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <stdexcept>
#include <string>

/// librdkafka's handles, for the tests' own clients.
namespace lockstep::test {

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const noexcept {
    destroy(handle);
  }
};
template <class T, auto destroy>
using Owned = std::unique_ptr<T, Destroy<destroy>>;

using Handle = Owned<rd_kafka_t, &rd_kafka_destroy>;
using Message = Owned<rd_kafka_message_t, &rd_kafka_message_destroy>;
using NewTopic = Owned<rd_kafka_NewTopic_t, &rd_kafka_NewTopic_destroy>;
using Options = Owned<rd_kafka_AdminOptions_t, &rd_kafka_AdminOptions_destroy>;
using Queue = Owned<rd_kafka_queue_t, &rd_kafka_queue_destroy>;
using Event = Owned<rd_kafka_event_t, &rd_kafka_event_destroy>;
using Partitions = Owned<rd_kafka_topic_partition_list_t, &rd_kafka_topic_partition_list_destroy>;

/// Throws unless there is no error.
inline void require(rd_kafka_resp_err_t err, const std::string& what) {
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  throw std::runtime_error{what + ": " + rd_kafka_err2str(err)};
}

}  // namespace lockstep::test
