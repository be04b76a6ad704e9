#include "answer.hpp"

namespace lockstep::control {

http::Response answer(int status, const Json& body) {
  return {.status = status,
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

http::Response no_content() {
  return {.status = 204, .body = {}};
}

http::Response kafka_error(const kafka::AdminError& error, int refused) {
  using Kind = kafka::AdminError::Kind;
  switch (error.kind) {
    case Kind::unavailable:
      return http::error(503, "Kafka does not answer", error.message);
    case Kind::missing:
      return http::error(404, "no such topic", "GET /topic/list lists them");
    case Kind::exists:
      return http::error(refused, "topic exists",
                         "PATCH /topic/update changes it, or choose another name");
    case Kind::refused:
      break;
  }
  return http::error(refused, "Kafka refuses", error.message);
}

std::string joined(const std::vector<std::string>& mistakes) {
  std::string all;
  for (const auto& one : mistakes) {
    if (!one.empty()) all += (all.empty() ? "" : "; ") + one;
  }
  return all;
}

std::string query_of(const http::Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? "" : found->second;
}

http::Response missing_parameter(int status, std::string_view name) {
  return http::error(status, "parameter missing",
                     "say which: add ?" + std::string{name} + "=… to the path");
}

}  // namespace lockstep::control
