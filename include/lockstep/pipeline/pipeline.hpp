#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "lockstep/batch/limits.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/kafka/producer.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/model/sink.hpp"
#include "lockstep/pipeline/gate.hpp"
#include "lockstep/pipeline/status.hpp"

namespace lockstep::pipeline {

/// Where records go that are passed by.
struct DeadLetters {
  kafka::ProducerConfig producer;
  /// Those that can't be used go there by themselves: so many for an error, of one table; more stop
  /// it. nullopt: they stop their tables; only what is skipped by command goes there.
  std::optional<std::size_t> per_minute{};
};

struct PipelineConfig {
  std::string name;
  kafka::ConsumerConfig consumer;
  BatchLimits limits;
  DeadLetters dead_letters{};
  ConnectorModes connector{};
  /// The sink wants what has happened, not how the rows are in the end: Batch::origins, each delete
  /// of a row that gets another key, no tombstones.
  bool keeps_origins = false;
  /// The sink keeps positions. If not, the group's offsets are all there is: after a crash up to
  /// the last 500 ms come again.
  bool has_positions = true;
  /// All of the partition before the offset is committed on the target: called on the pipeline's
  /// thread, which it must not hold up.
  std::function<void(const TopicPartition&, NextOffset)> on_applied{};
};

/// Topics → decode → lane → writers → sinks, in a consumer group of its own.
///
/// Order: a topic's batches reach a sink in partition order, one transaction each, the position
/// moved with them; offsets go to Kafka after the sink has answered, never before. Topics are
/// independent: each has its lane (batch/lane.hpp), and the lanes share the sinks fairly.
/// Threads: run() polls and decodes on the calling thread, the one owner of lanes and positions;
/// each sink has a thread of its own. What is buffered is at most 2 × limits.max_bytes, plus a
/// block (64 KiB) or one record; beyond that partitions are paused.
/// Errors: a record that can't be decoded, or a batch that the sink refuses, stops its table (the
/// topic) until retried, or until the record is skipped by command; nothing is lost, its position
/// stays before the cause. With dead_letters.per_minute the record is passed by instead, and later
/// ones of its key are parked behind it. A table that is busy is tried again with its own backoff.
/// The other tables go on. A sink that is unavailable is tried again until it answers.
class Pipeline {
 public:
  /// At least one sink. `gate`: holds batches back (gate.hpp); nullptr: none does.
  Pipeline(PipelineConfig config, std::vector<std::unique_ptr<Sink>> sinks,
           std::unique_ptr<Gate> gate = nullptr);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Works until `stop` is requested, then finishes the running transactions, commits their offsets
  /// and leaves the group: at most 9 s together. Errors: what makes going on impossible. Once.
  Result<Done, std::string> run(const std::stop_token& stop);

  // From any thread, while run() works:

  /// Errors: it does not run, or has not answered within `deadline`.
  Result<PipelineStatus, std::string> status(std::chrono::milliseconds deadline);
  /// Returns when it is done. Errors: as above, no such topic, or the topic's state does not allow
  /// it.
  Result<Done, CommandError> tell(Command command, std::chrono::milliseconds deadline);
  /// When run() last went round its loop. Silence for long means that it hangs.
  std::chrono::steady_clock::time_point last_sign_of_life() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::pipeline
