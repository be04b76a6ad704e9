#pragma once

#include <chrono>
#include <string>

#include "lockstep/config/config.hpp"

namespace CLI {
class App;
}

namespace lockstep::daemon {

/// What `lockstepd wait` is asked for.
struct WaitRequest {
  std::string pipeline;  ///< empty: the only one
  std::string marker;    ///< empty: one is written first
  std::chrono::milliseconds timeout{std::chrono::seconds{30}};
};

/// The options that fill the request.
void add_options(CLI::App& command, WaitRequest& request);

/// Asks the daemon that runs with this configuration, over HTTP, to wait until all that is
/// committed at the source is in the target. False: it is not, and why is on standard error.
bool wait(const config::Config& config, const WaitRequest& request);

}  // namespace lockstep::daemon
