#pragma once

#include <string>
#include <vector>

#include "lockstep/http/message.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/pipeline/registry.hpp"

namespace lockstep::http {

/// The topic that `name` means: its own name, or schema.table of the source. Errors: the answer to
/// a caller who has named none of the pipeline's, or several.
Result<std::string, Response> find_topic(const pipeline::PipelineStatus& status,
                                         const std::string& name);

/// /healthz, /readyz, /status, /metrics, and what an operator can tell the pipelines. `pipelines`
/// must outlive them.
std::vector<Route> pipeline_routes(pipeline::Registry& pipelines, const std::string& version);

}  // namespace lockstep::http
