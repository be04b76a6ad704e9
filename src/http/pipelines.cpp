#include "lockstep/http/pipelines.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "metrics.hpp"
#include "status.hpp"

namespace lockstep::http {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Verb = pipeline::Command::Verb;

constexpr milliseconds status_deadline{1000};
constexpr milliseconds command_deadline{5000};
// Several who ask at one time are told the same.
constexpr milliseconds fresh_for{200};

class Pipelines {
 public:
  Pipelines(pipeline::Registry& registry, std::string version)
      : registry_{registry}, version_{std::move(version)} {}

  Response health(const std::vector<std::string>& reasons) {
    const nlohmann::ordered_json json{{"status", reasons.empty() ? "ok" : "failing"},
                                      {"reasons", reasons}};
    return {.status = reasons.empty() ? 200 : 503, .body = dumped(json)};
  }
  Response healthz() { return health(unhealthy(views())); }
  Response readyz() { return health(unready(views())); }
  Response status() {
    return {.body = status_json(
                views(), version_,
                std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_))};
  }
  Response metrics() {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = metrics_text(views(), version_)};
  }

  Response tell(const Request& request, Verb verb, std::string_view word) {
    const auto& name = request.parameters[0];
    const auto found = registry_.find(name);
    if (!found) return no_such_pipeline();
    std::string topic;
    if (request.parameters.size() > 1) {
      const auto lane = lane_named(*found, request.parameters[1]);
      if (!lane) return lane.error();
      topic = lane->topic;
    }
    if (auto told = found->tell({verb, topic}, command_deadline); !told) {
      return error(503, "no answer", told.error().message);
    }
    const nlohmann::ordered_json json{
        {"pipeline", name}, {"topic", topic.empty() ? "all" : topic}, {"done", word}};
    return {.body = dumped(json)};
  }

  /// Of several who ask for one record one skips it: which it is they say, or is looked up here.
  Response skip(const Request& request) {
    const auto& name = request.parameters[0];
    const auto found = registry_.find(name);
    if (!found) return no_such_pipeline();
    const auto lane = lane_named(*found, request.parameters[1]);
    if (!lane) return lane.error();
    auto record = lane->stopped_by;
    if (request.query.contains("partition") || request.query.contains("offset")) {
      record = record_of(request, lane->topic);
      if (!record) {
        return error(400, "no such record", "partition and offset are whole numbers, both or none");
      }
    }
    if (auto told = found->tell({Verb::skip, lane->topic, record}, command_deadline); !told) {
      const auto& [message, kind] = told.error();
      switch (kind) {
        case pipeline::CommandError::Kind::no_answer:
          return error(503, "no answer", message + "; GET /status tells whether it goes on yet");
        case pipeline::CommandError::Kind::refused:
          return error(409, "nothing to skip", message);
        case pipeline::CommandError::Kind::failed:
          return error(503, "not skipped", message);
      }
    }
    nlohmann::ordered_json json{{"pipeline", name}, {"topic", lane->topic}, {"done", "skip"}};
    if (record) {
      json["partition"] = record->partition.partition;
      json["offset"] = record->offset.value;
    }
    if (record && record == lane->stopped_by) json["cause"] = lane->cause;
    return {.body = dumped(json)};
  }

 private:
  static std::string dumped(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }

  static Response no_such_pipeline() {
    return error(404, "no such pipeline", "GET /status lists them");
  }

  /// A whole number from 0 on.
  template <class Number>
  static std::optional<Number> number_of(const Request& request, const std::string& name) {
    const auto found = request.query.find(name);
    if (found == request.query.end()) return std::nullopt;
    const auto& text = found->second;
    Number number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size() || number < 0) {
      return std::nullopt;
    }
    return number;
  }

  static std::optional<RecordPlace> record_of(const Request& request, const std::string& topic) {
    const auto partition = number_of<std::int32_t>(request, "partition");
    const auto offset = number_of<std::int64_t>(request, "offset");
    if (!partition || !offset) return std::nullopt;
    return RecordPlace{{topic, *partition}, {*offset}};
  }

  static Result<pipeline::LaneStatus, Response> lane_named(pipeline::Pipeline& of,
                                                           const std::string& name) {
    auto status = of.status(status_deadline);
    if (!status) return error(503, "no answer", status.error());
    const auto topic = find_topic(*status, name);
    if (!topic) return topic.error();
    const auto is_it = [&](const auto& lane) { return lane.topic == *topic; };
    return *std::find_if(status->lanes.begin(), status->lanes.end(), is_it);
  }

  /// Routes that may wait are called one after the other.
  std::vector<View> views() {
    if (seen_.empty() || Clock::now() - seen_at_ > fresh_for) {
      seen_ = look_at(registry_, status_deadline);
      seen_at_ = Clock::now();
    }
    return seen_;
  }

  pipeline::Registry& registry_;
  const std::string version_;
  const Clock::time_point started_ = Clock::now();
  std::vector<View> seen_;
  Clock::time_point seen_at_;
};

/// A topic by its name, or those of a table by what it is called at the source.
std::vector<std::string> topics_named(const pipeline::PipelineStatus& status,
                                      const std::string& name) {
  std::vector<std::string> topics;
  for (const auto& lane : status.lanes) {
    if (lane.topic == name) return {name};
    if (lane.topic.ends_with("." + name)) topics.push_back(lane.topic);
  }
  return topics;
}

}  // namespace

Result<std::string, Response> find_topic(const pipeline::PipelineStatus& status,
                                         const std::string& name) {
  auto topics = topics_named(status, name);
  if (topics.empty()) {
    return error(404, "no such table", "GET /status lists them, by topic; schema.table will do");
  }
  if (topics.size() == 1) return std::move(topics.front());
  std::string all;
  for (const auto& topic : topics) all += (all.empty() ? "" : ", ") + topic;
  return error(409, "several tables", "of that name are " + all + ": say which");
}

std::vector<Route> pipeline_routes(pipeline::Registry& pipelines, const std::string& version) {
  const auto all = std::make_shared<Pipelines>(pipelines, version);
  std::vector<Route> routes{{"GET", "/healthz", Access::open, Waits::for_pipelines,
                             [all](const auto&) { return all->healthz(); }},
                            {"GET", "/readyz", Access::open, Waits::for_pipelines,
                             [all](const auto&) { return all->readyz(); }},
                            {"GET", "/metrics", Access::open, Waits::for_pipelines,
                             [all](const auto&) { return all->metrics(); }},
                            {"GET", "/status", Access::page, Waits::for_pipelines,
                             [all](const auto&) { return all->status(); }}};
  for (const auto& [word, verb] :
       {std::pair{"pause", Verb::pause}, {"resume", Verb::resume}, {"retry", Verb::retry}}) {
    const auto tell = [all, verb = verb, word = std::string{word}](const Request& request) {
      return all->tell(request, verb, word);
    };
    const std::string of_pipeline = std::string{"/pipelines/{name}/"} + word;
    const std::string of_table = std::string{"/pipelines/{name}/tables/{table}/"} + word;
    routes.push_back({"POST", of_pipeline, Access::guarded, Waits::for_pipelines, tell});
    routes.push_back({"POST", of_table, Access::guarded, Waits::for_pipelines, tell});
  }
  routes.push_back({"POST", "/pipelines/{name}/tables/{table}/skip", Access::guarded,
                    Waits::for_pipelines,
                    [all](const Request& request) { return all->skip(request); }});
  return routes;
}

}  // namespace lockstep::http
