#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "lockstep/batch/limits.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep::pipeline {

struct PipelineConfig {
  std::string name;
  kafka::ConsumerConfig consumer;
  BatchLimits limits;
};

/// Topics → decode → batch → one sink, in a consumer group of its own.
///
/// Order: a table's batches reach the sink in partition order, one transaction each, its position
/// moved with them; offsets go to Kafka after the sink has answered, never before.
/// Threads: run() polls and decodes on the calling thread; the sink has a thread of its own, fed
/// through a queue. What is buffered between them is at most 2 × limits.max_bytes, plus one batch
/// of a single oversized record; beyond that the partitions are paused.
/// Errors: a record that can't be decoded, or a batch that the sink refuses, stops its table (the
/// topic) until the daemon is restarted; nothing is lost, its position stays before the cause. The
/// other tables go on. A sink that is unavailable is tried again until it answers.
class Pipeline {
 public:
  Pipeline(PipelineConfig config, std::unique_ptr<Sink> sink);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Works until `stop` is requested, then finishes the running transaction, commits its offsets
  /// and leaves the group: at most 9 s together. Errors: what makes going on impossible.
  Result<Done, std::string> run(const std::stop_token& stop);

  /// When run() last went round its loop; any thread may ask. Silence for long means it hangs.
  std::chrono::steady_clock::time_point last_sign_of_life() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::pipeline
