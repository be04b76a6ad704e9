#pragma once

#include <string>
#include <string_view>

#include "lockstep/config/config.hpp"

namespace lockstep::config {

/// `raw` with each of these replaced (what they expand to is not expanded again):
///
///     ${NAME}             the environment variable; error: it is not set
///     ${NAME:-default}    the same, or the default if it is not set or empty
///     ${file:/abs/path}   the file without its last newline; error: it can't be read
///
/// Error messages hold names and paths, neither values nor the text around.
Result<std::string, Errors> expand(std::string_view raw, const Environment& environment);

}  // namespace lockstep::config
