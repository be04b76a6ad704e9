#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/http/message.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/pipeline/registry.hpp"

namespace lockstep::source {

/// Where one pipeline's changes come from.
struct PipelineSource {
  std::string url;                 ///< libpq's, never to be printed; empty: not told
  std::string signals;             ///< schema.table; empty: not told
  kafka::ConsumerConfig consumer;  ///< the pipeline's own
};

/// What is asked of the source itself: that all that is committed there be in the target, and that
/// a table be read anew.
///
/// *Waiting.* A marker is a message in the source's log (pg_logical_emit_message), which the
/// connector passes on among the changes, in their order. It writes in transactions of Kafka's, one
/// after the other; so once the marker can be read, all records before it are in the log, in every
/// topic, whether their own transaction's marker is there yet or not. The ends of the pipeline's
/// topics are taken then; once all before them is applied, so is all that was committed before the
/// marker. Without transactions of Kafka's the marker may overtake records of other partitions:
/// then waiting is refused.
///
/// Threads: two of its own, one that waits and one that asks the source. Bounds: 64 requests (the
/// server's), 10 min each, 3 s for the source, 10000 markers remembered. Kafka is read only while
/// somebody waits, and for a minute after.
class Source {
 public:
  /// `pipelines`: by name, all that there are. `registry` must outlive it.
  Source(std::map<std::string, PipelineSource> pipelines, pipeline::Registry& registry);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// GET and POST /wait, POST /pipelines/{name}/tables/{table}/resync. The Source must outlive
  /// them.
  std::vector<http::Route> routes();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::source
