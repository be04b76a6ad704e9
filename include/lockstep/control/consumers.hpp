#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/config/config.hpp"
#include "lockstep/http/message.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/pipeline/registry.hpp"

namespace lockstep::control {

/// Starts what runs for a pipeline. Errors: a name that runs already.
using StartPipeline = std::function<Result<Done, std::string>(const config::Pipeline&)>;

/// /consumer/…: pipelines that are started and stopped at run time, and kept in a file so that they
/// start with the daemon. Threads: any.
class Consumers {
 public:
  /// `config` and `pipelines` outlive it.
  Consumers(const config::Config& config, pipeline::Registry& pipelines, StartPipeline start);
  ~Consumers();

  /// Starts those that are kept. One that can't be started stays listed with the reason; a file
  /// that can't be read stays as it is, and nothing can be started until it is mended.
  void start_kept();

  /// They use this.
  std::vector<http::Route> routes();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::control
