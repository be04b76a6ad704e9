#pragma once

#include <vector>

#include "lockstep/http/message.hpp"

namespace lockstep::http {

/// The live page: / and the files that it asks for. It gets all else from the other routes. And
/// /openapi.json, which describes those, with /docs, which shows it.
std::vector<Route> page_routes();

}  // namespace lockstep::http
