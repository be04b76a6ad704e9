#include "wait.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "lockstep/config/duration.hpp"
#include "lockstep/http/client.hpp"

namespace lockstep::daemon {

namespace {

using std::chrono::seconds;
using Json = nlohmann::json;

// What the daemon itself may take beyond the time that it is given: Kafka, and the source.
constexpr seconds beyond_timeout{10};

bool fail(const std::string& text) {
  std::cerr << "error: " << text << "\n";
  return false;
}

/// Whom to call that listens at this address.
std::string reachable(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  return host == "::" ? "::1" : host;
}

std::string text_of(const http::Response& response) {
  const Json json = Json::parse(response.body, nullptr, false);
  if (!json.is_object() || !json.contains("error")) {
    return "HTTP " + std::to_string(response.status) + ": is it lockstepd that listens there?";
  }
  return json.value("error", "") + ": " + json.value("detail", "");
}

}  // namespace

void add_options(CLI::App& command, WaitRequest& request) {
  command.add_option("--pipeline", request.pipeline, "which; needed where there are several")
      ->type_name("NAME");
  command
      .add_option("--marker", request.marker,
                  "wait for this one, written at the source by\n"
                  "pg_logical_emit_message(true, 'lockstep.wait', MARKER), instead of writing one")
      ->type_name("TEXT");
  const auto read_timeout = [&request](const std::string& text) {
    const auto timeout = config::to_duration(text);
    if (!timeout) throw CLI::ValidationError{"--timeout", text + " " + timeout.error().message};
    request.timeout = *timeout;
  };
  command
      .add_option_function<std::string>("--timeout", read_timeout,
                                        "give up after this time, at most 10m (default 30s)")
      ->type_name("TIME");
}

bool wait(const config::Config& config, const WaitRequest& request) {
  const auto& http = config.http;
  if (http.host.empty()) {
    return fail("http.listen is \"\": the daemon is asked over HTTP, give it an address");
  }
  std::string target = "/wait?timeout=" + std::to_string(request.timeout.count()) + "ms";
  if (!request.pipeline.empty()) target += "&pipeline=" + http::in_query(request.pipeline);
  if (!request.marker.empty()) target += "&marker=" + http::in_query(request.marker);
  const auto token = http.tokens.empty() ? std::string{} : http.tokens.begin()->second;
  const auto answer =
      http::call(reachable(http.host), http.port, request.marker.empty() ? "POST" : "GET", target,
                 token, request.timeout + beyond_timeout);
  if (!answer) return fail("lockstepd does not answer: " + answer.error());
  if (answer->status != 200) return fail(text_of(*answer));
  const Json json = Json::parse(answer->body, nullptr, false);
  std::cout << json.value("pipeline", "")
            << ": all is in the target, waited_ms=" << json.value("waited_ms", 0) << "\n";
  return true;
}

}  // namespace lockstep::daemon
