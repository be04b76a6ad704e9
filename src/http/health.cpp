#include "lockstep/http/health.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep::http {

namespace {

constexpr std::chrono::seconds hangs_after{10};
// What a healthy target or table is never late by: a lock that can't be had is given up after 1.5
// s, a batch is a second's work.
constexpr double silent_s = 10;
constexpr double unanswered_s = 3;
constexpr double waiting_s = 10;
constexpr double stalled_s = 30;

std::string in_seconds(double value) {
  return std::to_string(static_cast<long long>(std::lround(value))) + " s";
}

std::optional<std::string> out_of_action(const View& view) {
  if (!view.running) return "ended: " + view.cause;
  if (view.silent_for >= hangs_after) {
    return "hangs: no sign of life for " +
           in_seconds(std::chrono::duration<double>(view.silent_for).count());
  }
  if (!view.status) return view.cause;
  if (!view.status->kafka_reachable) return "Kafka does not answer";
  if (!view.status->target_outage.empty()) {
    return "the target is unavailable: " + view.status->target_outage;
  }
  if (view.status->longest_busy_s >= silent_s) {
    return "a transaction on the target takes " + in_seconds(view.status->longest_busy_s);
  }
  if (view.status->unanswered_s >= unanswered_s) {
    return "the target has not answered for " + in_seconds(view.status->unanswered_s);
  }
  return std::nullopt;
}

std::optional<std::string> stands_still(const pipeline::LaneStatus& lane) {
  using State = Lane::State;
  switch (lane.state) {
    case State::paused:
      return std::nullopt;
    case State::stopped:
      return "stopped for " + in_seconds(lane.trouble_s) + ": " + lane.cause;
    case State::waiting:
      if (lane.trouble_s < waiting_s) return std::nullopt;
      return "waits for " + in_seconds(lane.trouble_s) + ": " + lane.cause;
    case State::reading:
      if (lane.stalled_s < stalled_s) return std::nullopt;
      return "behind, and nothing applied for " + in_seconds(lane.stalled_s);
  }
  return std::nullopt;
}

}  // namespace

std::vector<View> look_at(const pipeline::Registry& pipelines, std::chrono::milliseconds deadline) {
  std::vector<View> views;
  for (const auto& one : pipelines.list()) {
    View view{.name = one.name,
              .running = one.running,
              .cause = one.cause,
              .silent_for = std::chrono::steady_clock::now() - one.last_sign_of_life,
              .status = std::nullopt};
    const auto pipeline = one.running ? pipelines.find(one.name) : nullptr;
    if (pipeline) {
      if (auto status = pipeline->status(deadline)) {
        view.status = *std::move(status);
      } else {
        view.cause = status.error();
      }
    }
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<std::string> unready(const std::vector<View>& pipelines) {
  std::vector<std::string> reasons;
  for (const auto& view : pipelines) {
    if (auto reason = out_of_action(view)) reasons.push_back(view.name + ": " + *reason);
  }
  return reasons;
}

std::vector<std::string> unhealthy(const std::vector<View>& pipelines) {
  auto reasons = unready(pipelines);
  for (const auto& view : pipelines) {
    if (!view.status) continue;
    for (const auto& lane : view.status->lanes) {
      if (auto reason = stands_still(lane)) {
        reasons.push_back(view.name + ": " + lane.topic + " " + *reason);
      }
    }
  }
  return reasons;
}

}  // namespace lockstep::http
