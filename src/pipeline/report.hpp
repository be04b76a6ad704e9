#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/debezium/decoder.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/pipeline/gate.hpp"
#include "lockstep/pipeline/status.hpp"
#include "writers.hpp"

namespace lockstep::pipeline {

/// What a pipeline tells: counts, the log's lines about tables, the progress line, the status.
/// Threads: the pipeline's.
class Report {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using OnApplied = std::function<void(const TopicPartition&, NextOffset)>;

  Report(std::string pipeline, const Lanes& lanes, const Ledger& ledger, Time now,
         OnApplied on_applied = {})
      : pipeline_{std::move(pipeline)},
        lanes_{lanes},
        ledger_{ledger},
        on_applied_{std::move(on_applied)},
        told_at_{now},
        reminded_at_{now} {}

  void already_read() { ++counters_.already_read; }
  void skipped(std::string_view rule) { ++counters_.skipped[std::string{rule}]; }
  /// A record is passed by. It counts, and is told, again if it is read again.
  void letter(const Letter& letter);
  /// What the connector has lost: tells it once per column.
  void lost(std::string_view topic, const debezium::Loss& loss);
  void applied(std::size_t lane, const Batch& batch, Writers::Clock::duration took,
               const Spent& spent = {});
  /// A sink that is done with it later has it.
  void taken(const Batch& batch, Writers::Clock::duration took);
  void answered(std::size_t lane, const LateAnswer& answer);
  /// All before the offset is applied.
  void reached(const TopicPartition& partition, NextOffset next);
  /// Whether what the next record takes is to be measured.
  bool samples_next() noexcept { return ++records_seen_ % one_record_in == 0; }
  void sampled(Writers::Clock::duration fetch, Writers::Clock::duration decode);
  void stopped(std::string_view topic, std::string_view cause) const;
  /// A batch has come back from the target, which was busy.
  void retried() { ++counters_.retries; }
  /// The lane has begun to wait, or goes on waiting.
  void waits(std::size_t lane) const;
  /// A batch of a lane that had waited is applied.
  void goes_on(std::size_t lane, const Lane::Trouble& after, Time now) const;

  /// Now and then: the progress line, and what has been in trouble for long. `consumer` may be
  /// null.
  void tick(const kafka::Consumer* consumer, Time now);
  Time next_tick() const noexcept;
  void tell_progress(const kafka::Consumer* consumer, Time now);

  PipelineStatus status(const kafka::Consumer* consumer, const Writers& writers,
                        std::size_t assigned, Time now, const Gate* gate = nullptr);

 private:
  void count(std::size_t lane, std::size_t changes, const std::vector<CommitTime>& times);
  void done_with(std::size_t lane, const Slice& slice);

  struct Applied {
    std::uint64_t changes = 0;
    std::int64_t newest_ts_us = 0;
    std::uint64_t before = 0;  ///< changes when the progress line was last due
    double per_s = 0;
    DelayHistogram delay{delay_bounds};
  };
  /// A lane that was behind when the status was asked for.
  struct Behind {
    std::int64_t applied = 0;  ///< the sum of its partitions' positions
    Time since;
  };
  static constexpr std::uint64_t one_record_in = 16;

  void look_for_stalled(PipelineStatus& status, Time now);
  void remind(Time now) const;
  std::int64_t lag(const kafka::Consumer* consumer) const;

  const std::string pipeline_;
  const Lanes& lanes_;
  const Ledger& ledger_;
  const OnApplied on_applied_;
  Counters counters_;
  Counters told_;
  std::set<std::string> told_losses_;  ///< topic, column and what it is
  Time told_at_;
  Time reminded_at_;
  double changes_per_s_ = 0;
  std::int64_t newest_ts_us_ = 0;
  std::vector<Applied> applied_;  ///< by lane
  std::map<std::size_t, Behind> behind_;
  std::uint64_t records_seen_ = 0;
  Stages spent_;
  Stages told_spent_;
  Stages recent_;
  SizeHistogram batch_changes_{size_bounds};
  RecordHistogram record_decode_{record_bounds};
  SecondsHistogram batch_apply_{seconds_bounds};
  SecondsHistogram batch_commit_{seconds_bounds};
};

}  // namespace lockstep::pipeline
