#pragma once

#include <string>
#include <vector>

#include "lockstep/http/message.hpp"
#include "lockstep/pipeline/registry.hpp"

namespace lockstep::http {

/// /healthz, /readyz, /status, /metrics, and what an operator can tell the pipelines. `pipelines`
/// must outlive them.
std::vector<Route> pipeline_routes(pipeline::Registry& pipelines, const std::string& version);

}  // namespace lockstep::http
