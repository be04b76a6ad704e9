#pragma once

#include "lockstep/config/config.hpp"

namespace lockstep::daemon {

/// Asks Kafka and the targets, prints what the daemon would do on standard output. The newest row
/// of each topic is decoded and held against its target table, as applying it would. Changes
/// nothing, joins no group. Takes about 15 s for each pipeline at most. False if something is in
/// the way.
bool check(const config::Config& config);

}  // namespace lockstep::daemon
