#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/pipeline/registry.hpp"

namespace lockstep::http {

/// A pipeline as it was found, or why it could not be asked.
struct View {
  std::string name;
  bool running = false;
  std::string cause;  ///< why it ended by itself, or has not answered
  std::chrono::steady_clock::duration silent_for{};
  std::optional<pipeline::PipelineStatus> status;
};

/// All pipelines, each asked for at most `deadline`; by name.
std::vector<View> look_at(const pipeline::Registry& pipelines, std::chrono::milliseconds deadline);

/// What keeps the daemon from being healthy: each pipeline must get on, or have nothing to do.
/// Empty: it is. A table that an operator has paused is. Pure.
std::vector<std::string> unhealthy(const std::vector<View>& pipelines);

/// What keeps the pipelines from working at all. Empty: all can. Pure.
std::vector<std::string> unready(const std::vector<View>& pipelines);

}  // namespace lockstep::http
