#pragma once

#include <string>
#include <string_view>

#include "lockstep/config/config.hpp"

namespace lockstep::daemon {

/// What `lockstepd dead-letters` is asked for.
struct DeadLettersRequest {
  std::string action;    ///< list, retry or discard
  std::string pipeline;  ///< empty: all that have dead letters
  std::string topic;     ///< empty: all
  std::string key;       ///< as list shows it; empty: all

  bool wants_all() const noexcept { return topic.empty() && key.empty(); }
  bool wants(std::string_view of_topic, std::string_view row_key) const noexcept {
    return (topic.empty() || of_topic == topic) && (key.empty() || row_key == key);
  }
};

/// Lists the rows that are parked behind a dead letter, or lets them go: retry applies what their
/// letters say, in order, discard does not. The daemon may run meanwhile. Prints a line for each.
/// False: something did not succeed, or the topic or key that was asked for has none.
bool dead_letters(const config::Config& config, const DeadLettersRequest& request);

}  // namespace lockstep::daemon
