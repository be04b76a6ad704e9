#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/debezium/decoder.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/pipeline/status.hpp"
#include "writers.hpp"

namespace lockstep::pipeline {

/// What a pipeline tells: counts, the log's lines about tables, the progress line, the status.
/// Threads: the pipeline's.
class Report {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Report(std::string pipeline, const Lanes& lanes, const Ledger& ledger, Time now)
      : pipeline_{std::move(pipeline)},
        lanes_{lanes},
        ledger_{ledger},
        told_at_{now},
        reminded_at_{now} {}

  void already_read() { ++counters_.already_read; }
  void skipped(std::string_view rule) { ++counters_.skipped[std::string{rule}]; }
  /// A record is passed by. It counts, and is told, again if it is read again.
  void letter(const Letter& letter);
  /// What the connector has lost: tells it once per column.
  void lost(std::string_view topic, const debezium::Loss& loss);
  void applied(std::size_t lane, const Batch& batch, Writers::Clock::duration took);
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
                        std::size_t assigned, Time now) const;

 private:
  struct Applied {
    std::uint64_t changes = 0;
    std::int64_t newest_ts_us = 0;
    std::uint64_t before = 0;  ///< changes when the progress line was last due
    double per_s = 0;
  };

  void remind(Time now) const;
  std::int64_t lag(const kafka::Consumer* consumer) const;

  const std::string pipeline_;
  const Lanes& lanes_;
  const Ledger& ledger_;
  Counters counters_;
  Counters told_;
  std::set<std::string> told_losses_;  ///< topic, column and what it is
  Time told_at_;
  Time reminded_at_;
  double changes_per_s_ = 0;
  std::int64_t newest_ts_us_ = 0;
  std::vector<Applied> applied_;  ///< by lane
};

}  // namespace lockstep::pipeline
