#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/pipeline/status.hpp"

namespace lockstep::pipeline {

/// Holds a pipeline's batches back in their lanes until it is time for them. What it holds back is
/// neither applied nor committed: it is read again after a restart.
/// Threads: all functions from the pipeline's, which they must not hold up.
class Gate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  virtual ~Gate() = default;

  /// Before all else. `wake` is called, from any thread, when follow() has something to do.
  virtual void attach(std::function<void()> wake) = 0;
  /// All partitions that the pipeline has from now on.
  virtual void assigned(const std::vector<TopicPartition>& partitions, Time now) = 0;
  /// An event was read into its lane, perhaps not for the first time. `change`: nullptr if none
  /// could be made of it.
  virtual void came(const TopicPartition& partition, RecordOffset offset, const Change* change) = 0;
  /// Opens or shuts, by what has come, what is applied and how much the lanes hold. Call it before
  /// anything is handed over.
  virtual void follow(const Lanes& lanes, const Ledger& ledger, Time now) = 0;
  /// When follow() has something to do without anything else happening; nullopt: never.
  virtual std::optional<Time> next_at() const = 0;
  /// Batches of the topic may be handed over.
  virtual bool admits(std::string_view topic) const = 0;
  virtual GateStatus status() const = 0;
};

}  // namespace lockstep::pipeline
