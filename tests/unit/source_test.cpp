// Which markers have come, and what a pipeline lacks of what somebody waits for: all by values.
#include "catch.hpp"
#include "markers.hpp"
#include "standing.hpp"

using namespace lockstep;
using namespace lockstep::source;

namespace {

std::string message(const std::string& content, const std::string& prefix = "lockstep.wait",
                    const std::string& op = "m") {
  return R"({"op":")" + op + R"(","message":{"prefix":")" + prefix + R"(","content":")" + content +
         R"("}})";
}

pipeline::PipelineStatus status(Lane::State state, std::optional<NextOffset> passed,
                                const std::string& cause = "") {
  pipeline::PipelineStatus status;
  status.kafka_reachable = true;
  auto& lane = status.lanes.emplace_back();
  lane.topic = "s.public.t";
  lane.state = state;
  lane.cause = cause;
  lane.partitions.emplace_back().passed = passed;
  return status;
}

}  // namespace

TEST_CASE("markers: a message is one in whatever way its bytes are spelt, and nothing else is") {
  Markers markers;
  markers.record(0, 0, message("aGVsbG8/Pj8="));  // hello?>?
  CHECK(markers.has("hello?>?"));
  CHECK_FALSE(markers.has("hello"));
  markers.record(0, 1, message("aGVsbG8_Pj8"));
  markers.record(0, 2, message("68656c6c6f"));
  CHECK(markers.has("hello"));
  markers.record(0, 3, R"({"schema":{},"payload":)" + message("YQ==") + "}");
  CHECK(markers.has("a"));
  markers.record(0, 4, message("Yg==", "lockstep.waits"));
  markers.record(0, 5, message("Yg==", "lockstep.wait", "c"));
  markers.record(0, 6, std::nullopt);
  for (const auto* value :
       {"", "lockstep.wait", R"(["lockstep.wait"])", R"({"payload":"lockstep.wait"})",
        R"({"op":"m","message":"lockstep.wait"})",
        R"({"op":1,"message":{"prefix":"lockstep.wait","content":"Yg=="}})",
        R"({"op":"m","message":{"prefix":"lockstep.wait","content":null}})"}) {
    markers.record(0, 7, value);
  }
  CHECK_FALSE(markers.has("b"));
}

TEST_CASE("markers: the oldest are forgotten") {
  Markers markers;
  const auto hex_of = [](std::size_t i) { return "31" + std::to_string(1'000'000 + i); };
  for (std::size_t i = 0; i < Markers::most; ++i)
    markers.record(0, static_cast<int>(i), message(i == 0 ? "YQ==" : hex_of(i)));
  CHECK(markers.has("a"));
  markers.record(0, Markers::most, message("Yg=="));
  CHECK(markers.has("b"));
  CHECK_FALSE(markers.has("a"));
}

TEST_CASE("markers: a hole behind records tells that they are written in transactions") {
  Markers markers;
  CHECK(markers.in_transactions() == std::nullopt);
  markers.end_reached(0, 5);  // nothing was read before it
  markers.record(0, 5, message("YQ=="));
  CHECK(markers.in_transactions() == std::nullopt);
  SECTION("at the end") {
    markers.end_reached(0, 7);
    CHECK(markers.in_transactions() == true);
    markers.end_reached(0, 7);
    CHECK(markers.in_transactions() == true);
    markers.record(0, 7, message("YQ=="));
    CHECK(markers.in_transactions() == true);
    markers.end_reached(0, 8);  // the connector is set up otherwise now
    CHECK(markers.in_transactions() == false);
  }
  SECTION("before the next record") {
    markers.record(0, 6, message("Yg=="));
    CHECK(markers.in_transactions() == std::nullopt);
    markers.record(0, 8, message("Yg=="));
    CHECK(markers.in_transactions() == true);
  }
  SECTION("none") {
    markers.record(1, 90, message("Yg=="));  // another partition
    markers.record(0, 6, message("Yg=="));
    markers.end_reached(0, 7);
    CHECK(markers.in_transactions() == false);
  }
}

TEST_CASE("the topic of messages has the prefix of the tables' topics") {
  const auto of = [](const std::map<std::string, int>& topics) {
    const auto topic = message_topic_of(topics);
    return topic ? *topic : topic.error().cause;
  };
  CHECK(of({{"s.public.a", 1}, {"s.shop.b", 0}, {"s.transaction", 1}}) == "s.message");
  CHECK(of({{"prod.s.public.a", 1}}) == "prod.s.message");
  CHECK(of({{"s.public.a", 1}, {"__debezium-heartbeat.prod.s", 1}}) == "s.message");
  CHECK_THAT(of({}), ContainsSubstring("no topic yet"));
  CHECK_THAT(of({{"users", 1}}), ContainsSubstring("no topic yet"));
  CHECK_THAT(of({{"s.public.a", 1}, {"t.public.a", 1}}), ContainsSubstring("connectors (s, t)"));
}

TEST_CASE("standing: there is what is passed by, and what is not is told with its cause") {
  using Is = Standing::Is;
  using State = Lane::State;
  const std::map<TopicPartition, NextOffset> ends{{{"s.public.t", 0}, {10}}};
  struct Case {
    const char* name;
    State state;
    std::optional<NextOffset> passed;
    Is want;
    const char* detail;
  };
  for (const auto& [name, state, passed, want, detail] : std::vector<Case>{
           {"passed", State::reading, NextOffset{10}, Is::there, ""},
           {"more", State::reading, NextOffset{11}, Is::there, ""},
           {"stopped behind it", State::stopped, NextOffset{10}, Is::there, ""},
           {"paused behind it", State::paused, NextOffset{10}, Is::there, ""},
           {"behind", State::reading, NextOffset{7}, Is::behind,
            "s.public.t[0] is 3 offsets behind"},
           {"not begun", State::reading, std::nullopt, Is::behind, "s.public.t[0] has not begun"},
           {"stopped", State::stopped, NextOffset{7}, Is::stuck, "s.public.t has stopped: "},
           {"paused", State::paused, NextOffset{7}, Is::stuck,
            "s.public.t is paused: resume it"}}) {
    CAPTURE(name);
    const auto stands = standing(status(state, passed), ends);
    CHECK(stands.is == want);
    CHECK(stands.detail == detail);
  }
  const auto waits = standing(status(State::waiting, NextOffset{9}, "a lock"), ends);
  CHECK(waits.detail == "s.public.t[0] is 1 offsets behind and waits: a lock");
  CHECK(standing(status(State::reading, NextOffset{7}), {}).is == Is::there);
  const auto unknown = standing(status(State::reading, NextOffset{7}), {{{"s.public.t", 1}, {1}}});
  CHECK(unknown.is == Is::behind);
  CHECK_THAT(unknown.detail, ContainsSubstring("s.public.t[1] is not read yet"));
  auto away = status(State::reading, NextOffset{7});
  away.kafka_reachable = false;
  away.target_outage = "refused";
  CHECK(standing(away, ends).detail ==
        "s.public.t[0] is 3 offsets behind; Kafka does not answer; the target is unavailable: "
        "refused");
  auto gathers = status(State::reading, NextOffset{7});
  gathers.gate = lockstep::pipeline::GateStatus{.count = 3, .max_event = 1000};
  CHECK(standing(gathers, ends).detail == "s.public.t[0] is 3 offsets behind");
  gathers.gate->max_time = std::chrono::hours{1};
  gathers.gate->window_start = std::chrono::sys_days{std::chrono::year{2026} / 1 / 2};
  CHECK(standing(gathers, ends).detail ==
        "s.public.t[0] is 3 offsets behind; 3 changes are gathered, their load begins with more "
        "than 1000, at 2026-01-02T01:00:00.000Z at the latest");
  gathers.gate->is_loading = true;
  CHECK(standing(gathers, ends).detail == "s.public.t[0] is 3 offsets behind");
}
