#pragma once

#include <string>

#include "lockstep/config/config.hpp"

namespace lockstep::daemon {

/// What `lockstepd dead-letters` is asked for.
struct DeadLettersRequest {
  std::string action;    ///< list, retry or discard
  std::string pipeline;  ///< empty: all that have dead letters
  std::string topic;     ///< empty: all
  std::string key;       ///< as list shows it; empty: all
};

/// Lists the rows that are parked behind a dead letter, or lets them go: retry applies what their
/// letters say, in order, discard does not. The daemon may run meanwhile. Prints a line for each.
/// False: something did not succeed.
bool dead_letters(const config::Config& config, const DeadLettersRequest& request);

}  // namespace lockstep::daemon
