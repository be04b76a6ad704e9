#include "status.hpp"

#include <nlohmann/json.hpp>

#include "lockstep/model/utc.hpp"

namespace lockstep::http {

namespace {

using Json = nlohmann::ordered_json;

double rounded(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5)) / 1000;
}

std::string commit_text(std::int64_t ts_us) {
  return utc_text(std::chrono::system_clock::time_point{std::chrono::microseconds{ts_us}});
}

Json offset(const std::optional<NextOffset>& next) {
  return next ? Json(next->value) : Json(nullptr);
}

Json stages(const pipeline::Stages& spent) {
  return {{"fetch", rounded(spent.fetch)}, {"decode", rounded(spent.decode)},
          {"wait", rounded(spent.wait)},   {"lock", rounded(spent.lock)},
          {"sql", rounded(spent.sql)},     {"commit", rounded(spent.commit)}};
}

Json table(const pipeline::LaneStatus& lane) {
  std::int64_t lag = 0;
  Json partitions = Json::array();
  for (const auto& partition : lane.partitions) {
    lag += partition.lag;
    partitions.push_back({{"partition", partition.partition},
                          {"read", offset(partition.read)},
                          {"applied", offset(partition.applied)},
                          {"end", offset(partition.end)},
                          {"lag", partition.lag}});
  }
  return {
      {"topic", lane.topic},
      {"state", pipeline::name(lane.state)},
      {"cause", lane.cause},
      {"stopped_by", lane.stopped_by ? Json{{"partition", lane.stopped_by->partition.partition},
                                            {"offset", lane.stopped_by->offset.value}}
                                     : Json(nullptr)},
      {"for_s", rounded(lane.trouble_s)},
      {"gathers", lane.gathers},
      {"tries", lane.failures},
      {"applied", lane.changes},
      {"changes_per_s", rounded(lane.changes_per_s)},
      {"lag", lag},
      {"newest_commit", lane.newest_ts_us ? Json(commit_text(*lane.newest_ts_us)) : Json(nullptr)},
      {"held_bytes", lane.bytes},
      {"waiting_batches", lane.batches},
      {"in_flight_s", lane.in_flight_s ? Json(rounded(*lane.in_flight_s)) : Json(nullptr)},
      {"partitions", std::move(partitions)}};
}

Json gate_json(const pipeline::GateStatus& gate) {
  Json json{
      {"count", gate.count},
      {"max_event", gate.max_event},
      {"window_start", gate.window_start ? Json(utc_text(*gate.window_start)) : Json(nullptr)},
      {"max_time_s", rounded(std::chrono::duration<double>(gate.max_time).count())},
      {"loading", gate.is_loading},
      {"load", nullptr},
      {"redis", {{"reachable", gate.store_outage.empty()}, {"cause", gate.store_outage}}},
      {"last_error", nullptr}};
  if (const auto& load = gate.load) {
    json["load"] = {{"begun", utc_text(load->begun)},
                    {"ended", load->ended ? Json(utc_text(*load->ended)) : Json(nullptr)},
                    {"events", load->events}};
  }
  if (const auto& error = gate.last_error) {
    json["last_error"] = {{"cause", error->cause}, {"at", utc_text(error->at)}};
  }
  return json;
}

Json destination_json(const DestinationStatus& destination) {
  Json json{
      {"name", destination.name},
      {"breaker", breaker_states[static_cast<std::size_t>(destination.breaker)]},
      {"next_call", destination.next_call ? Json(utc_text(*destination.next_call)) : Json(nullptr)},
      {"in_flight", destination.in_flight},
      {"max_in_flight", destination.max_in_flight},
      {"waiting", destination.waiting},
      {"calls", Json::object()},
      {"retries", destination.retries},
      {"last_failure", nullptr}};
  for (std::size_t i = 0; i < call_outcomes.size(); ++i) {
    json["calls"][std::string{call_outcomes[i]}] = destination.calls[i];
  }
  if (const auto& failure = destination.last_failure) {
    json["last_failure"] = {{"cause", failure->cause}, {"at", utc_text(failure->at)}};
  }
  return json;
}

Json pipeline_json(const View& view) {
  Json json{
      {"name", view.name}, {"state", view.running ? "running" : "ended"}, {"cause", view.cause}};
  if (!view.status) return json;
  const auto& status = *view.status;
  json["why_slow"] = bottleneck(status);
  json["kafka"] = {{"reachable", status.kafka_reachable}, {"partitions", status.assigned}};
  json["target"] = {{"reachable", status.target_outage.empty()},
                    {"cause", status.target_outage},
                    {"connections", status.writers},
                    {"busy", status.busy_writers},
                    {"longest_busy_s", rounded(status.longest_busy_s)}};
  json["lag"] = {{"messages", status.lag}, {"seconds", rounded(status.lag_s)}};
  json["changes_per_s"] = rounded(status.changes_per_s);
  json["held_bytes"] = status.buffered_bytes;
  const auto& counters = status.counters;
  json["counters"] = {{"records", counters.records},
                      {"changes", counters.changes},
                      {"batches", counters.batches},
                      {"retries", counters.retries},
                      {"already_read", counters.already_read},
                      {"lossy_values", counters.lossy_values},
                      {"dead_letters", counters.dead_letters},
                      {"parked", counters.parked},
                      {"skipped", counters.skipped}};
  if (status.gate) json["threshold"] = gate_json(*status.gate);
  if (status.destination) json["destination"] = destination_json(*status.destination);
  json["seconds_spent"] = stages(status.spent);
  json["recently_of_a_second"] = stages(status.recent);
  json["tables"] = Json::array();
  for (const auto& lane : status.lanes) json["tables"].push_back(table(lane));
  return json;
}

}  // namespace

std::string status_json(const std::vector<View>& pipelines, const std::string& version,
                        std::chrono::seconds uptime) {
  const auto reasons = unhealthy(pipelines);
  Json json{{"version", version},
            {"uptime_s", uptime.count()},
            {"healthy", reasons.empty()},
            {"reasons", reasons},
            {"pipelines", Json::array()}};
  for (const auto& view : pipelines) json["pipelines"].push_back(pipeline_json(view));
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace lockstep::http
