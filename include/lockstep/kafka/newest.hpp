#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "lockstep/kafka/consumer.hpp"
#include "lockstep/kafka/error.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::kafka {

/// What came of a look at the newest records of one topic.
enum class Looked : std::uint8_t {
  found,        ///< what was looked for
  nothing,      ///< all of it was read, and it is not there
  out_of_time,  ///< not found so far
};

/// Reads the newest records of topics, those that are committed, until each has shown what is
/// looked for: first a few of the end of each partition, then more and more of what is before them.
/// Joins no group and commits no offset.
///
/// `topics`: how many partitions each has (find_topics()). `visit` is called with the records of
/// a partition, of a stretch in the log's order, but a later stretch before an earlier one; it says
/// whether this is what is looked for. More of the same stretches come all the same.
/// Errors: a property that librdkafka refuses, no answer within `deadline`, or a right to read that
/// is missing.
Result<std::map<std::string, Looked>, KafkaError> read_newest(
    const ConsumerConfig& config, const std::map<std::string, int>& topics,
    std::chrono::milliseconds deadline, const std::function<bool(const Message&)>& visit);

/// Reads all that is in the topics now, each partition in the log's order. Errors: as above, and
/// what could not be read within `deadline`.
Result<Done, KafkaError> read_all(const ConsumerConfig& config,
                                  const std::map<std::string, int>& topics,
                                  std::chrono::milliseconds deadline,
                                  const std::function<void(const Message&)>& visit);

}  // namespace lockstep::kafka
