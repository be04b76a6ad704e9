#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>

#include "body.hpp"
#include "connect.hpp"
#include "lockstep/control/services.hpp"
#include "settings.hpp"

namespace lockstep::control {

namespace {

using http::Access;
using http::Request;
using http::Response;
using http::Waits;
using std::chrono::milliseconds;

constexpr milliseconds look_deadline{5000};
// Connect asks the source's database whether it can be used.
constexpr milliseconds change_deadline{15'000};
constexpr milliseconds kafka_deadline{3000};

Response unreachable(const std::string& cause) {
  return http::error(503, "Connect does not answer", cause);
}

Response no_connector() {
  return http::error(404, "no such connector", "GET /debezium/list/ lists them");
}

/// What nobody who calls us has brought about.
Response failed(const Connect::Answer& answer) {
  return http::error(500, "Connect fails",
                     "its answer is " + std::to_string(answer.status) + ": " + answer.message +
                         "; its log says more");
}

/// Jetty answers in HTML to names that it takes for no part of a path.
bool is_missing(const Connect::Answer& answer) {
  return answer.status == 404 || (answer.status == 400 && answer.body.is_null());
}

Json tasks_of(const Json& status) {
  Json tasks = Json::array();
  if (!status.is_object() || !status.contains("tasks")) return tasks;
  for (const auto& task : status["tasks"]) {
    Json shown{{"id", task.value("id", 0)}, {"state", task.value("state", "UNASSIGNED")}};
    if (task.contains("trace")) shown["trace"] = task["trace"];
    tasks.push_back(std::move(shown));
  }
  return tasks;
}

/// Connect tells it a moment after the connector is there.
std::string state_of(const Json& status) {
  if (!status.is_object() || !status.contains("connector")) return "UNASSIGNED";
  return status["connector"].value("state", "UNASSIGNED");
}

Settings settings_of(const Json& connector) {
  Settings settings;
  if (!connector.is_object() || !connector.contains("config")) return settings;
  for (const auto& [name, value] : connector["config"].items()) {
    settings[name] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return settings;
}

class Connectors {
 public:
  explicit Connectors(const Services& services)
      : services_{services}, connect_{services.connect_url} {}

  Response start(const Request& request) {
    const auto body = Body::parse(
        request.body, {{"name", Field::Kind::text, true}, {"config", Field::Kind::object, true}});
    if (!body) return body.error();
    const auto name = body->text("name");
    if (!is_connector_name(name)) {
      return http::error(400, "bad name",
                         "a connector's name is 1 to 200 letters, digits, dots, _ or -");
    }
    auto settings = to_settings(body->at("config"));
    if (!settings) return http::error(400, "bad config", joined(settings.error()));
    if (const auto own = settings->find("name"); own != settings->end() && own->second != name) {
      return http::error(400, "two names", "config has another name: leave it out there");
    }
    if (says_how_to_make_topics(*settings) || !brokers_make_topics()) {
      let_connect_make_topics(*settings);
    }
    spdlog::info("making a connector connector={}", name);
    const auto answered = connect_.call(
        "POST", "/connectors", Json{{"name", name}, {"config", *settings}}, change_deadline);
    if (!answered) return unreachable(answered.error());
    if (answered->status == 409) {
      return http::error(409, "connector exists",
                         "delete it first: DELETE /debezium/connector/" + name +
                             "/delete/, or choose another name");
    }
    if (answered->status == 400 || answered->status == 422) {
      return http::error(400, "Connect refuses the config",
                         without_secrets(answered->message, *settings));
    }
    if (answered->status != 201) return failed(*answered);
    settings->emplace("name", name);
    return answer(201, {{"name", name}, {"config", masked(*settings)}});
  }

  Response list() {
    const auto names = connect_.call("GET", "/connectors", std::nullopt, look_deadline);
    if (!names) return unreachable(names.error());
    if (names->status != 200 || !names->body.is_array()) return failed(*names);
    // It leaves out those that have no state yet.
    const auto states =
        connect_.call("GET", "/connectors?expand=status", std::nullopt, look_deadline);
    if (!states) return unreachable(states.error());
    Json connectors = Json::array();
    for (const auto& name : names->body) {
      const auto found = states->body.find(name.get<std::string>());
      const Json status = found == states->body.end() ? Json{} : found->value("status", Json{});
      connectors.push_back(
          {{"name", name}, {"state", state_of(status)}, {"tasks", tasks_of(status)}});
    }
    return answer(200, {{"connectors", std::move(connectors)}});
  }

  Response info(const Request& request) {
    const auto& name = request.parameters.front();
    const auto path = "/connectors/" + Connect::escaped(name);
    const auto connector = connect_.call("GET", path, std::nullopt, look_deadline);
    if (!connector) return unreachable(connector.error());
    if (is_missing(*connector)) return no_connector();
    if (connector->status != 200) return failed(*connector);
    const auto status = connect_.call("GET", path + "/status", std::nullopt, look_deadline);
    if (!status) return unreachable(status.error());
    return answer(200, {{"name", name},
                        {"state", state_of(status->body)},
                        {"tasks", tasks_of(status->body)},
                        {"config", masked(settings_of(connector->body))}});
  }

  Response remove(const Request& request) {
    const auto& name = request.parameters.front();
    const auto answered = connect_.call("DELETE", "/connectors/" + Connect::escaped(name),
                                        std::nullopt, change_deadline);
    if (!answered) return unreachable(answered.error());
    if (is_missing(*answered)) return no_connector();
    if (answered->status != 204) return failed(*answered);
    return no_content();
  }

 private:
  /// Where they don't say, they don't.
  bool brokers_make_topics() const {
    auto admin = kafka::Admin::open(services_.brokers, services_.properties);
    if (!admin) return false;
    const auto makes = (*admin)->makes_topics(kafka_deadline);
    return makes && *makes;
  }

  const Services services_;
  const Connect connect_;
};

}  // namespace

std::vector<http::Route> connector_routes(const Services& services) {
  const auto all = std::make_shared<Connectors>(services);
  const auto waits = Waits::for_others;
  return {{"POST", "/debezium/start", Access::guarded, waits,
           [all](const Request& request) { return all->start(request); }},
          {"GET", "/debezium/list", Access::guarded, waits,
           [all](const Request&) { return all->list(); }},
          {"GET", "/debezium/connector/{name}/info", Access::guarded, waits,
           [all](const Request& request) { return all->info(request); }},
          {"DELETE", "/debezium/connector/{name}/delete", Access::guarded, waits,
           [all](const Request& request) { return all->remove(request); }}};
}

}  // namespace lockstep::control
