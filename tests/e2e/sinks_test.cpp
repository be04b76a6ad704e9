// The other sinks, on changes as Debezium sends them.
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using nlohmann::json;
using std::chrono::seconds;

namespace {

/// The lines of the console that have the text, as JSON.
std::vector<json> printed(const Daemon& daemon, const std::string& text) {
  std::vector<json> lines;
  for (const auto& line : daemon.lines_with(text)) {
    if (line.starts_with("{\"op\"")) lines.push_back(json::parse(line));
  }
  return lines;
}

}  // namespace

TEST_CASE("the console prints each change once, and goes on where it was after a restart") {
  Database source{Stack::from_environment().source_url};
  const std::string name = unique("console");
  source.exec("CREATE TABLE " + name + " (id int PRIMARY KEY, name text, price numeric(10,2))");
  source.exec("ALTER TABLE " + name + " REPLICA IDENTITY FULL");
  source.exec("INSERT INTO " + name + " VALUES (1, 'first', 1.50)");
  const Connector connector{unique("console"), {name}};
  Daemon daemon{
      name,
      {DaemonConfig{.pipeline = name,
                    .topics = {connector.topic(name)},
                    .sink_type = "console",
                    .sink = {{"format", "json"}}},
       DaemonConfig{
           .pipeline = name + "-text", .topics = {connector.topic(name)}, .sink_type = "console"}}};
  daemon.await_log("\"op\":\"read\"", seconds{30});
  source.exec("UPDATE " + name + " SET name = 'second' WHERE id = 1");
  source.exec("UPDATE " + name + " SET id = 2");
  source.exec("DELETE FROM " + name);
  eventually(seconds{30}, "all is printed", [&] { return printed(daemon, name).size() == 5; });

  const auto lines = printed(daemon, name);
  CHECK(lines[0]["after"] == json::parse(R"({"id":1,"name":"first","price":1.50})"));
  CHECK(lines[1]["op"] == "update");
  CHECK(lines[1]["before"]["name"] == "first");
  CHECK(lines[1]["after"]["name"] == "second");
  CHECK(lines[1]["table"] == "public." + name);
  // A row that gets another key has two events.
  CHECK(lines[2]["op"] == "delete");
  CHECK(lines[2]["key"]["id"] == 1);
  CHECK(lines[3]["op"] == "create");
  CHECK(lines[3]["key"]["id"] == 2);
  CHECK(lines[4]["op"] == "delete");
  CHECK(lines[4]["before"]["name"] == "second");
  daemon.await_log(" update public." + name + " id=1 name: \"first\" -> \"second\" (", seconds{10});

  REQUIRE(daemon.stop() == 0);
  source.exec("INSERT INTO " + name + " VALUES (3, 'while it was away', NULL)");
  daemon.start();
  daemon.await_log("while it was away", seconds{30}, 2);
  CHECK(printed(daemon, name).size() == 6);
}
