#pragma once

#include <string_view>

#include "lockstep/config/error.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::config {

/// A URL that libpq takes. What it would refuse is refused here, since its messages quote what
/// they complain of, and that may be a part of a password. Errors: what is wrong, as the end of a
/// sentence that begins with what the URL is called; nothing of the URL is in it.
Result<Done, Error> check_postgres_url(std::string_view url);

}  // namespace lockstep::config
