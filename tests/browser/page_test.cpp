// A daemon that replicates, and one that asks for a token, for page.mjs to look at.
#include <cstdlib>
#include <filesystem>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;

TEST_CASE("the live page in a browser") {
  const Stack& stack = Stack::from_environment();
  Database source{stack.source_url};
  Database target{stack.target_url};
  const std::string table = unique("page_plain");
  const std::string full = unique("page_full");
  for (const auto& name : {table, full}) {
    source.exec(
        "CREATE TABLE " + name +
        " (id bigint PRIMARY KEY, name text, amount numeric, note text, n int NOT NULL DEFAULT 7)");
  }
  source.exec("ALTER TABLE " + full + " REPLICA IDENTITY FULL");
  source.exec("INSERT INTO " + table + " VALUES (0, 'there before', 0, NULL)");
  const std::string name = unique("page");
  const std::string signals = unique("page_signals");
  source.exec("CREATE TABLE " + signals +
              " (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048)); "
              "GRANT SELECT, INSERT, DELETE ON " +
              signals + " TO debezium");
  const Connector connector{
      name, {table, full, signals}, {{"signal.data.collection", "public." + signals}}};
  const std::vector topics{connector.topic(table), connector.topic(full)};
  DaemonConfig config{name, topics};
  config.listen = "127.0.0.1:0";
  config.source = {{"url", stack.source_url}, {"signals", "public." + signals}};
  config.sink["dead_letter_topic"] = name + ".lost";
  const Daemon daemon{name, config};
  config.pipeline = unique("page_guarded");
  config.token = "open-sesame-and-more";
  config.sink["schema"] = "guarded";
  target.exec("CREATE SCHEMA IF NOT EXISTS guarded");
  const Daemon guarded{config.pipeline, config};
  using namespace std::chrono_literals;
  eventually(60s, "the row of the snapshot is applied",
             [&] { return target.text("SELECT to_regclass('" + table + "')") != "NULL"; });

  const auto set = [](const char* variable, const std::string& value) {
    ::setenv(variable, value.c_str(), 1);
  };
  const auto url = [](const Daemon& of) {
    return "http://127.0.0.1:" + std::to_string(of.http_port()) + "/";
  };
  const std::string shots = LOCKSTEP_BROWSER_DIR "/screenshots";
  std::filesystem::create_directories(shots);
  set("PAGE_URL", url(daemon));
  set("GUARDED_URL", url(guarded));
  set("SOURCE_URL", stack.source_url);
  set("TARGET_URL", stack.target_url);
  set("PIPELINE", name);
  set("TABLE", table);
  set("FULL_TABLE", full);
  set("SIGNALS", signals);
  set("MODULES", LOCKSTEP_BROWSER_DIR);
  set("SHOTS", shots);
  const char* more = std::getenv("LOCKSTEP_BROWSER_ARGS");
  CHECK(std::system((std::string{"node --test --test-reporter=spec "} + (more ? more : "") +
                     " " LOCKSTEP_SOURCE_DIR "/tests/browser/page.mjs")
                        .c_str()) == 0);
}
