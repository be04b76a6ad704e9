#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/batch/letterbox.hpp"
#include "lockstep/debezium/decoder.hpp"
#include "lockstep/pipeline/gate.hpp"
#include "report.hpp"

namespace lockstep::pipeline {

/// Records on their way from Kafka into the lanes. What can't be used stops its lane in front of
/// it, or, where the letterbox is open, becomes a letter of its batch; so does what is skipped.
/// Needs no broker.
/// Threads: the pipeline's.
class Intake {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `keeps_origins`: of what has happened, not of how the rows are in the end, the batches tell:
  /// with the record that each change was made of, each delete, and no tombstone. The gate is told
  /// of each change that comes, but for tombstones.
  Intake(debezium::Decoder& decoder, Lanes& lanes, Ledger& ledger, Letterbox& letterbox,
         Report& report, bool keeps_origins = false, Gate* gate = nullptr)
      : decoder_{decoder},
        lanes_{lanes},
        ledger_{ledger},
        letterbox_{letterbox},
        report_{report},
        keeps_origins_{keeps_origins},
        gate_{gate} {}

  struct Record {
    debezium::RawRecord raw;
    std::int32_t partition = 0;
    RecordOffset offset;
  };
  /// How many partitions a topic has; nullopt: the brokers don't say.
  using CountPartitions = std::function<std::optional<int>(const std::string& topic)>;

  void accept(const Record& record, const CountPartitions& count_partitions, Time now);
  /// The log ends there. Where records were not wanted it tells nothing: what was dropped is still
  /// to be read.
  void end_reached(const TopicPartition& partition, NextOffset end);
  /// The partition can't be read on; `cause` is for the operator.
  void stop_at(const TopicPartition& partition, const std::string& cause, Time now);
  void forget_partition_counts() { partition_counts_.clear(); }

 private:
  enum class Place : std::uint8_t { in_order, without_order, not_known_yet };

  /// Why a record is a letter.
  struct Fault {
    Letter::Stage stage;
    std::string cause;
    std::string row_key{};    ///< empty: not known
    std::string no_letter{};  ///< why its table stops all the same; empty: it does not
  };

  Origin origin_of(const Record& record, Arena& arena) const;
  /// What an operator has skipped.
  void pass_by(std::size_t lane, Batch& batch, Ledger::Entry& entry, const Record& record,
               const debezium::Decoded& decoded, const std::string& cause,
               const CountPartitions& count_partitions, Time now);
  /// The batch takes the record, whatever it is.
  Slice& advance(Batch& batch, Ledger::Entry& entry, const Record& record);
  void keep(Batch& batch, Ledger::Entry& entry, const Record& record, debezium::Decoded& decoded);
  void stop(std::size_t lane, const Record& record, const std::string& cause, Time now);

  Fault fault_of_bad(const Record& record, const debezium::BadRecord& bad, Arena& arena);
  std::optional<Fault> fault_of(const Record& record, const debezium::Decoded& decoded,
                                Arena& arena);
  /// What keeps it from being one; nullopt: nothing, it is parked.
  std::optional<std::string> refusal_of(const Record& record, const Fault& fault, Time now);
  void put_letter(Batch& batch, Ledger::Entry& entry, const Record& record, const Fault& fault);
  void unpark(Batch& batch, const std::string& topic);
  Place place_of_change(const std::string& topic, const CountPartitions& count_partitions);
  /// The brokers will answer: the record is read again, and asked about again, then.
  void ask_again(std::size_t lane, const Record& record, std::string_view what, Time now);

  debezium::Decoder& decoder_;
  Lanes& lanes_;
  Ledger& ledger_;
  Letterbox& letterbox_;
  Report& report_;
  const bool keeps_origins_;
  Gate* const gate_;                             ///< nullptr: none
  std::map<std::string, int> partition_counts_;  ///< of topics where it mattered
};

}  // namespace lockstep::pipeline
