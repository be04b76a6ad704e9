#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lockstep/config/config.hpp"

namespace lockstep::config {

/// A pipeline of one topic, as it is asked for at run time.
struct Consumer {
  enum class Job : std::uint8_t {
    sync,     ///< a threshold sink
    replica,  ///< a postgres sink
    console,
    webhook,  ///< one route, for all changes
  };
  std::string id;  ///< the pipeline's name
  std::string topic;
  Job job = Job::replica;
  std::string connection;  ///< one of Config::connections; webhook: a URL of the web. console: none
  std::optional<std::int64_t> max_event;         ///< of sync
  std::optional<std::chrono::seconds> max_time;  ///< of sync
};

/// Errors: all mistakes, each "field: what is wrong, what was expected", with the fields' names of
/// POST /consumer/start.
Result<Pipeline, Errors> to_pipeline(const Consumer& consumer, const Config& config);

}  // namespace lockstep::config
