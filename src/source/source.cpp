#include "lockstep/source/source.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "lockstep/config/duration.hpp"
#include "lockstep/http/pipelines.hpp"
#include "statements.hpp"
#include "waits.hpp"
#include "worker.hpp"

namespace lockstep::source {

namespace {

using Clock = std::chrono::steady_clock;
using http::Reply;
using http::Request;
using http::Response;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr milliseconds default_timeout = std::chrono::seconds{30};
constexpr milliseconds longest_timeout = minutes{10};
constexpr milliseconds status_deadline{1000};
constexpr std::size_t longest_marker = 200;

std::string value_of(const Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? "" : found->second;
}

Result<milliseconds, Response> timeout_of(const Request& request) {
  const auto text = value_of(request, "timeout");
  if (text.empty()) return default_timeout;
  const auto timeout = config::to_duration(text);
  if (!timeout) {
    return http::error(400, "no timeout", "timeout=" + text + " " + timeout.error().message);
  }
  if (*timeout > longest_timeout) return http::error(400, "no timeout", "it is over 10m");
  return *timeout;
}

Response busy() {
  return http::error(503, "busy", "too many wait for the source already: try again");
}

}  // namespace

class Source::Impl {
 public:
  Impl(std::map<std::string, PipelineSource> pipelines, pipeline::Registry& registry)
      : pipelines_{std::move(pipelines)}, registry_{registry}, waits_{pipelines_, registry} {}

  /// For a marker that somebody has written.
  void wait(const Request& request, const Reply& reply) {
    auto wait = wait_of(request, reply);
    if (!wait) {
      reply(wait.error());
      return;
    }
    wait->marker = value_of(request, "marker");
    if (wait->marker.empty() || wait->marker.size() > longest_marker) {
      reply(
          http::error(400, "no marker",
                      "marker= is the text of a message that was written at the source, "
                      "pg_logical_emit_message(true, 'lockstep.wait', marker), of 1 to 200 bytes; "
                      "POST writes one"));
      return;
    }
    waits_.add(*std::move(wait));
  }

  /// Writes a marker first.
  void mark_and_wait(const Request& request, const Reply& reply) {
    auto wait = wait_of(request, reply);
    if (!wait) {
      reply(wait.error());
      return;
    }
    const auto& url = pipelines_.at(wait->pipeline).url;
    if (url.empty()) {
      reply(http::error(409, "no source",
                        "pipelines[].source.connection of " + wait->pipeline +
                            " is to say where the marker is to be written"));
      return;
    }
    wait->marker = unique_id();
    const bool posted = worker_.post([this, url, wait = *std::move(wait)] {
      if (auto emitted = emit_marker(url, wait.marker); !emitted) {
        wait.reply(emitted.error());
      } else {
        waits_.add(wait);
      }
    });
    if (!posted) reply(busy());
  }

  void resync(const Request& request, const Reply& reply) {
    const auto& name = request.parameters[0];
    const auto found = pipelines_.find(name);
    const auto pipeline = registry_.find(name);
    if (found == pipelines_.end() || !pipeline) {
      reply(http::error(404, "no such pipeline", "GET /status lists them"));
      return;
    }
    const auto& source = found->second;
    if (source.url.empty() || source.signals.empty()) {
      reply(http::error(409, "no signals",
                        "pipelines[].source of " + name +
                            " is to have connection and signals, the "
                            "connector's signal.data.collection"));
      return;
    }
    const auto job = [&source, name, pipeline, request, reply] {
      reply(asked_to_read(source, name, *pipeline, request));
    };
    if (!worker_.post(job)) reply(busy());
  }

 private:
  /// Without a marker.
  Result<Wait, Response> wait_of(const Request& request, const Reply& reply) const {
    auto name = value_of(request, "pipeline");
    if (name.empty() && pipelines_.size() == 1) name = pipelines_.begin()->first;
    if (!pipelines_.contains(name)) {
      return http::error(name.empty() ? 400 : 404, "no such pipeline",
                         "pipeline= is one of those that GET /status lists");
    }
    const auto timeout = timeout_of(request);
    if (!timeout) return timeout.error();
    const auto now = Clock::now();
    return Wait{std::move(name), "", now, now + *timeout, reply};
  }

  static Response asked_to_read(const PipelineSource& source, const std::string& name,
                                pipeline::Pipeline& pipeline, const Request& request) {
    const auto status = pipeline.status(status_deadline);
    if (!status) return http::error(503, "no answer", status.error());
    const auto topic = http::find_topic(*status, request.parameters[1]);
    if (!topic) return topic.error();
    const auto id = unique_id();
    const auto tables = ask_for_snapshot(source.url, source.signals, *topic, id);
    if (!tables) return tables.error();
    spdlog::info("asking the connector for a table anew pipeline={} topic={} signal={}", name,
                 *topic, id);
    const auto lane = std::find_if(status->lanes.begin(), status->lanes.end(),
                                   [&](const auto& one) { return one.topic == *topic; });
    nlohmann::ordered_json json{{"pipeline", name},
                                {"topic", *topic},
                                {"done", "resync"},
                                {"tables", *tables},
                                {"signal", id}};
    if (lane->state == Lane::State::stopped || lane->state == Lane::State::paused) {
      json["note"] =
          "the table is " + std::string{pipeline::name(lane->state)} +
          ": the rows wait in its topic until you " +
          (lane->state == Lane::State::stopped ? "mend its cause and retry it" : "resume it");
    }
    return {.status = 202,
            .body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
  }

  const std::map<std::string, PipelineSource> pipelines_;
  pipeline::Registry& registry_;
  Waits waits_;
  Worker worker_;  // last: its jobs use the above
};

Source::Source(std::map<std::string, PipelineSource> pipelines, pipeline::Registry& registry)
    : impl_{std::make_unique<Impl>(std::move(pipelines), registry)} {}
Source::~Source() = default;

std::vector<http::Route> Source::routes() {
  auto* const impl = impl_.get();
  const auto later = [impl](void (Impl::*handle)(const Request&, const Reply&)) {
    return [impl, handle](const Request& request, const Reply& reply) {
      (impl->*handle)(request, reply);
    };
  };
  using http::Access;
  return {
      {"GET", "/wait", Access::guarded, http::Waits::not_at_all, {}, later(&Impl::wait)},
      {"POST", "/wait", Access::guarded, http::Waits::not_at_all, {}, later(&Impl::mark_and_wait)},
      {"POST",
       "/pipelines/{name}/tables/{table}/resync",
       Access::guarded,
       http::Waits::not_at_all,
       {},
       later(&Impl::resync)}};
}

}  // namespace lockstep::source
