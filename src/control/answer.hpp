#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/http/message.hpp"
#include "lockstep/kafka/admin.hpp"

namespace lockstep::control {

using Json = nlohmann::ordered_json;

http::Response answer(int status, const Json& body);
http::Response no_content();

/// Kafka has not answered, or won't: 503, 404, or `refused`.
http::Response kafka_error(const kafka::AdminError& error, int refused);

/// All of them in one text, but for those that are empty.
std::string joined(const std::vector<std::string>& mistakes);

/// A parameter of the query that has to be there; an empty text: it is not.
std::string query_of(const http::Request& request, const std::string& name);
http::Response missing_parameter(int status, std::string_view name);

}  // namespace lockstep::control
