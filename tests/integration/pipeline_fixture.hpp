#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "eventually.hpp"
#include "kafka.hpp"
#include "lockstep/model/sink.hpp"
#include "lockstep/pipeline/pipeline.hpp"

namespace lockstep::test {

/// What the sinks of a test have applied; outlives them.
struct Applied {
  std::mutex mutex;
  Positions positions;
  std::map<TopicPartition, SourceTables> tables;
  std::map<std::string, std::string> rows;                  ///< "table/id" to v
  std::map<std::string, std::vector<std::string>> history;  ///< all that each row was given
  std::size_t changes = 0;
  std::size_t largest_batch = 0;
  int attempts = 0;
  int position_reads = 0;
  bool torn = false;  ///< a batch did not begin where the last applied one ended
  /// Asked before each attempt; the answer nullopt lets it through.
  std::function<std::optional<SinkError>(const Batch&, int attempt)> refuse;
};

/// Says no at moments that a database can't be made to choose, and keeps what it was given.
class KeepingSink : public Sink {
 public:
  explicit KeepingSink(Applied& applied) : applied_{applied} {}

  Result<SinkPositions, SinkError> positions(
      const std::vector<TopicPartition>& partitions) override;
  Result<Done, SinkError> apply(const Batch& batch) override;

 private:
  Applied& applied_;
};

std::vector<std::unique_ptr<Sink>> keeping_sinks(Applied& applied, int count = 2);

/// Topics of the test's own, NAME.public.TABLE, and pipelines that run in threads.
struct PipelineFixture {
  explicit PipelineFixture(const std::string& test,
                           const std::vector<std::string>& tables = {"a", "b"}, int partitions = 1);
  ~PipelineFixture() { stop(); }

  std::string topic(const std::string& table) const { return name + ".public." + table; }
  void create_topic(const std::string& table) { broker.create_topic(topic(table), partitions); }
  /// In partition id % partitions.
  void produce(const std::string& table, int id, const std::string& v);
  void produce_truncate(const std::string& table);

  /// A pipeline and its thread.
  class Running {
   public:
    explicit Running(pipeline::PipelineConfig config, std::vector<std::unique_ptr<Sink>> sinks);
    ~Running() { stop(); }
    /// Also once it has ended by itself.
    void stop();

    pipeline::Pipeline pipeline;
    std::atomic<bool> ended{false};
    std::string cause;  ///< once ended: why, if it was not asked to

   private:
    std::jthread thread_;
  };
  pipeline::PipelineConfig config() const;
  /// Another member of the group, with this group.instance.id.
  std::unique_ptr<Running> join(const std::string& id);

  void start();
  void stop();
  pipeline::Pipeline& pipeline() const { return running->pipeline; }
  // Both throw if there is none: eventually() takes that for "not yet".
  pipeline::PipelineStatus status() const;
  pipeline::LaneStatus lane(const std::string& table) const;
  Result<Done, pipeline::CommandError> tell(pipeline::Command::Verb verb,
                                            const std::string& table = "");

  void await_rows(std::size_t count);
  void await_committed(const std::string& table, std::int64_t offset, int partition = 0);
  void await_state(const std::string& table, Lane::State state);
  /// Every refusal is of batches of this table, until mend().
  void refuse(const std::string& table, const SinkError& error);
  void mend();

  const std::string name;
  const int partitions;
  Kafka broker;
  BatchLimits limits;
  std::vector<std::string> topics;
  std::map<std::string, std::string> properties;
  Applied applied;
  std::unique_ptr<Running> running;
  bool ended_well = false;
};

}  // namespace lockstep::test
