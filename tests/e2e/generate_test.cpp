// generate_changes on the whole pipeline: each change arrives; and debug_kafka shows it there.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;

TEST_CASE("all that generate_changes makes arrives") {
  const auto& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::vector<std::string> tables{"users", "orders", "package_status"};
  const Connector connector{unique("generate"), tables};
  DaemonConfig config{unique("generate"), {}};
  for (const auto& table : tables) config.topics.push_back(connector.topic(table));
  Daemon daemon{config.pipeline, config};
  const Surroundings project{
      .folder = fresh_folder("generate"),
      .environment = {{"SOURCE_URL", stack.source_url}, {"LOCKSTEP_CONFIG", std::nullopt}}};
  std::filesystem::create_directory(project.folder / "config");
  std::ofstream{project.folder / "config" / "lockstep.yaml"} << to_yaml(config);

  for (const std::string mix : {"70:25:5", "10:60:30"}) {
    CAPTURE(mix);
    const auto made =
        run_program("generate_changes", {"-Q", "300", "--mix", mix, "--json"}, project);
    INFO(made.out << made.err);
    REQUIRE(made.code == 0);
    const auto did = nlohmann::json::parse(made.out);
    CHECK(did["changes"] == 300);
    for (const auto& table : tables) await_equal(source, target, table);
  }
  CHECK(target.number("SELECT count(*) FROM package_status WHERE status = 'Package Delivered'") >
        0);

  // Kafka and Connect as debug_kafka shows them, once the group's offsets have followed.
  nlohmann::json document;
  eventually(std::chrono::seconds{30}, "the group has no lag but for a marker", [&] {
    const auto shown =
        run_program("debug_kafka", {"--json", "--connect", stack.connect_url}, project);
    if (shown.code != 0) return false;
    document = nlohmann::json::parse(shown.out);
    for (const auto& one : document["groups"][0]["partitions"]) {
      if (one["offset"].is_null() || one["lag"] > 1) return false;
    }
    return true;
  });
  CHECK(document["groups"][0]["group"] == "lockstep." + config.pipeline);
  CHECK(document["groups"][0]["partitions"].size() == 3);
  bool running = false;
  for (const auto& one : document["connect"]["connectors"]) {
    if (connector.topic("x") != one["name"].get<std::string>() + ".public.x") continue;
    running = one["connector"]["state"] == "RUNNING" && one["tasks"][0]["state"] == "RUNNING";
  }
  CHECK(running);
  CHECK(daemon.stop() == 0);
}
