#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/model/mutex.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/pipeline/pipeline.hpp"

namespace lockstep::pipeline {

/// What a pipeline is made of. Its sinks and gate are made anew whenever it is started.
struct Recipe {
  PipelineConfig config;
  std::function<std::vector<std::unique_ptr<Sink>>()> make_sinks;
  std::function<std::unique_ptr<Gate>()> make_gate{};  ///< empty: it has none
};

/// The pipelines of the process by name, each on a thread of its own. They can be started, stopped
/// and found at any time; one that ends by itself ends no other, and stays listed with its cause.
/// Threads: all functions from any.
class Registry {
 public:
  Registry() = default;
  ~Registry();  ///< stops all
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Errors: one of that name runs already.
  Result<Done, std::string> start(Recipe recipe);
  /// Asks it to stop, waits until it has and forgets it. Errors: no such name.
  Result<Done, std::string> stop(const std::string& name);
  /// Asks all to stop, then waits for all.
  void stop_all();
  /// The pipeline, also one that has ended; nullptr: no such name.
  std::shared_ptr<Pipeline> find(const std::string& name) const;
  /// Pipelines that have ended by themselves start again; stopped tables of the others are tried
  /// again (Command::Verb::retry).
  void retry();

  struct Overview {
    std::string name;
    bool running = false;
    std::string cause;  ///< why it ended by itself
    std::chrono::steady_clock::time_point last_sign_of_life;
  };
  std::vector<Overview> list() const;  ///< by name

 private:
  class Running;

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Running>> pipelines_ LOCKSTEP_GUARDED_BY(mutex_);
};

}  // namespace lockstep::pipeline
