#pragma once

#include <vector>

#include "dead_letters.hpp"
#include "lockstep/config/config.hpp"
#include "lockstep/postgres/parked.hpp"

namespace lockstep::daemon {

/// show: the letters of these rows, as they are in the dead-letter topic. list with json: the rows,
/// an object a line. False: the letters can't be read.
bool show_letters(const config::Config& config, const config::Pipeline& pipeline,
                  const std::vector<postgres::ParkedRow>& rows, const DeadLettersRequest& request);

}  // namespace lockstep::daemon
