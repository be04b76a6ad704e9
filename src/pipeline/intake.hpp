#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/debezium/decoder.hpp"
#include "report.hpp"

namespace lockstep::pipeline {

/// Records on their way from Kafka into the lanes. What can't be used stops its lane in front of
/// it. Needs no broker.
/// Threads: the pipeline's.
class Intake {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Intake(Lanes& lanes, Ledger& ledger, Report& report, ConnectorModes modes = {})
      : decoder_{std::move(modes)}, lanes_{lanes}, ledger_{ledger}, report_{report} {}

  struct Record {
    debezium::RawRecord raw;
    std::int32_t partition = 0;
    RecordOffset offset;
  };
  /// How many partitions a topic has; nullopt: the brokers don't say.
  using CountPartitions = std::function<std::optional<int>(const std::string& topic)>;

  void accept(const Record& record, const CountPartitions& count_partitions, Time now);
  /// The partition can't be read on; `cause` is for the operator.
  void stop_at(const TopicPartition& partition, const std::string& cause, Time now);
  void forget_partition_counts() { partition_counts_.clear(); }

 private:
  enum class Place : std::uint8_t { in_order, without_order, not_known_yet };

  void keep(Batch& batch, Ledger::Entry& entry, const Record& record, debezium::Decoded& decoded);
  Place place_of_truncate(const std::string& topic, const CountPartitions& count_partitions);

  debezium::Decoder decoder_;
  Lanes& lanes_;
  Ledger& ledger_;
  Report& report_;
  std::map<std::string, int> partition_counts_;  ///< of topics that were truncated
};

}  // namespace lockstep::pipeline
