#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/batch/lane.hpp"
#include "lockstep/model/destination.hpp"
#include "lockstep/model/histogram.hpp"
#include "lockstep/model/position.hpp"

namespace lockstep::pipeline {

/// Since the pipeline started.
struct Counters {
  std::uint64_t records = 0;  ///< applied or skipped
  std::uint64_t changes = 0;  ///< applied
  std::uint64_t batches = 0;
  std::uint64_t retries = 0;       ///< batches that came back because their table was busy
  std::uint64_t already_read = 0;  ///< records with a lower offset than wanted: dropped
  std::uint64_t lossy_values = 0;  ///< applied, and not as they were at the source
  std::map<std::string, std::uint64_t> skipped;  ///< by rule: debezium::name(SkipRule)
  std::uint64_t dead_letters = 0;                ///< records that were passed by for an error
  std::uint64_t parked = 0;                      ///< sound ones that were passed by behind those
};

/// Where the time goes, in seconds. The reader's: fetch and decode, estimated from one record in
/// sixteen. The batches': wait, from the first record until a writer has it. The writers', of all
/// together: the rest.
struct Stages {
  double fetch = 0;   ///< taking records from Kafka's client
  double decode = 0;  ///< and putting them into batches
  double wait = 0;
  double lock = 0;    ///< for the position: an owner before us still works
  double sql = 0;     ///< writing rows
  double commit = 0;  ///< until they are durable
};

struct PartitionStatus {
  std::int32_t partition = 0;
  std::optional<NextOffset> read;
  std::optional<NextOffset> applied;
  /// All before it is applied, or is no record: `applied`, or behind it the log's end, if that was
  /// reached since.
  std::optional<NextOffset> passed{};
  std::optional<NextOffset> end;  ///< of the log, when it was last fetched from
  std::int64_t lag = 0;           ///< records
};

struct LaneStatus {
  std::string topic;
  Lane::State state = Lane::State::reading;
  std::string cause;                      ///< of waiting or stopped
  std::optional<RecordPlace> stopped_by;  ///< the record that has stopped it, where it is one
  double trouble_s = 0;
  int failures = 0;  ///< tries that failed in a row
  std::size_t bytes = 0;
  std::size_t batches = 0;                   ///< full ones that wait for a writer
  std::optional<double> in_flight_s;         ///< how long a writer has been at one
  std::uint64_t changes = 0;                 ///< applied
  double changes_per_s = 0;                  ///< over the last seconds
  std::optional<std::int64_t> newest_ts_us;  ///< source commit of the newest applied change
  /// From the source's commit to the target's, of each change.
  DelayHistogram delay{delay_bounds};
  /// How long it has been behind without getting on, as far as status() was asked for meanwhile.
  double stalled_s = 0;
  bool gathers = false;                     ///< what it holds back is not due yet
  std::vector<PartitionStatus> partitions;  ///< that this daemon has
};

/// What a pipeline that loads in one go has gathered, and when it does so.
struct GateStatus {
  using Time = std::chrono::system_clock::time_point;

  std::uint64_t count = 0;  ///< events for the next load
  std::uint64_t max_event = 0;
  std::chrono::milliseconds max_time{};
  std::optional<Time> window_start{};  ///< when the first of them came
  bool is_loading = false;
  struct Load {
    Time begun;
    std::optional<Time> ended;  ///< nullopt: it runs
    std::uint64_t events = 0;
  };
  std::optional<Load> load{};  ///< that runs, or the last one
  /// Why the place where it keeps that can't be used; empty: it can.
  std::string store_outage{};
  struct Error {
    std::string cause;
    Time at;
  };
  std::optional<Error> last_error{};  ///< of that place
};

/// What a pipeline was like at one moment between two of its steps.
struct PipelineStatus {
  std::string name;
  std::size_t assigned = 0;  ///< partitions
  bool kafka_reachable = false;
  /// Why a connection to the target has failed last; empty: one has answered since.
  std::string target_outage;
  std::size_t writers = 0;
  std::size_t busy_writers = 0;
  double longest_busy_s = 0;  ///< how long a writer has been at a transaction
  double unanswered_s = 0;    ///< for how long the target, asked for a sign of life, has given none
  std::size_t buffered_bytes = 0;
  std::int64_t lag = 0;  ///< records
  double lag_s = 0;  ///< since the source committed the newest applied change; 0: nothing behind
  double changes_per_s = 0;
  Counters counters;
  Stages spent;  ///< since it started
  Stages
      recent;  ///< in a second of the last ones: a part of 1, of the writers' a part of `writers`
  SizeHistogram batch_changes{size_bounds};
  RecordHistogram record_decode{record_bounds};  ///< of one record in sixteen
  SecondsHistogram batch_apply{seconds_bounds};  ///< of a transaction, in all
  SecondsHistogram batch_commit{seconds_bounds};
  std::vector<LaneStatus> lanes;
  std::optional<GateStatus> gate;
  std::optional<DestinationStatus> destination;
};

/// Of a pipeline that calls one: its outage is the target's, and what it has is no table that
/// nothing is delivered of, however long the calls take. Pure.
void add_destination(PipelineStatus& status, DestinationStatus destination);

/// In one line: why it is behind, or has been busy with lately. Pure.
std::string bottleneck(const PipelineStatus& status);

/// What an operator can tell a pipeline, about one topic or (empty, but not to skip) all of them.
struct Command {
  enum class Verb : std::uint8_t {
    pause,   ///< hand nothing more over, forget what is held; the transaction under way ends first
    resume,  ///< go on where the target stands
    retry,   ///< stopped ones start again from where the target stands, waiting ones try at once
    skip,    ///< the record that has stopped it, and no other, becomes a letter; it goes on behind
  };
  Verb verb = Verb::retry;
  std::string topic;
  std::optional<RecordPlace> record{};  ///< to skip: only if it is this one
};

/// Why a command was not done.
struct CommandError {
  enum class Kind : std::uint8_t {
    no_answer,  ///< the pipeline does not run, or has not answered in time: it may do it yet
    refused,    ///< there is nothing to do it to, and nothing has changed
    failed,     ///< it was tried, and the topic stands as it stood
  };
  std::string message;
  Kind kind = Kind::no_answer;
};

std::string_view name(Lane::State state);

}  // namespace lockstep::pipeline
