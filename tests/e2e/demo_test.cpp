// demo on the whole pipeline: its twelve changes arrive, and nothing of it stays.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "stack.hpp"

using namespace lockstep::test;

TEST_CASE("the demo's twelve changes arrive, and leave nothing behind") {
  const auto& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::vector<std::string> tables{"users", "orders", "super_heroes", "package_status"};
  const Connector connector{unique("demo"), tables};
  DaemonConfig config{unique("demo"), {}};
  for (const auto& table : tables) config.topics.push_back(connector.topic(table));
  Daemon daemon{config.pipeline, config};
  for (const auto& topic : config.topics) {  // equal they may have been before
    daemon.await_log("next=" + topic + "[0]@", std::chrono::seconds{60});
  }
  for (const auto& table : tables) await_equal(source, target, table);

  // The configuration of this stack, in the place where the tools look for it.
  const Surroundings project{
      .folder = fresh_folder("demo"),
      .environment = {{"SOURCE_URL", stack.source_url}, {"LOCKSTEP_CONFIG", std::nullopt}}};
  std::filesystem::create_directory(project.folder / "config");
  std::ofstream{project.folder / "config" / "lockstep.yaml"} << to_yaml(config);

  // What a real connector writes fits these tables.
  const auto check = run_program("lockstepd", {"-c", "config/lockstep.yaml", "--check"}, project);
  INFO(check.out << check.err);
  CHECK(check.code == 0);
  CHECK_THAT(check.out, ContainsSubstring("  4 tables: 4 ok\nready\n"));

  const auto demo = run_program("demo", {}, project);
  INFO(demo.out << demo.err);
  CHECK(demo.code == 0);
  CHECK(demo.err.empty());
  std::size_t ticks = 0;
  for (auto at = demo.out.find("✓"); at != std::string::npos; at = demo.out.find("✓", at + 1)) {
    ++ticks;
  }
  CHECK(ticks == 12);
  CHECK_THAT(demo.out, ContainsSubstring("All 12 changes arrived"));
  CHECK_THAT(demo.out, !ContainsSubstring("postgres:postgres"));
  for (Database* database : {&source, &target}) {
    CHECK(database->text("SELECT count(*) FROM users WHERE email LIKE 'demo-%'") == "0");
  }

  // And with nobody to bring them there it says so.
  CHECK(daemon.stop() == 0);
  const auto alone = run_program("demo", {"--timeout", "1"}, project);
  CHECK(alone.code == 1);
  CHECK_THAT(alone.out, ContainsSubstring("✗ not in the target after 1 s"));
  CHECK_THAT(alone.out, ContainsSubstring("Does lockstepd run"));
  CHECK(source.text("SELECT count(*) FROM users WHERE email LIKE 'demo-%'") == "0");

  // It looks where the rules send the rows.
  DaemonConfig mapped{unique("demo_mapped"), config.topics};
  const std::string schema = mapped.pipeline;
  mapped.sink["tables"] = "[{match: public.users, to: " + schema +
                          ".people, columns: {exclude: [email], rename: {id: nr, name: full_name}}}"
                          ", {match: public.*, to: " +
                          schema + ".*}]";
  Daemon other{mapped.pipeline, mapped};
  other.await_log("statement: CREATE TABLE ", std::chrono::seconds{30}, 4);
  std::ofstream{project.folder / "config" / "lockstep.yaml"} << to_yaml(mapped);
  const auto again = run_program("demo", {}, project);
  INFO(again.out << again.err);
  CHECK(again.code == 0);
  CHECK_THAT(again.out, ContainsSubstring("All 12 changes arrived"));
  CHECK(target.text("SELECT count(*) FROM " + schema + ".people WHERE full_name = 'Zoë Demo'") ==
        "0");
  CHECK(other.stop() == 0);
}
