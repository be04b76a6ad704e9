#pragma once

#include <chrono>
#include <string_view>

#include "lockstep/config/error.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::config {

/// 20ms, 5s, 1m. Errors: what was expected, as the end of a sentence that begins with the text.
Result<std::chrono::milliseconds, Error> to_duration(std::string_view text);

}  // namespace lockstep::config
