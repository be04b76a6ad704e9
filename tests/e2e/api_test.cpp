// The control API on real services: connectors and topics, what is answered when it can't be done,
// and whatever schemathesis makes of the OpenAPI document.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "api.hpp"
#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"
#include "web.hpp"

using namespace lockstep::test;
using nlohmann::json;
using std::chrono::seconds;

namespace {

/// What postgres_connector.json says, for a table.
json connector_settings(const std::string& name, const std::string& table) {
  return {{"connector_class", "io.debezium.connector.postgresql.PostgresConnector"},
          {"database_hostname", "${env:SOURCE_HOST}"},
          {"database_port", "${env:SOURCE_PORT}"},
          {"database_user", "postgres"},
          {"database_password", "postgres"},
          {"database_dbname", "source_db"},
          {"topic_prefix", name},
          {"plugin_name", "pgoutput"},
          {"slot_name", name},
          {"publication_name", name},
          {"publication_autocreate_mode", "filtered"},
          {"table_include_list", json::array({"public." + table})}};
}

}  // namespace

TEST_CASE("api: a connector that is started replicates its table, and is known until deleted") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const auto name = unique("api_connector");
  source.exec("CREATE TABLE " + name + " (id int PRIMARY KEY, name text)");
  source.exec("INSERT INTO " + name + " VALUES (1, 'one')");
  const Api api{name, name + ".public." + name};
  const json wanted{{"name", name}, {"config", connector_settings(name, name)}};

  const auto started = api.call("POST", "/debezium/start/", wanted);
  INFO(started.text);
  REQUIRE(started.status == 201);
  CHECK(started.body["config"]["table.include.list"] == "public." + name);
  // The stack's brokers make no topics.
  CHECK(started.body["config"]["topic.creation.default.replication.factor"] == "-1");
  CHECK_THAT(started.text, !ContainsSubstring("\"database.password\":\"postgres\""));
  await_equal(source, target, name);

  CHECK(api.refusal("POST", "/debezium/start/", wanted) == 409);
  const auto list = api.call("GET", "/debezium/list/");
  REQUIRE(list.status == 200);
  bool listed = false;
  for (const auto& one : list.body["connectors"]) listed = listed || one["name"] == name;
  CHECK(listed);
  const auto path = "/debezium/connector/" + name;
  const auto info = api.call("GET", path + "/info/");
  REQUIRE(info.status == 200);
  CHECK(info.body["state"] == "RUNNING");
  CHECK(info.body["tasks"].size() == 1);
  CHECK(info.body["config"]["database.password"] == "****");
  CHECK(info.body["config"]["slot.name"] == name);

  const auto removed = api.call("DELETE", path + "/delete/");
  CHECK(removed.status == 204);
  CHECK(removed.text.empty());
  CHECK(api.refusal("DELETE", path + "/delete/") == 404);
  CHECK(api.refusal("GET", path + "/info/") == 404);
  CHECK(api.refusal("GET", "/debezium/connector/a%2Fb%20c/info/") == 404);
  eventually(seconds{30}, "the slot is free", [&] {
    source.exec("SELECT pg_drop_replication_slot('" + name + "')");
    return true;
  });
  source.exec("DROP PUBLICATION " + name);
}

TEST_CASE("api: what Connect refuses is told in its words, without the password") {
  const auto name = unique("api_refused");
  const Api api{name, name};
  const auto refused = [&](const json& config) {
    const auto reply =
        api.call("POST", "/debezium/start/", json{{"name", name}, {"config", config}});
    CHECK(reply.status == 400);
    return reply.body.value("detail", "");
  };
  auto settings = connector_settings(name, "users");
  settings["database_port"] = 1;
  settings["database_password"] = "hunter2";
  const auto told = refused(settings);
  CHECK_THAT(told, ContainsSubstring("refused") && !ContainsSubstring("hunter2"));
  CHECK_THAT(refused({{"connector_class", "NoSuchConnector"}}),
             ContainsSubstring("NoSuchConnector"));
  CHECK_THAT(refused({{"topic_prefix", "p"}}), ContainsSubstring("connector_class is missing"));
  CHECK(api.refusal("POST", "/debezium/start/", json{{"name", "a/b"}, {"config", settings}}) ==
        400);
  CHECK_FALSE(api.daemon.logged("hunter2"));
}

TEST_CASE("api: topics are made, changed and deleted") {
  const auto name = unique("api_topic");
  const Api api{name, name};
  const auto query = "?topic_name=" + name;
  const auto made = api.call("POST", "/topic/create",
                             json{{"topic_name", name},
                                  {"num_partitions", 3},
                                  {"replication_factor", 1},
                                  {"retention_ms", 3'600'000},
                                  {"retention_bytes", 1'000'000}});
  INFO(made.text);
  REQUIRE(made.status == 201);
  CHECK(made.body["num_partitions"] == 3);
  CHECK(api.refusal("POST", "/topic/create", json{{"topic_name", name}}) == 400);

  const auto changed =
      api.call("PATCH", "/topic/update", json{{"topic_name", name}, {"retention_ms", -1}});
  CHECK(changed.status == 200);
  const auto config = api.call("GET", "/topic/config" + query);
  REQUIRE(config.status == 200);
  CHECK(config.body["retention_ms"] == -1);
  CHECK(config.body["retention_bytes"] == 1'000'000);  // the other stays
  CHECK(config.body["config"]["cleanup.policy"] == "delete");

  const auto update = [&](const json& body) { return api.refusal("PATCH", "/topic/update", body); };
  CHECK(update({{"topic_name", name}}) == 422);
  CHECK(update({{"topic_name", name}, {"retention_ms", -2}}) == 422);
  CHECK(update({{"topic_name", name}, {"retention_ms", "1h"}}) == 400);
  CHECK(update({{"topic_name", name}, {"retention", 1}}) == 400);
  CHECK(update({{"topic_name", name + "x"}, {"retention_ms", 1}}) == 404);

  const auto create = [&](const json& body) { return api.refusal("POST", "/topic/create", body); };
  CHECK(create({{"topic_name", "a b"}}) == 400);
  CHECK(create({{"topic_name", "__a"}}) == 400);
  CHECK(create({{"topic_name", name + "x"}, {"num_partitions", 0}}) == 400);
  CHECK(create({{"topic_name", name + "x"}, {"replication_factor", 7}}) == 400);  // one broker

  const auto list = api.call("GET", "/topic/list");
  bool listed = false;
  for (const auto& topic : list.body["topics"]) {
    listed = listed || topic["topic_name"] == name;
    CHECK_FALSE(topic["topic_name"].get<std::string>().starts_with("__"));
  }
  CHECK(listed);
  CHECK(api.call("DELETE", "/topic/delete" + query).status == 204);
  CHECK(api.refusal("DELETE", "/topic/delete" + query) == 404);
  CHECK(api.refusal("GET", "/topic/config" + query) == 404);
  for (const std::string system : {"__consumer_offsets", "connect-configs", "connect-status"}) {
    CAPTURE(system);
    CHECK(api.refusal("DELETE", "/topic/delete?topic_name=" + system) == 400);
    CHECK(update({{"topic_name", system}, {"retention_ms", 1}}) == 422);
  }
  CHECK(api.call("GET", "/topic/config?topic_name=connect-configs").status == 200);
  CHECK(api.refusal("DELETE", "/topic/delete") == 400);
}

TEST_CASE("api: without Kafka or Connect it is 503, and probes are answered meanwhile") {
  const auto name = unique("api_away");
  const Api api{name, name, "127.0.0.1:1"};
  CHECK(api.refusal("GET", "/topic/list") == 503);
  CHECK(api.refusal("POST", "/topic/create", json{{"topic_name", name}}) == 503);
  CHECK(api.refusal("PATCH", "/topic/update", json{{"topic_name", name}, {"retention_ms", 1}}) ==
        503);

  const Outage outage{"connect", Outage::How::freeze};
  WebConnection slow{api.daemon.http_port()};
  slow.send("GET /debezium/list/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const auto begin = std::chrono::steady_clock::now();
  CHECK(api.call("GET", "/status").status == 200);
  CHECK(std::chrono::steady_clock::now() - begin < seconds{3});
  CHECK_THAT(slow.receive_all(seconds{15}), ContainsSubstring("503"));
}

TEST_CASE("api: schemathesis finds no call that breaks what the OpenAPI document says") {
  const auto name = unique("api_schema");
  Api api{name, name};
  const auto command =
      std::string{"bash '" LOCKSTEP_SOURCE_DIR "/tests/api/schemathesis.sh' '" LOCKSTEP_API_DIR
                  "' http://127.0.0.1:"} +
      std::to_string(api.daemon.http_port());
  CHECK(std::system(command.c_str()) == 0);
  CHECK_FALSE(api.daemon.logged("request failed"));
  CHECK(api.daemon.running());
}
