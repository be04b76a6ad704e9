// What is healthy, why it is slow, and how it is told.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "lockstep/http/health.hpp"
#include "metrics.hpp"
#include "status.hpp"

using namespace lockstep;
using namespace lockstep::http;
using lockstep::pipeline::GateStatus;
using std::chrono::seconds;
using Reasons = std::vector<std::string>;

namespace {

/// A pipeline that works, on one table.
View working() {
  View view{.name = "replica", .running = true, .cause = {}, .silent_for = {}, .status = {}};
  auto& status = view.status.emplace();
  status.kafka_reachable = true;
  status.writers = 2;
  status.lanes.emplace_back().topic = "db.public.users";
  return view;
}

/// The same, of which every metric has something to tell.
View measured() {
  View view = working();
  view.status->counters.skipped["heartbeat"] = 3;
  view.status->lanes.front().partitions.push_back({.partition = 0,
                                                   .read = NextOffset{7},
                                                   .applied = NextOffset{5},
                                                   .end = NextOffset{9},
                                                   .lag = 4});
  auto& destination = view.status->destination.emplace();
  destination.breaker = Breaker::open;
  destination.in_flight = 3;
  destination.waiting = 12;
  destination.calls[static_cast<std::size_t>(CallOutcome::timeout)] = 2;
  destination.retries = 4;
  destination.duration.add(0.3, 2);
  return view;
}

}  // namespace

TEST_CASE("health: one reason for what is wrong with a pipeline, and one for each table") {
  CHECK(unhealthy({working()}).empty());
  CHECK(unready({working()}).empty());

  View view = working();
  SECTION("it has ended") {
    view.running = false;
    view.cause = "fenced";
    view.status.reset();
    CHECK(unhealthy({working(), view}) == Reasons{"replica: ended: fenced"});
  }
  SECTION("it hangs") {
    view.silent_for = seconds{31};
    CHECK(unready({view}) == Reasons{"replica: hangs: no sign of life for 31 s"});
  }
  SECTION("it does not answer") {
    view.status.reset();
    view.cause = "the pipeline has not answered within 1000 ms";
    CHECK(unready({view}) == Reasons{"replica: the pipeline has not answered within 1000 ms"});
  }
  SECTION("Kafka is away") {
    view.status->kafka_reachable = false;
    CHECK(unready({view}) == Reasons{"replica: Kafka does not answer"});
  }
  SECTION("the target is away") {
    view.status->target_outage = "connection refused";
    CHECK(unready({view}) == Reasons{"replica: the target is unavailable: connection refused"});
  }
  SECTION("the target is silent") {
    view.status->longest_busy_s = 12.4;
    CHECK(unready({view}) == Reasons{"replica: a transaction on the target takes 12 s"});
    view.status->longest_busy_s = 9;
    CHECK(unready({view}).empty());
    view.status->unanswered_s = 3;
    CHECK(unready({view}) == Reasons{"replica: the target has not answered for 3 s"});
  }
  SECTION("a table is stopped: the pipeline is ready all the same") {
    auto& lane = view.status->lanes.front();
    lane.state = Lane::State::stopped;
    lane.cause = "not null";
    lane.trouble_s = 3;
    CHECK(unhealthy({view}) == Reasons{"replica: db.public.users stopped for 3 s: not null"});
    CHECK(unready({view}).empty());
  }
  SECTION("a table waits: for a while that is as it should be") {
    auto& lane = view.status->lanes.front();
    lane.state = Lane::State::waiting;
    lane.cause = "locked";
    lane.trouble_s = 9;
    CHECK(unhealthy({view}).empty());
    lane.trouble_s = 11;
    CHECK(unhealthy({view}) == Reasons{"replica: db.public.users waits for 11 s: locked"});
  }
  SECTION("a table is paused: somebody wants it so") {
    view.status->lanes.front().state = Lane::State::paused;
    CHECK(unhealthy({view}).empty());
  }
  SECTION("a table does not get on") {
    view.status->lanes.front().stalled_s = 40;
    CHECK(unhealthy({view}) ==
          Reasons{"replica: db.public.users behind, and nothing applied for 40 s"});
  }
}

TEST_CASE("bottleneck: what takes the time is named") {
  auto status = *working().status;
  const auto said = [&] { return bottleneck(status); };
  CHECK(said() == "nothing is behind");
  status.lag = 1000;
  CHECK(said().find("Kafka delivers no faster") == 0);
  status.recent = {.fetch = 0.1, .decode = 0.75, .sql = 0.5};
  CHECK(said().find("one core reads and decodes 85 %") == 0);
  status.recent = {.decode = 0.75, .sql = 1.8, .commit = 0.1};  // of two connections
  CHECK(said().find("the target takes 90 % of the time to write rows") == 0);
  status.recent = {.sql = 0.2, .commit = 1.7};
  CHECK(said().find("the target takes 85 % of the time to make commits durable") == 0);
  status.recent = {.lock = 2};
  CHECK(said().find("the connections to the target wait 100 %") == 0);
  auto& destination = status.destination.emplace();
  destination.name = "https://one.example";
  destination.max_in_flight = 2;
  CHECK(said().find("the connections to the target wait 100 %") == 0);  // nothing waits for calls
  destination.waiting = 40;
  destination.in_flight = 1;
  CHECK(said().find("1 calls are under way, 40 changes wait") == 0);
  destination.in_flight = 2;
  CHECK(said() ==
        "all 2 calls that max_in_flight allows are under way: raise it if https://one.example "
        "takes more");
  destination.breaker = Breaker::throttled;
  CHECK(said() == "https://one.example wants no calls for a while (Retry-After)");
  status.gate = GateStatus{.count = 7, .max_event = 10};
  CHECK(said().find("7 changes are gathered, the load begins with the 11th") == 0);
  status.target_outage = "refused";
  CHECK(said() == "the target is unavailable: refused");
}

TEST_CASE("metrics: each has a type, a help, and comes once with its labels") {
  auto view = measured();
  view.status->lanes.front().delay.add(0.02, 5);
  view.status->lanes.front().topic = "with \"quotes\"";
  const auto text = metrics_text(
      {view, {.name = "gone", .running = false, .cause = "x", .silent_for = {}, .status = {}}},
      "1.2.3");
  std::istringstream lines{text};
  std::set<std::string> seen;
  std::set<std::string> typed;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE "))
      CHECK(typed.insert(line.substr(7, line.find(' ', 7) - 7)).second);
    if (line.starts_with("#")) continue;
    CHECK(seen.insert(line.substr(0, line.rfind(' '))).second);
  }
  const auto has = [&](const std::string& line) {
    INFO(text);
    CHECK(text.find("\n" + line + "\n") != std::string::npos);
  };
  has("lockstep_pipeline_up{pipeline=\"gone\"} 0");
  has("lockstep_pipeline_up{pipeline=\"replica\"} 1");
  has("lockstep_messages_skipped_total{pipeline=\"replica\",rule=\"heartbeat\"} 3");
  has("lockstep_lag_messages{pipeline=\"replica\",topic=\"with \\\"quotes\\\"\",partition=\"0\"} "
      "4");
  has("lockstep_table_state{pipeline=\"replica\",topic=\"with \\\"quotes\\\"\",state=\"reading\"} "
      "1");
  has("lockstep_table_state{pipeline=\"replica\",topic=\"with \\\"quotes\\\"\",state=\"stopped\"} "
      "0");
  has("lockstep_source_to_target_seconds_bucket{pipeline=\"replica\",topic=\"with "
      "\\\"quotes\\\"\",le=\"0.01\"} 0");
  has("lockstep_source_to_target_seconds_bucket{pipeline=\"replica\",topic=\"with "
      "\\\"quotes\\\"\",le=\"+Inf\"} 5");
  has("lockstep_webhook_calls_total{pipeline=\"replica\",outcome=\"timeout\"} 2");
  has("lockstep_webhook_calls_total{pipeline=\"replica\",outcome=\"2xx\"} 0");
  has("lockstep_webhook_retries_total{pipeline=\"replica\"} 4");
  has("lockstep_webhook_call_seconds_count{pipeline=\"replica\"} 2");
  has("lockstep_webhook_calls_in_flight{pipeline=\"replica\"} 3");
  has("lockstep_webhook_calls_waiting{pipeline=\"replica\"} 12");
  has("lockstep_webhook_breaker_state{pipeline=\"replica\",state=\"open\"} 1");
  has("lockstep_webhook_breaker_state{pipeline=\"replica\",state=\"closed\"} 0");
  CHECK(typed.count("process_resident_memory_bytes") == 1);
}

TEST_CASE("status: a webhook tells of its destination, other sinks of none") {
  const auto pipeline = [](const View& view) {
    return nlohmann::json::parse(status_json({view}, "1", seconds{1}))["pipelines"][0];
  };
  CHECK_FALSE(pipeline(working()).contains("destination"));
  const auto destination = pipeline(measured())["destination"];
  CHECK(destination["breaker"] == "open");
  CHECK(destination["calls"]["timeout"] == 2);
  CHECK(destination["last_failure"].is_null());
}

TEST_CASE(
    "metrics: the alerts, the dashboard and the reference name what there is, and all of it") {
  std::set<std::string> there;
  std::istringstream lines{metrics_text({measured()}, "1")};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) there.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  const auto named_in = [](const std::string& file) {
    std::ostringstream text;
    text << std::ifstream{LOCKSTEP_SOURCE_DIR "/" + file}.rdbuf();
    const std::string content = text.str();
    std::set<std::string> names;
    const std::regex pattern{"(lockstep|process)_[a-z_]+"};
    for (std::sregex_iterator match{content.begin(), content.end(), pattern}, end; match != end;
         ++match) {
      names.insert(std::regex_replace(match->str(), std::regex{"_(bucket|sum|count)$"}, ""));
    }
    return names;
  };
  for (const std::string file :
       {"config/prometheus-alerts.yaml", "config/grafana-dashboard.json"}) {
    const auto names = named_in(file);
    CHECK(names.size() > 5);
    for (const auto& name : names) {
      INFO(file << ": " << name);
      CHECK(there.count(name) == 1);
    }
  }
  const auto documented = named_in("docs/operation.md");
  for (const auto& name : there) {
    INFO("not in docs/operation.md: " << name);
    CHECK(documented.count(name) == 1);
  }
}

TEST_CASE("histogram: a value on a bound is below it") {
  SecondsHistogram histogram{seconds_bounds};
  histogram.add(0.0005);
  histogram.add(0.0006, 2);
  histogram.add(1000);
  CHECK(histogram.counts()[0] == 1);
  CHECK(histogram.counts()[1] == 2);
  CHECK(histogram.counts().back() == 1);
  CHECK(histogram.count() == 4);
  CHECK(std::abs(histogram.sum() - 1000.0017) < 1e-9);
}
