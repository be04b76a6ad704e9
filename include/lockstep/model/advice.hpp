#pragma once

#include <string>

namespace lockstep {

/// How messages to the operator end that ask for something to be mended: what makes the tables that
/// have stopped try again.
inline const std::string then_reload = "then reload: systemctl reload lockstepd, or SIGHUP";

}  // namespace lockstep
