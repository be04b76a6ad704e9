#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "lockstep/http/message.hpp"
#include "lockstep/pipeline/registry.hpp"
#include "lockstep/source/source.hpp"

namespace lockstep::source {

struct Wait {
  std::string pipeline;
  std::string marker;
  std::chrono::steady_clock::time_point begun;
  std::chrono::steady_clock::time_point until;
  http::Reply reply;
};

/// Those who wait for a marker, each until it and all before it is in the target, or until its
/// time is over, or until it is clear that waiting does not help.
/// Threads: add() from any; one of its own reads Kafka and asks the pipelines.
class Waits {
 public:
  Waits(const std::map<std::string, PipelineSource>& pipelines, pipeline::Registry& registry);
  ~Waits();
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;

  void add(Wait wait);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::source
