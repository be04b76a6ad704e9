#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/http/feed.hpp"
#include "lockstep/http/message.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/model/position.hpp"

namespace lockstep::live {

struct LiveConfig {
  std::string brokers;
  std::map<std::string, std::string> properties;  ///< handed to librdkafka as they are
  std::string version;
  /// The topics that are to be seen, and the pipelines that read them.
  std::function<std::map<std::string, std::vector<std::string>>()> topics;
};

/// What comes in the topics, as it comes, and how far pipelines have applied it, for people to look
/// at: texts for a Feed, and routes to look into the log.
///
/// Reads by itself, in no group, and only while somebody looks: from the logs' ends on. More than
/// can be looked at is jumped over, and counted: at most 10 changes of a topic, and 20 in all, go
/// into a text; there are ten texts a second. What a busy table sends takes nothing from a quiet
/// one.
/// Threads: one of its own; applied() from any. Errors: logged, and tried again.
class Live {
 public:
  Live(LiveConfig config, std::shared_ptr<http::Feed> feed);
  ~Live();
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  /// All of the partition before `next` is committed on the pipeline's target. Never waits.
  void applied(const std::string& pipeline, const TopicPartition& partition, NextOffset next);

  /// GET /topics and /topics/{topic}/messages. The Live must outlive them.
  std::vector<http::Route> routes();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::live
