#pragma once

#include <string>

namespace lockstep::postgres {

/// A connection string with what it, and libpq's environment variables, leave open.
std::string with_defaults(const std::string& url, const std::string& application_name);

}  // namespace lockstep::postgres
