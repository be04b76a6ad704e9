// The control API without its services: settings' names, secrets, bodies, and the OpenAPI document
// against the routes.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "body.hpp"
#include "catch.hpp"
#include "consumer.hpp"
#include "daemon.hpp"
#include "kept.hpp"
#include "lockstep/control/consumers.hpp"
#include "lockstep/control/services.hpp"
#include "lockstep/http/page.hpp"
#include "lockstep/http/pipelines.hpp"
#include "lockstep/live/live.hpp"
#include "lockstep/source/source.hpp"
#include "settings.hpp"
#include "system_topics.hpp"

using namespace lockstep::control;
namespace http = lockstep::http;

namespace {

Settings settings_of(const char* config) {
  const auto settings = to_settings(Json::parse(config));
  REQUIRE(settings);
  return *settings;
}

std::string mistakes_of(const char* config) {
  const auto settings = to_settings(Json::parse(config));
  REQUIRE_FALSE(settings);
  std::string all;
  for (const auto& one : settings.error()) all += one + "\n";
  return all;
}

std::string answer_to(const std::string& body) {
  const auto parsed = Body::parse(
      body, {{"name", Field::Kind::text, true}, {"retention_ms", Field::Kind::whole_number}});
  if (parsed) return "taken";
  CHECK(parsed.error().status == 400);
  return parsed.error().body;
}

/// Without the slash at the end, and with {} for each parameter, whatever its name.
std::string shape_of(std::string path) {
  for (auto at = path.find('{'); at != path.npos; at = path.find('{', at + 1)) {
    path.erase(at + 1, path.find('}', at) - at - 1);
  }
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

TEST_CASE("control: settings in snake_case become Debezium's, and others stay as they are") {
  struct Case {
    std::string_view about;
    std::string_view key;
    std::string_view wanted;
  };
  const Case cases[] = {
      {"each underscore is a dot", "table_include_list", "table.include.list"},
      {"one word stays", "name", "name"},
      {"a name with a dot is Debezium's already", "snapshot.select.statement.overrides.a.my_table",
       "snapshot.select.statement.overrides.a.my_table"},
      {"a setting of a transform", "transforms_unwrap_type", "transforms.unwrap.type"},
      {"the name of a transform keeps its underscore", "transforms_by_key_field_name",
       "transforms.by_key.field.name"},
      {"so does that of a predicate", "predicates_is_old_pattern", "predicates.is_old.pattern"},
      {"and that of a group of topics", "topic_creation_my_own_partitions",
       "topic.creation.my_own.partitions"},
      {"the group that there always is", "topic_creation_default_replication_factor",
       "topic.creation.default.replication.factor"},
      {"a hyphen stays", "driver_some-thing", "driver.some-thing"},
  };
  for (const auto& one : cases) {
    DYNAMIC_SECTION(one.about) {
      Json config{{"connector_class", "C"},
                  {"transforms", "unwrap, by_key"},
                  {"predicates", "is_old"},
                  {"topic_creation_groups", "my_own"}};
      config[std::string{one.key}] = "x";
      const auto settings = to_settings(config);
      REQUIRE(settings);
      CHECK(settings->count(std::string{one.wanted}) == 1);
    }
  }
}

TEST_CASE("control: settings' values become texts, and what can't is told with all else") {
  const auto settings = settings_of(R"({"connector.class": "C", "database_port": 5432,
    "tombstones_on_delete": false, "table_include_list": ["public.a", "public.b"]})");
  CHECK(settings == Settings{{"connector.class", "C"},
                             {"database.port", "5432"},
                             {"tombstones.on.delete", "false"},
                             {"table.include.list", "public.a,public.b"}});

  const auto mistakes =
      mistakes_of(R"({"slot_name": "a", "slot.name": "b", "a": {}, "b": null, "c": [[1]]})");
  CHECK_THAT(mistakes, ContainsSubstring("slot.name comes twice"));
  CHECK_THAT(mistakes, ContainsSubstring("a has to be a text"));
  CHECK_THAT(mistakes, ContainsSubstring("b has to be a text"));
  CHECK_THAT(mistakes, ContainsSubstring("c has to be a text"));
  CHECK_THAT(mistakes, ContainsSubstring("connector_class is missing"));
}

TEST_CASE("control: of making topics what is told stays, and the rest is the brokers' default") {
  Settings settings{{"topic.creation.default.partitions", "3"}};
  CHECK(says_how_to_make_topics(settings));
  let_connect_make_topics(settings);
  CHECK(settings == Settings{{"topic.creation.default.partitions", "3"},
                             {"topic.creation.default.replication.factor", "-1"}});
  CHECK_FALSE(says_how_to_make_topics({{"topic.prefix", "p"}}));
}

TEST_CASE("control: secrets are not shown, references to them are") {
  const Settings settings{{"database.password", "hunter2"},
                          {"other.password", "${env:PASSWORD}"},
                          {"database.user", "debezium"},
                          {"connection.url", "jdbc:postgresql://h/d?user=u&password=hunter3&a=b"},
                          {"other.url", "postgresql://u:hunter4@h/d"},
                          {"producer.override.sasl.jaas.config", "… password='hunter5'"}};
  const auto shown = masked(settings);
  CHECK(shown.at("database.password") == "****");
  CHECK(shown.at("other.password") == "${env:PASSWORD}");
  CHECK(shown.at("database.user") == "debezium");
  CHECK(shown.at("connection.url") == "jdbc:postgresql://h/d?user=u&password=****&a=b");
  CHECK(shown.at("other.url") == "postgresql://u:****@h/d");
  CHECK(shown.at("producer.override.sasl.jaas.config") == "****");
  CHECK(without_secrets("hunter2 is wrong: hunter2", settings) == "**** is wrong: ****");
}

TEST_CASE("control: a connector's name is a part of a path") {
  CHECK(is_connector_name("postgres-connector_1.a"));
  for (const auto* const name : {"", ".", "..", "a/b", "a b", "a%2Fb", "a?b", "ä"}) {
    CAPTURE(name);
    CHECK_FALSE(is_connector_name(name));
  }
  CHECK_FALSE(is_connector_name(std::string(201, 'a')));
}

TEST_CASE("control: topics that Kafka or Connect can't go on without are told from others") {
  for (const auto* const topic : {"__consumer_offsets", "__transaction_state", "connect-configs",
                                  "connect-offsets", "connect-status", "my_connect_configs",
                                  "lockstep.connect.statuses", "docker-connect-config"}) {
    CAPTURE(topic);
    CHECK(is_system_topic(topic));
  }
  for (const auto* const topic : {"dbserver1.public.users", "shop.public.connect_requests",
                                  "disconnect-status", "connect-configs-copy", "offsets"}) {
    CAPTURE(topic);
    CHECK_FALSE(is_system_topic(topic));
  }
}

TEST_CASE("control: what a body has is there, what is null is not") {
  const auto body = Body::parse(R"({"name": "a", "count": 7, "other": null})",
                                {{"name", Field::Kind::text, true},
                                 {"count", Field::Kind::whole_number},
                                 {"other", Field::Kind::text}});
  REQUIRE(body);
  CHECK(body->text("name") == "a");
  CHECK(body->number("count") == 7);
  CHECK_FALSE(body->has("other"));
  CHECK(body->text("other").empty());
}

TEST_CASE("control: all mistakes of a body are told at once") {
  CHECK(answer_to(R"({"name": "a", "retention_ms": -1})") == "taken");
  CHECK(answer_to(R"({"name": "a", "retention_ms": null})") == "taken");
  const auto mistakes = answer_to(R"({"nme": "a", "retention_ms": 1.5, "xyz": 1})");
  CHECK_THAT(mistakes, ContainsSubstring("nme is not known, did you mean name?"));
  CHECK_THAT(mistakes, ContainsSubstring("xyz is not known; "));
  CHECK_THAT(mistakes, ContainsSubstring("name is missing, expected a text"));
  CHECK_THAT(mistakes, ContainsSubstring("retention_ms has to be a whole number"));
  CHECK_THAT(answer_to(R"({"name": ""})"), ContainsSubstring("a text that is not empty"));
  CHECK_THAT(answer_to(R"({"name": "a", "retention_ms": 18446744073709551615})"),
             ContainsSubstring("a whole number"));
  for (const auto* const text : {"", "[]", "{", "1", "null", "\"name\"", "{\"name\": \"\xff\"}"}) {
    CAPTURE(text);
    CHECK_THAT(answer_to(text), ContainsSubstring("no JSON object"));
  }
}

TEST_CASE("control: the OpenAPI document has the routes that there are, and no others") {
  lockstep::pipeline::Registry pipelines;
  const auto feed = std::make_shared<http::Feed>();
  lockstep::live::Live live{
      {"127.0.0.1:1", {}, "0", [] { return std::map<std::string, std::vector<std::string>>{}; }},
      feed};
  const Services services{"http://127.0.0.1:1", "127.0.0.1:1", {}};
  lockstep::source::Source source{{}, pipelines};
  const lockstep::config::Config config;
  Consumers consumers{config, pipelines, [](const auto&) { return lockstep::done; }};
  std::set<std::string> routed{"GET /openapi.json"};
  for (const auto& routes :
       {http::pipeline_routes(pipelines, "0"), live.routes(), source.routes(),
        connector_routes(services), topic_routes(services), consumers.routes()}) {
    for (const auto& route : routes) routed.insert(route.method + " " + shape_of(route.path));
  }

  std::string text;
  for (const auto& route : http::page_routes()) {
    if (route.path == "/openapi.json") text = route.handle({}).body;
  }
  const auto document = Json::parse(text, nullptr, false);
  REQUIRE(document.is_object());
  std::set<std::string> described;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string upper = method;
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      described.insert(upper + " " + shape_of(path));
      CAPTURE(path, method);
      CHECK(operation.contains("summary"));
    }
  }
  CHECK(described == routed);
}

TEST_CASE("control: what is kept is written whole, and read by nobody else meanwhile") {
  const auto folder = lockstep::test::fresh_folder("control_kept") / "made" / "at need";
  const std::vector<Json> list{{{"consumer_id", "a"}}, {{"consumer_id", "b"}}};
  {
    Kept kept{folder};
    REQUIRE(kept.read());
    CHECK(kept.read()->empty());
    CHECK_FALSE(std::filesystem::exists(folder));
    REQUIRE(kept.write(list));
    CHECK(*kept.read() == list);
    Kept other{folder};
    CHECK_THAT(other.read().error(), ContainsSubstring("belongs to another lockstepd"));
    CHECK_FALSE(other.write({}));
  }
  const auto file = folder / "consumers.json";
  CHECK((std::filesystem::status(file).permissions() & std::filesystem::perms::group_read) ==
        std::filesystem::perms::none);
  CHECK(*Kept{folder}.read() == list);
  for (const auto* const text :
       {"", "[]", "{}", R"({"format": 2, "consumers": []})", R"({"format": 1, "consumers": {}})"}) {
    CAPTURE(text);
    std::ofstream{file} << text;
    const auto refused = Kept{folder}.read();
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error(), ContainsSubstring("mend it, or move it away"));
  }
  Kept nowhere{{}};
  CHECK(nowhere.read()->empty());
  CHECK(nowhere.write(list));
  CHECK_FALSE(nowhere.is_kept());
}

TEST_CASE("control: a consumer that is kept is what was asked for") {
  const auto wanted = wanted_consumer(
      R"({"consumer_id": "a", "kafka_topic": "t", "job_type": "sync", "connection_id": "c",
          "max_event": 3, "max_time": 4, "auto_offset_reset": "latest", "pipeline_name": null})");
  REQUIRE(wanted);
  CHECK(wanted->from_end);
  auto json = wanted->json;
  CHECK_FALSE(json.contains("pipeline_name"));
  json["started_at"] = "2026-01-31T12:00:00.000Z";
  const auto kept = kept_consumer(json);
  REQUIRE(kept);
  CHECK(kept->json == json);
  CHECK(kept->consumer.max_event == 3);
  CHECK(kept->consumer.max_time == std::chrono::seconds{4});
  CHECK(kept->from_end);
  CHECK_FALSE(wanted_consumer(json.dump()));  // started_at is not the caller's to say
}

TEST_CASE("control: what a consumer is at tells its state and last error") {
  const auto wanted =
      wanted_consumer(R"({"consumer_id": "a", "kafka_topic": "t", "job_type": "replica"})");
  REQUIRE(wanted);
  http::View view;
  view.name = "a";
  const auto info = [&](const std::string& failure = {}) {
    return consumer_info(*wanted, failure, view);
  };
  view.running = false;
  view.cause = "no such property";
  CHECK(info()["state"] == "failed");
  CHECK(info()["last_error"] == "no such property");
  CHECK(info("its connection is gone")["last_error"] == "its connection is gone");
  view.running = true;
  view.cause = "the pipeline does not run";
  CHECK(info()["state"] == "starting");
  CHECK(info()["last_error"].is_null());
  view.silent_for = std::chrono::seconds{6};
  CHECK(info()["state"] == "silent");
  CHECK(info()["last_error"] == "the pipeline does not run");

  view.status.emplace();
  view.cause.clear();
  CHECK(info()["state"] == "running");
  view.status->counters.skipped = {{"a", 2}, {"b", 3}};
  CHECK(info()["counts"]["skipped"] == 5);
  view.status->target_outage = "connection refused";
  CHECK(info()["last_error"] == "connection refused");
  lockstep::pipeline::LaneStatus lane;
  lane.state = lockstep::Lane::State::stopped;
  lane.cause = "no such column";
  view.status->lanes.push_back(lane);
  CHECK(info()["state"] == "stopped");
  CHECK(info()["last_error"] == "no such column");
  view.status->gate.emplace();
  view.status->gate->max_time = std::chrono::seconds{60};
  view.status->gate->window_start = std::chrono::system_clock::time_point{};
  CHECK(info()["window"]["started"] == "1970-01-01T00:00:00.000Z");
  CHECK(info()["window"]["ends"] == "1970-01-01T00:01:00.000Z");
  CHECK(info()["last_load"].is_null());
}
