#pragma once

#include "lockstep/config/config.hpp"

namespace lockstep::daemon {

/// Asks Kafka and the targets, prints what the daemon would do on standard output. Changes nothing.
/// False if something is in the way.
bool check(const config::Config& config);

}  // namespace lockstep::daemon
