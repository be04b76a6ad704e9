#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "lockstep/http/health.hpp"

namespace lockstep::http {

/// What GET /status answers: docs/operation.md lists the members. Pure.
std::string status_json(const std::vector<View>& pipelines, const std::string& version,
                        std::chrono::seconds uptime);

}  // namespace lockstep::http
