#include "consumer.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include "body.hpp"
#include "lockstep/model/utc.hpp"

namespace lockstep::control {

namespace {

using Job = config::Consumer::Job;

constexpr std::array jobs{std::pair{"sync", Job::sync}, std::pair{"replica", Job::replica},
                          std::pair{"console", Job::console}, std::pair{"webhook", Job::webhook}};

std::vector<Field> fields() {
  using Kind = Field::Kind;
  return {{"consumer_id", Kind::text, true}, {"kafka_topic", Kind::text, true},
          {"pipeline_name", Kind::text},     {"connection_id", Kind::text},
          {"max_event", Kind::whole_number}, {"max_time", Kind::whole_number},
          {"job_type", Kind::text, true},    {"auto_offset_reset", Kind::text}};
}

Result<WantedConsumer, http::Response> read(const Body& body) {
  std::vector<std::string> mistakes;
  WantedConsumer wanted;
  auto& consumer = wanted.consumer;
  consumer.id = body.text("consumer_id");
  consumer.topic = body.text("kafka_topic");
  consumer.connection = body.text("connection_id");
  consumer.max_event = body.number("max_event");
  if (const auto seconds = body.number("max_time")) {
    consumer.max_time = std::chrono::seconds{*seconds};
  }
  const auto word = body.text("job_type");
  const auto job = std::find_if(jobs.begin(), jobs.end(),
                                [&](const auto& known) { return known.first == word; });
  if (job == jobs.end()) {
    mistakes.push_back("job_type: " + word +
                       " is not known, expected sync, replica, console or webhook");
  } else {
    consumer.job = job->second;
  }
  const auto reset = body.text("auto_offset_reset");
  if (!reset.empty() && reset != "earliest" && reset != "latest") {
    mistakes.push_back("auto_offset_reset: " + reset +
                       " is not known, expected earliest or latest");
  }
  wanted.from_end = reset == "latest";
  wanted.label = body.text("pipeline_name");
  if (!mistakes.empty()) return http::error(400, "bad body", joined(mistakes));
  for (const auto& field : fields()) {
    if (body.has(field.name)) wanted.json[field.name] = body.at(field.name);
  }
  return wanted;
}

/// Not yet asked, or asked for the first time.
bool is_starting(const http::View& view) {
  constexpr std::chrono::seconds asked_in_vain{5};
  return view.running && !view.status && view.silent_for < asked_in_vain;
}

std::string state_of(const std::string& failure, const std::optional<http::View>& view) {
  if (!failure.empty() || !view || !view->running) return "failed";
  if (is_starting(*view)) return "starting";
  if (!view->status) return "silent";
  for (const auto& lane : view->status->lanes) {
    if (lane.state == Lane::State::stopped) return "stopped";
    if (lane.state == Lane::State::paused) return "paused";
  }
  return "running";
}

/// The newest that still matters, or that was; empty: none.
std::string last_error(const std::string& failure, const std::optional<http::View>& view) {
  if (!failure.empty()) return failure;
  if (!view) return "nothing runs for it";
  if (is_starting(*view)) return {};
  if (!view->cause.empty() || !view->status) return view->cause;
  for (const auto& lane : view->status->lanes) {
    if (!lane.cause.empty()) return lane.cause;
  }
  if (!view->status->target_outage.empty()) return view->status->target_outage;
  if (const auto& gate = view->status->gate; gate && gate->last_error) {
    return gate->last_error->cause + " at " + utc_text(gate->last_error->at);
  }
  return {};
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json time_or_null(const std::optional<std::chrono::system_clock::time_point>& time) {
  return time ? Json(utc_text(*time)) : Json(nullptr);
}

}  // namespace

Result<WantedConsumer, http::Response> wanted_consumer(const std::string& body) {
  const auto parsed = Body::parse(body, fields());
  if (!parsed) return parsed.error();
  return read(*parsed);
}

Result<WantedConsumer, http::Response> kept_consumer(const Json& json) {
  auto all = fields();
  all.push_back({"started_at", Field::Kind::text});
  const auto parsed = Body::parse(json.dump(), all);
  if (!parsed) return parsed.error();
  auto wanted = read(*parsed);
  if (wanted && parsed->has("started_at")) wanted->json["started_at"] = parsed->at("started_at");
  return wanted;
}

Json consumer_summary(const WantedConsumer& wanted, const std::string& failure,
                      const std::optional<http::View>& view) {
  return {{"consumer_id", wanted.consumer.id},
          {"pipeline_name", or_null(wanted.label)},
          {"kafka_topic", wanted.consumer.topic},
          {"job_type", wanted.json.at("job_type")},
          {"state", state_of(failure, view)}};
}

Json consumer_info(const WantedConsumer& wanted, const std::string& failure,
                   const std::optional<http::View>& view) {
  Json json = consumer_summary(wanted, failure, view);
  json["connection_id"] = or_null(wanted.consumer.connection);
  json["auto_offset_reset"] = wanted.from_end ? "latest" : "earliest";
  json["group"] = view ? Json("lockstep." + view->name) : Json(nullptr);
  json["started_at"] = wanted.json.value("started_at", Json(nullptr));
  json["counts"] = nullptr;
  json["window"] = nullptr;
  json["lag"] = nullptr;
  json["last_load"] = nullptr;
  json["last_error"] = or_null(last_error(failure, view));
  if (!view || !view->status) return json;
  const auto& status = *view->status;
  const auto& counters = status.counters;
  const auto skipped =
      std::accumulate(counters.skipped.begin(), counters.skipped.end(), std::uint64_t{0},
                      [](auto sum, const auto& rule) { return sum + rule.second; });
  json["counts"] = {{"records", counters.records},
                    {"changes", counters.changes},
                    {"skipped", skipped},
                    {"dead_letters", counters.dead_letters}};
  json["lag"] = {{"messages", status.lag}, {"seconds", status.lag_s}};
  if (const auto& gate = status.gate) {
    std::optional<std::chrono::system_clock::time_point> ends;
    if (gate->window_start) ends = *gate->window_start + gate->max_time;
    json["window"] = {
        {"count", gate->count},
        {"started", time_or_null(gate->window_start)},
        {"ends", time_or_null(ends)},
        {"max_event", gate->max_event},
        {"max_time", std::chrono::duration_cast<std::chrono::seconds>(gate->max_time).count()}};
    if (const auto& load = gate->load) {
      json["last_load"] = {{"begun", utc_text(load->begun)},
                           {"ended", time_or_null(load->ended)},
                           {"events", load->events}};
    }
  }
  return json;
}

}  // namespace lockstep::control
