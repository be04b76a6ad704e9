#pragma once

#include <string>
#include <vector>

#include "lockstep/http/health.hpp"

namespace lockstep::http {

/// The pipelines in Prometheus' text format, version 0.0.4. docs/operation.md lists the metrics.
std::string metrics_text(const std::vector<View>& pipelines, const std::string& version);

}  // namespace lockstep::http
