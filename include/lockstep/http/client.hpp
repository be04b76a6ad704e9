#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "lockstep/http/message.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::http {

/// One call to a daemon at an address. `token`: what it asks for; empty: none. Errors: no
/// connection, or no answer within `deadline`.
Result<Response, std::string> call(const std::string& host, std::uint16_t port,
                                   const std::string& method, const std::string& target,
                                   const std::string& token, std::chrono::milliseconds deadline);

/// `text` as it may stand in the query of a target.
std::string in_query(const std::string& text);

}  // namespace lockstep::http
