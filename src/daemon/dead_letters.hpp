#pragma once

#include <string>
#include <string_view>

#include "lockstep/config/config.hpp"

namespace CLI {
class App;
}

namespace lockstep::daemon {

/// What `lockstepd dead-letters`, or the tool `dead_letters`, is asked for.
struct DeadLettersRequest {
  std::string action;    ///< list, show, retry or discard
  std::string pipeline;  ///< empty: all that have dead letters
  std::string topic;     ///< empty: all
  std::string key;       ///< as list shows it; empty: all
  bool all = false;      ///< retry or discard without one of these is meant
  bool json = false;     ///< list and show: an object a line

  bool wants_all() const noexcept { return topic.empty() && key.empty(); }
  bool wants(std::string_view of_topic, std::string_view row_key) const noexcept {
    return (topic.empty() || of_topic == topic) && (key.empty() || row_key == key);
  }
};

/// The options that fill the request. An action that lacks its rows is a CLI::ParseError.
void add_options(CLI::App& command, DeadLettersRequest& request);

/// Lists the rows that are parked behind a dead letter, shows their letters, or lets them go: retry
/// applies what the letters say, in order, discard does not. The daemon may run meanwhile. Prints a
/// line for each. False: something did not succeed, or the topic or key that was asked for has
/// none.
bool dead_letters(const config::Config& config, const DeadLettersRequest& request);

}  // namespace lockstep::daemon
