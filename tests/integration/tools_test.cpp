// The tools as a user runs them: what they print, and how they end.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

using namespace lockstep::test;

namespace {

/// Of the stack, which a user's shell does not have.
const std::vector<std::string> stack_variables{"SOURCE_HOST",     "SOURCE_PORT", "SOURCE_URL",
                                               "TARGET_HOST",     "TARGET_PORT", "TARGET_URL",
                                               "KAFKA_BROKERS",   "KAFKA_PORT",  "LOCKSTEP_CONFIG",
                                               "SOURCE_PASSWORD", "CONNECT_URL", "CONNECT_PORT"};

/// A folder like the project's, with a .env of these lines. Its configuration is setup.sh's, but
/// for the role: tables that other tests have left are not the daemon's to read.
Surroundings project(const std::string& name, const std::string& dot_env) {
  Surroundings project{.folder = fresh_folder(name)};
  std::ostringstream yaml;
  yaml << std::ifstream{LOCKSTEP_SOURCE_DIR "/config/lockstep.yaml"}.rdbuf();
  std::string text = yaml.str();
  const std::string role = "lockstep:${TARGET_PASSWORD:-lockstep}";
  REQUIRE(text.find(role) != std::string::npos);
  text.replace(text.find(role), role.size(), "postgres:${TARGET_PASSWORD:-postgres}");
  std::filesystem::create_directory(project.folder / "config");
  std::ofstream{project.folder / "config" / "lockstep.yaml"} << text;
  std::ofstream{project.folder / ".env"} << dot_env;
  for (const auto& variable : stack_variables) project.environment[variable] = std::nullopt;
  return project;
}

std::string port_of(const std::string& url) {
  const auto colon = url.rfind(':');
  return url.substr(colon + 1, url.find('/', colon) - colon - 1);
}

/// The ports as setup.sh writes them down when they have moved.
Surroundings moved_ports(const std::string& name) {
  const auto& stack = Stack::from_environment();
  return project(name, "# moved\nSOURCE_PORT=" + port_of(stack.source_url) + "\nTARGET_PORT='" +
                           port_of(stack.target_url) + "'\n");
}

/// And its brokers.
Surroundings with_brokers(const std::string& name) {
  auto project = moved_ports(name);
  std::ofstream{project.folder / ".env", std::ios::app}
      << "KAFKA_BROKERS=" << Stack::from_environment().brokers << "\n";
  return project;
}

/// Puts this into the configuration, behind the sink's type.
void configure_sink(const Surroundings& project, const std::string& lines_of_yaml) {
  const auto file = project.folder / "config" / "lockstep.yaml";
  std::ostringstream yaml;
  yaml << std::ifstream{file}.rdbuf();
  std::string text = yaml.str();
  const std::string begin = "      type: postgres\n";
  text.insert(text.find(begin) + begin.size(), lines_of_yaml);
  std::ofstream{file} << text;
}

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> objects;
  std::istringstream all{text};
  for (std::string line; std::getline(all, line);) objects.push_back(nlohmann::json::parse(line));
  return objects;
}

/// A topic with `count` changes in partition 0, as Connect writes them, each of a row of its own.
std::string topic_of_changes(Kafka& kafka, int count, int partitions = 1) {
  auto topic = unique("tools") + ".public.things";
  kafka.create_topic(topic, partitions);
  for (int i = 0; i < count; ++i) {
    const auto id = std::to_string(i);
    kafka.produce(topic, 0, R"({"schema":{"type":"struct"},"payload":{"id":)" + id + "}}",
                  R"({"schema":{"type":"struct"},"payload":{"op":"c","after":{"id":)" + id +
                      R"(,"price":1.50,"note":"a\u001b[31m"},"tags":[]}})");
  }
  kafka.flush();
  return topic;
}

/// The same server's.
std::string other_database(const std::string& url, const std::string& database) {
  return url.substr(0, url.rfind('/') + 1) + database;
}

long lines(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

/// One line on standard error, nothing on standard output.
void check_fails(const Ended& ended, int code, const std::string& says) {
  INFO(ended.out << ended.err);
  CHECK(ended.code == code);
  CHECK(ended.out.empty());
  CHECK(lines(ended.err) == 1);
  CHECK_THAT(ended.err, ContainsSubstring(says));
  CHECK_THAT(ended.err, !ContainsSubstring("hunter2"));
}

/// A table of the target with three rows.
struct Sample {
  Sample() {
    target.exec("CREATE TABLE " + name +
                " (id int PRIMARY KEY, name text, price numeric, synced_at timestamptz);"
                "INSERT INTO " +
                name +
                " VALUES (3, 'Zoë', 1.50, NULL), (1, E'two\\nlines', 2, '2024-06-01 12:00Z'),"
                " (2, NULL, NULL, '2024-06-01 11:00Z')");
  }
  ~Sample() { target.exec("DROP TABLE " + name); }
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  Database target{Stack::from_environment().target_url};
  const std::string name = unique("tools");
};

}  // namespace

TEST_CASE("check_target_db: the tables, found through .env") {
  const Sample sample;
  const auto project = moved_ports("tools-list");
  const auto list = run_program("check_target_db", {}, project);
  INFO(list.out << list.err);
  CHECK(list.code == 0);
  CHECK(list.err.empty());
  CHECK(list.out.starts_with("table "));
  const auto begin = list.out.find("public." + sample.name + " ");
  REQUIRE(begin != std::string::npos);
  const auto line = list.out.substr(begin, list.out.find('\n', begin) - begin);
  CHECK_THAT(line, ContainsSubstring(" 3  2024-06-01 12:00:00+00"));
  CHECK(list.out.find("lockstep.progress") == std::string::npos);

  const auto json = run_program("check_target_db", {"--json"}, project);
  CHECK(json.code == 0);
  CHECK_THAT(json.out, ContainsSubstring("\"table\": \"public." + sample.name +
                                         "\",\n    \"rows\": 3,\n    \"newest_synced_at\": "
                                         "\"2024-06-01 12:00:00+00\""));
}

TEST_CASE("check_target_db: rows in the order of the key, by condition and by page") {
  const Sample sample;
  const auto project = moved_ports("tools-rows");
  const auto show = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), sample.name);
    auto ended = run_program("check_target_db", arguments, project);
    INFO(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    return ended.out;
  };
  CHECK(show({}) ==
        "id  name        price  synced_at\n"
        "──  ──────────  ─────  ──────────────────────\n"
        " 1  two\\nlines      2  2024-06-01 12:00:00+00\n"
        " 2  ∅               ∅  2024-06-01 11:00:00+00\n"
        " 3  Zoë          1.50  ∅\n"
        "(∅ is NULL)\n"
        "3 rows\n");
  CHECK(show({"--where", "id=3"}) ==
        "id  name  price  synced_at\n"
        "──  ────  ─────  ─────────\n"
        " 3  Zoë    1.50  ∅\n"
        "(∅ is NULL)\n"
        "1 row\n");
  CHECK_THAT(show({"--limit", "2"}), ContainsSubstring("2 rows of 3; --offset 2 shows the next\n"));
  CHECK_THAT(show({"--limit", "2", "--offset", "2"}), ContainsSubstring("1 row of 3\n"));
  CHECK(show({"--where", "id > 1 -- all but one", "--limit", "1", "--json"}) ==
        "[\n  {\"id\":2,\"name\":null,\"price\":null,\"synced_at\":\"2024-06-01T11:00:00+00:00\"}"
        "\n]\n");
  CHECK(show({"--where", "false", "--json"}) == "[\n]\n");
}

TEST_CASE("check_target_db: a source's table is shown where the rules send it") {
  const Sample sample;
  const auto project = moved_ports("tools-rules");
  configure_sink(project, "      tables: [{match: crm.people, to: public." + sample.name + "}]\n");
  const auto shown =
      run_program("check_target_db", {"crm.people", "--where", "id=3", "--json"}, project);
  INFO(shown.err);
  CHECK(shown.code == 0);
  CHECK(shown.out == "[\n  {\"id\":3,\"name\":\"Zoë\",\"price\":1.50,\"synced_at\":null}\n]\n");
}

TEST_CASE("check_target_db: what can't be shown is told in one line") {
  const Sample sample;
  const auto project = moved_ports("tools-errors");
  const auto run = [&](const std::vector<std::string>& arguments) {
    return run_program("check_target_db", arguments, project);
  };
  std::string misspelt = sample.name;
  std::swap(misspelt[0], misspelt[1]);
  check_fails(run({misspelt}), 1,
              "no table \"" + misspelt + "\"; did you mean public." + sample.name);
  check_fails(run({"nothing_like_it"}), 1, "without a name, all tables are listed");
  check_fails(run({sample.name, "--where", "no_such_column = 1"}), 1,
              "column \"no_such_column\" does not exist");
  check_fails(run({sample.name, "--where", "id = "}), 1, "syntax error");
  check_fails(run({sample.name, "--where", "false); DELETE FROM " + sample.name + "; --"}), 1,
              "error: ");
  check_fails(run({"--pipeline", "replcia"}), 2,
              "no pipeline \"replcia\" with a postgres sink; did you mean replica?");

  CHECK(run({sample.name, "--limit", "0"}).code == 2);
  CHECK(run({"--where", "id = 1"}).code == 2);  // of which table?
  CHECK_THAT(run({sample.name}).out, ContainsSubstring("\n3 rows\n"));
}

TEST_CASE("check_target_db: a target that is not there, and a .env that is none") {
  const auto down = project("tools-down", "TARGET_PORT=1\nTARGET_PASSWORD=hunter2\n");
  check_fails(run_program("check_target_db", {}, down), 1, "Connection refused");
  const auto& stack = Stack::from_environment();
  const auto refused = project(
      "tools-refused", "TARGET_PORT=" + port_of(stack.target_url) + "\nTARGET_PASSWORD=hunter2\n");
  check_fails(run_program("check_target_db", {}, refused), 1, "password authentication failed");
  const auto wrong = project("tools-dot-env", "TARGET_PORT=5433\n\nhunter2\n");
  check_fails(run_program("check_target_db", {}, wrong), 2, ".env:3: not NAME=value");
}

TEST_CASE("demo: a target that is not there, and sources that are none") {
  const auto& stack = Stack::from_environment();
  const auto demo = [](const Surroundings& project, const std::vector<std::string>& arguments) {
    return run_program("demo", arguments, project);
  };
  SECTION("a target that is not there") {
    const auto project = moved_ports("demo-down");
    std::ofstream{project.folder / ".env", std::ios::app} << "TARGET_PORT=1\n";
    check_fails(demo(project, {}), 1, "error: target: ");
  }
  SECTION("a source that is not there") {
    const auto project = moved_ports("demo-source-down");
    std::ofstream{project.folder / ".env", std::ios::app} << "SOURCE_PORT=1\n";
    check_fails(demo(project, {}), 1, "error: source: ");
  }
  SECTION("a source that is no URL, from either place") {
    const auto project = moved_ports("demo-url");
    check_fails(demo(project, {"--source", "host=a password=hunter2"}), 2,
                "--source is not a PostgreSQL URL");
    std::ofstream{project.folder / ".env", std::ios::app} << "SOURCE_URL=hunter2@a\n";
    check_fails(demo(project, {}), 2, "SOURCE_URL is not a PostgreSQL URL");
  }
  SECTION("the target itself, under another address") {
    Database target{stack.target_url};
    const auto count = target.text("SELECT count(*) FROM users");
    check_fails(demo(moved_ports("demo-same"),
                     {"--source", "postgresql://postgres:postgres@[::ffff:127.0.0.1]:" +
                                      port_of(stack.target_url) + "/target_db"}),
                1, "is the same database as the target; nothing was written");
    CHECK(target.text("SELECT count(*) FROM users") == count);
  }
  SECTION("a database without the tables, and one that publishes no changes") {
    const std::string name = unique("no_source");
    Database server{stack.source_url};
    server.exec("CREATE DATABASE " + name);
    const std::string url = other_database(stack.source_url, name);
    const auto project = moved_ports("demo-elsewhere");
    check_fails(demo(project, {"--source", url}), 1, "has no table public.users");
    {
      Database other{url};
      other.exec(
          "CREATE TABLE users (id serial, name text, email text);"
          "CREATE TABLE orders (id serial); CREATE TABLE package_status (id serial);"
          "CREATE TABLE super_heroes (id serial)");
      check_fails(demo(project, {"--source", url}), 1, "publishes no changes of public.users");
      CHECK(other.text("SELECT nextval('users_id_seq')") == "1");
    }
    server.exec("DROP DATABASE " + name + " WITH (FORCE)");
  }
}

TEST_CASE("debug_messages: the newest, of a key, from an offset or a time on") {
  Kafka kafka;
  const auto topic = topic_of_changes(kafka, 15);
  kafka.produce(topic, 0, "{\"id\":3}", std::nullopt);
  kafka.produce(topic, 0, std::nullopt, "no JSON \x1b[31m", {{"who", "me"}});
  kafka.flush();
  const auto project = with_brokers("messages");
  const auto show = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), topic);
    const auto ended = run_program("debug_messages", arguments, project);
    INFO(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    return ended.out;
  };
  const auto offsets = [&](std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    std::vector<int> found;
    for (const auto& record : json_lines(show(arguments))) found.push_back(record["offset"]);
    return found;
  };
  using Offsets = std::vector<int>;
  CHECK(offsets({}) == Offsets{7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  CHECK(offsets({"--limit", "2"}) == Offsets{15, 16});
  CHECK(offsets({"--limit", "0"}).size() == 17);
  CHECK(offsets({"--key", "3"}) == Offsets{3, 15});
  CHECK(offsets({"--key", R"({"id": 3})"}) == Offsets{3, 15});
  CHECK(offsets({"--key", R"({"id":3})", "--limit", "1"}) == Offsets{15});
  CHECK(offsets({"--key", "33"}).empty());
  CHECK(offsets({"--from-offset", "5", "--limit", "2"}) == Offsets{5, 6});
  CHECK(offsets({"--from-offset", "16", "--partition", "0"}) == Offsets{16});
  CHECK(offsets({"--from-offset", "99"}).empty());
  CHECK(offsets({"--since", "1h", "--limit", "3"}) == Offsets{0, 1, 2});
  CHECK(offsets({"--since", "2000-01-01 12:00", "--key", "9"}) == Offsets{9});
  CHECK(offsets({"--since", "2100-01-01"}).empty());

  const auto first = show({"--from-offset", "0", "--limit", "1", "--json"});
  CHECK_THAT(first, ContainsSubstring("\"price\":1.50"));  // as it is written
  const auto record = json_lines(first).front();
  CHECK(record["key"] == nlohmann::json{{"id", 0}});
  CHECK(record["value"]["after"]["note"] == "a\x1b[31m");
  CHECK(record["value"]["tags"].empty());
  CHECK(record["topic"] == topic);
  const auto whole = json_lines(show({"--from-offset", "0", "--limit", "1", "--json", "--schema"}));
  CHECK(whole.front()["value"]["schema"]["type"] == "struct");
  const auto last = json_lines(show({"--limit", "2", "--json"}));
  CHECK(last[0]["value"].is_null());
  CHECK(last[1]["key"].is_null());
  CHECK(last[1]["value"] == "no JSON \x1b[31m");
  CHECK(last[1]["headers"][0] == nlohmann::json{{"name", "who"}, {"value", "me"}});

  const auto text = show({"--from-offset", "14", "--limit", "0"});
  CHECK_THAT(text, ContainsSubstring(topic + "[0]@14  20"));
  CHECK_THAT(text, ContainsSubstring("  key      {\"id\":14}\n"
                                     "  value    {\n"
                                     "             \"op\": \"c\",\n"
                                     "             \"after\": {\n"
                                     "               \"id\": 14,\n"));
  CHECK_THAT(text, ContainsSubstring("             \"tags\": []\n           }\n"));
  CHECK_THAT(text, ContainsSubstring("  value    null\n"));
  CHECK_THAT(text, ContainsSubstring("  value    no JSON \\x1b[31m\n  headers  who=me\n"));
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("debug_messages: what is not there is told in one line") {
  Kafka kafka;
  const auto topic = topic_of_changes(kafka, 0, 2);
  const auto project = with_brokers("messages-errors");
  const auto run = [&](const std::vector<std::string>& arguments) {
    return run_program("debug_messages", arguments, project);
  };
  const auto empty = run({topic});
  CHECK(empty.code == 0);
  CHECK(empty.out == "no such messages in " + topic + "\n");
  CHECK(run({topic, "--json"}).out.empty());
  CHECK(run({topic, "--since", "1h", "--limit", "0"}).out == empty.out);

  std::string misspelt = topic;
  std::swap(misspelt[0], misspelt[1]);
  check_fails(run({misspelt}), 1, "no topic \"" + misspelt + "\"; did you mean " + topic);
  check_fails(run({"nothing-like-it"}), 1, "debug_kafka lists them");
  check_fails(run({topic, "--partition", "2"}), 1, "has no partition 2; it has 2, the first is 0");
  check_fails(run({}), 2, "which topic?");
  check_fails(run({topic, "--since", "yesterday"}), 2, "\"yesterday\" is no time");
  check_fails(run({topic, "--dead-letters"}), 2, "--dead-letters");
  check_fails(run({topic, "--since", "1h", "--from-offset", "1"}), 2, "--since");

  const auto away = moved_ports("messages-away");
  std::ofstream{away.folder / ".env", std::ios::app} << "KAFKA_BROKERS=localhost:1\n";
  check_fails(run_program("debug_messages", {topic}, away), 1, "error: kafka localhost:1: ");
}

TEST_CASE("debug_messages: of several partitions, and found by the end of the name") {
  Kafka kafka;
  const auto prefix = unique("tools");
  const auto topic = prefix + "." + unique("part");
  kafka.create_topic(topic, 3);
  for (int i = 0; i < 9; ++i) {
    kafka.produce(topic, i % 3, std::to_string(i), std::to_string(i));
    kafka.flush();  // one after the other, so that their times are in this order
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  const auto project = with_brokers("messages-partitions");
  const auto shown = run_program(
      "debug_messages", {topic.substr(prefix.size() + 1), "--limit", "4", "--json"}, project);
  INFO(shown.err);
  std::vector<int> values;
  for (const auto& record : json_lines(shown.out)) values.push_back(record["value"]);
  CHECK(values == std::vector<int>{5, 6, 7, 8});
}

TEST_CASE("debug_messages --follow shows what comes, and ends quietly with its reader") {
  Kafka kafka;
  const auto topic = topic_of_changes(kafka, 1);
  const auto project = with_brokers("messages-follow");
  const auto out = project.folder / "out";
  const std::string command =
      "cd '" + project.folder.string() +
      "' && env -u KAFKA_BROKERS -u LOCKSTEP_CONFIG timeout 60 " +
      LOCKSTEP_BIN_DIR "/debug_messages " + topic +
      " --follow --json 2>err | head -n 3 >out; echo ${PIPESTATUS[0]} >code";
  std::atomic<bool> ended{false};
  std::jthread reader{[&] {
    std::ofstream{project.folder / "script"} << command;
    static_cast<void>(std::system(("bash '" + (project.folder / "script").string() + "'").c_str()));
    ended = true;
  }};
  for (int i = 0; !ended && i < 300; ++i) {
    kafka.produce(topic, 0, "k", "{\"n\":" + std::to_string(i) + "}");
    kafka.flush();
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }
  REQUIRE(ended);
  std::ostringstream text;
  text << std::ifstream{out}.rdbuf();
  CHECK(json_lines(text.str()).size() == 3);
  std::string code;
  std::ifstream{project.folder / "code"} >> code;
  CHECK(code == "141");  // SIGPIPE
  CHECK(std::filesystem::file_size(project.folder / "err") == 0);
}

TEST_CASE("debug_messages --dead-letters shows the cause and where the record comes from") {
  Kafka kafka;
  const auto topic = unique("letters");
  kafka.create_topic(topic);
  kafka.produce(topic, 0, "{\"id\":7}", "{\"op\":\"c\"}",
                {{"lockstep.pipeline", "replica"},
                 {"lockstep.topic", "dbserver1.public.users"},
                 {"lockstep.partition", "0"},
                 {"lockstep.offset", "6"},
                 {"lockstep.stage", "apply"},
                 {"lockstep.error", "violates check constraint"},
                 {"lockstep.key", "id=\"7\""},
                 {"lockstep.time", "2026-11-25T04:20:11Z"},
                 {"own", "header"}});
  kafka.flush();
  const auto project = with_brokers("messages-letters");
  configure_sink(project, "      on_error: dead_letter\n      dead_letter_topic: " + topic + "\n");
  const auto text = run_program("debug_messages", {"--dead-letters"}, project);
  INFO(text.out << text.err);
  CHECK(text.code == 0);
  CHECK_THAT(text.out, ContainsSubstring("  cause    violates check constraint\n"
                                         "  from     dbserver1.public.users[0]@6 of pipeline "
                                         "replica, stage apply, 2026-11-25T04:20:11Z\n"
                                         "  row      id=\"7\"\n"
                                         "  key      {\"id\":7}\n"));
  CHECK_THAT(text.out, ContainsSubstring("  headers  own=header\n"));
  const auto json = run_program("debug_messages", {"--dead-letters", "--json"}, project);
  const auto letter = json_lines(json.out).front()["dead_letter"];
  CHECK(letter["cause"] == "violates check constraint");
  CHECK(letter["topic"] == "dbserver1.public.users");
  CHECK(letter["partition"] == 0);
  CHECK(letter["offset"] == 6);
  CHECK(letter["stage"] == "apply");
  CHECK(letter["row"] == "id=\"7\"");
}

TEST_CASE("dead_letters lists the parked rows, and shows their letters") {
  Kafka kafka;
  Database target{Stack::from_environment().target_url};
  Feed feed{kafka, target, "tools_letters"};
  target.exec("ALTER TABLE " + feed.name + " ADD CHECK (note <> 'forbidden')");
  DaemonConfig config{unique("tools_letters"), {feed.topic}};
  config.sink = {{"on_error", "dead_letter"}, {"dead_letter_topic", config.pipeline + ".lost"}};
  Daemon daemon{config.pipeline, config};
  const auto await_letters = [&](const std::string& count) {
    feed.flush();
    eventually(std::chrono::seconds{30}, "the row is parked with its letters", [&] {
      return target.text(
                 "SELECT coalesce(sum(letters), 0) FROM lockstep.parked WHERE pipeline = '" +
                 config.pipeline + "'") == count;
    });
  };
  feed.upsert(1, "sound");
  feed.upsert(7, "forbidden");
  await_letters("1");  // in one batch with the next it would be made up for
  feed.upsert(7, "later");
  await_letters("2");
  CHECK(daemon.stop() == 0);
  const auto file = fresh_folder("tools-letters") / "lockstep.yaml";
  std::ofstream{file} << to_yaml(config);
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--config", file.string()});
    auto ended = run_program("dead_letters", arguments);
    INFO(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    return ended.out;
  };
  CHECK_THAT(run({"list"}), ContainsSubstring(feed.topic + " id=\"7\": 2 letters since "));
  const auto listed = json_lines(run({"list", "--json"}));
  REQUIRE(listed.size() == 1);
  CHECK(listed[0]["row"] == "id=\"7\"");
  CHECK(listed[0]["letters"] == 2);
  CHECK(listed[0]["first_offset"] == 1);
  const auto shown = run({"show", "--key", "id=\"7\""});
  CHECK_THAT(shown, ContainsSubstring("from     " + feed.topic + "[0]@1 of pipeline " +
                                      config.pipeline + ", stage apply, "));
  CHECK_THAT(shown, ContainsSubstring("violates check constraint"));
  CHECK_THAT(shown, ContainsSubstring("\"note\": \"forbidden\""));
  CHECK_THAT(shown, ContainsSubstring(feed.topic + "[0]@2 of pipeline " + config.pipeline +
                                      ", stage parked, "));
  const auto letters = json_lines(run({"show", "--json"}));
  REQUIRE(letters.size() == 2);
  CHECK(letters[0]["dead_letter"]["offset"] == 1);
  CHECK(letters[1]["value"]["after"]["note"] == "later");
  const auto nothing = run_program(
      "dead_letters", {"show", "--json", "--topic", "nothing", "--config", file.string()});
  CHECK(nothing.code == 1);
  CHECK(nothing.out.empty());
  CHECK_THAT(nothing.err, ContainsSubstring("no such row is parked"));
  // The daemon's own subcommand is the same.
  const auto same = run_daemon({"dead-letters", "show", "--json", "--config", file.string()});
  CHECK(json_lines(same.out) == letters);

  const auto which = run_program("dead_letters", {"retry", "--config", file.string()});
  check_fails(which, 2, "retry what? Say --topic, --key or --all");
  CHECK_THAT(run({"discard", "--all"}), ContainsSubstring("2 letters discarded, let go"));
  CHECK(json_lines(run({"list", "--json"})).empty());
}

TEST_CASE("debug_kafka: topics, offsets, newest messages and groups, without a Connect") {
  Kafka kafka;
  const auto topic = topic_of_changes(kafka, 3, 2);
  const auto project = with_brokers("kafka");
  const auto shown =
      run_program("debug_kafka", {"--json", "--connect", "http://localhost:1"}, project);
  CHECK(shown.code == 1);
  CHECK(lines(shown.err) == 1);
  CHECK_THAT(shown.err, ContainsSubstring("error: connect http://localhost:1"));
  const auto document = nlohmann::json::parse(shown.out);
  CHECK(document["connect"]["connectors"].is_null());
  CHECK(document["groups"][0]["group"] == "lockstep.replica");
  bool found = false;
  for (const auto& one : document["topics"]) {
    CHECK(!one["topic"].get<std::string>().starts_with("__"));
    if (one["topic"] != topic) continue;
    found = true;
    CHECK(one["partitions"] ==
          nlohmann::json::parse(
              R"([{"partition":0,"first":0,"end":3},{"partition":1,"first":0,"end":0}])"));
    CHECK(one["newest"]["offset"] == 2);
    CHECK(one["newest"]["key"]["id"] == 2);
  }
  CHECK(found);
  const auto text = run_program("debug_kafka", {"--connect", "http://localhost:1"}, project);
  CHECK_THAT(text.out, ContainsSubstring(topic + " "));
  CHECK_THAT(text.out, ContainsSubstring("lockstep.replica"));

  const auto away = moved_ports("kafka-away");
  std::ofstream{away.folder / ".env", std::ios::app} << "KAFKA_BROKERS=localhost:1\n";
  const auto neither = run_program("debug_kafka", {"--connect", "http://localhost:1"}, away);
  CHECK(neither.code == 1);
  CHECK(neither.out.empty());
  CHECK(lines(neither.err) == 2);
  CHECK_THAT(neither.err, ContainsSubstring("error: kafka localhost:1: ") &&
                              ContainsSubstring("error: connect http://localhost:1"));
}

namespace {

/// A database with the sample tables, as a source.
struct SampleSource {
  SampleSource() {
    server.exec("CREATE DATABASE " + name);
    Database database{url};
    database.exec(script("01-tables.sql"));
    database.exec("CREATE PUBLICATION lockstep FOR TABLE users, orders");
    database.exec(script("03-more-tables.sql"));
  }
  ~SampleSource() { server.exec("DROP DATABASE " + name + " WITH (FORCE)"); }
  SampleSource(const SampleSource&) = delete;
  SampleSource& operator=(const SampleSource&) = delete;

  static std::string script(const std::string& file) {
    std::ostringstream sql;
    sql << std::ifstream{LOCKSTEP_SOURCE_DIR "/init-scripts/source/" + file}.rdbuf();
    return sql.str();
  }

  Database server{Stack::from_environment().source_url};
  const std::string name = unique("generate");
  const std::string url = other_database(Stack::from_environment().source_url, name);
};

/// All that it holds, but for times.
std::string content(const std::string& url) {
  Database database{url};
  std::string text;
  for (const std::string table : {"users", "orders", "package_status"}) {
    text += database.text(
                "SELECT coalesce(string_agg((to_jsonb(t) - 'created_at' - "
                "'updated_at')::text, E'\\n' ORDER BY id), '') FROM " +
                table + " t") +
            "\n";
  }
  return text;
}

nlohmann::json generate(const std::string& url, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--json", "--source", url});
  const auto ended = run_program("generate_changes", arguments);
  INFO(ended.err);
  REQUIRE(ended.code == 0);
  CHECK(ended.err.empty());
  return nlohmann::json::parse(ended.out);
}

}  // namespace

TEST_CASE("generate_changes: as many as asked for, in the mix, the same of the same seed") {
  const SampleSource one;
  const SampleSource other;
  const std::vector<std::string> arguments{"-Q", "200", "--seed", "7"};
  const auto did = generate(one.url, arguments);
  CHECK(did["changes"] == 200);
  CHECK(did["seed"] == 7);
  const auto sum = [&](const nlohmann::json& document, const std::string& operation) {
    int total = 0;
    for (const auto& [table, operations] : document["tables"].items()) {
      total += operations[operation].get<int>();
    }
    return total;
  };
  CHECK(sum(did, "insert") == 140);
  CHECK(sum(did, "update") == 50);
  CHECK(sum(did, "delete") == 10);
  CHECK(did["tables"]["package_status"]["insert"] == 70);
  Database database{one.url};
  CHECK(database.number("SELECT count(*) FROM package_status WHERE status NOT IN "
                        "('Package Posted', 'In Transit', 'Package Delivered')") == 0);
  CHECK(database.number("SELECT count(*) FROM package_status WHERE status = 'In Transit' "
                        "AND updated_at > created_at") > 0);

  generate(other.url, arguments);
  CHECK(content(one.url) == content(other.url));
  generate(other.url, arguments);  // again: other rows, and no e-mail twice
  CHECK(content(one.url) != content(other.url));
  generate(other.url, {"-Q", "50", "--seed", "8"});
  generate(one.url, {"-Q", "250", "--seed", "8"});
  CHECK(content(one.url) != content(other.url));
}

TEST_CASE("generate_changes: only of a table, only deletes, at a rate, and nothing to begin with") {
  const SampleSource source;
  Database database{source.url};
  const auto only = generate(source.url, {"--table", "package_status", "--mix", "1:0:0"});
  CHECK(only["tables"] ==
        nlohmann::json{{"package_status", {{"insert", 10}, {"update", 0}, {"delete", 0}}}});
  CHECK(database.number("SELECT count(*) FROM package_status") == 13);
  generate(source.url, {"--table", "package_status", "--mix", "0:0:1", "-Q", "13"});
  CHECK(database.number("SELECT count(*) FROM package_status") == 0);
  CHECK(generate(source.url, {"-Q", "5", "--rate", "20"})["seconds"].get<double>() >= 0.2);

  database.exec("DELETE FROM package_status; DELETE FROM orders; DELETE FROM users");
  generate(source.url, {"--table", "orders", "-Q", "3", "--mix", "1:0:0"});
  CHECK(database.number("SELECT count(*) FROM orders JOIN users ON users.id = user_id") == 3);
  // Whoever has orders or packages is not deleted.
  generate(source.url, {"--mix", "1:0:1", "-Q", "100"});
  CHECK(database.number("SELECT count(*) FROM package_status WHERE NOT EXISTS "
                        "(SELECT FROM users WHERE users.id = customer_id)") == 0);

  const auto text = run_program("generate_changes", {"--source", source.url, "--seed", "3"});
  CHECK_THAT(text.out, ContainsSubstring("table"));
  CHECK_THAT(text.out, ContainsSubstring("10 changes in "));
  CHECK_THAT(text.out, ContainsSubstring("(--seed 3)\n"));
}

TEST_CASE("generate_changes: several at a time do not get into each other's way") {
  const SampleSource source;
  const auto folder = fresh_folder("generate-several");
  std::ofstream{folder / "script"}
      << "cd '" << folder.string() << "'\nfor i in 1 2 3; do\n"
      << LOCKSTEP_BIN_DIR "/generate_changes -Q 800 --mix 40:20:40 --source '" << source.url
      << "' >>out 2>>err &\npids+=($!)\ndone\n"
      << "for pid in ${pids[@]}; do wait $pid || failed=1; done\nexit ${failed:-0}\n";
  CHECK(std::system(("bash '" + (folder / "script").string() + "'").c_str()) == 0);
  std::ostringstream said;
  said << std::ifstream{folder / "err"}.rdbuf();
  CHECK(said.str().empty());
}

TEST_CASE("generate_changes: wrong arguments, and sources that are none") {
  const auto project = moved_ports("generate-errors");
  const auto run = [&](const std::vector<std::string>& arguments) {
    return run_program("generate_changes", arguments, project);
  };
  check_fails(run({"--mix", "70:30"}), 2, "\"70:30\" is not insert:update:delete");
  check_fails(run({"--mix", "0:0:0"}), 2, "--mix");
  check_fails(run({"--mix", "1:2:x"}), 2, "--mix");
  check_fails(run({"-Q", "0"}), 2, "--quantity");
  check_fails(run({"--rate", "0"}), 2, "--rate");
  check_fails(run({"--table", "nothing"}), 2, "package_status");
  check_fails(run({"--source", "hunter2"}), 2, "--source is not a PostgreSQL URL");
  const auto& stack = Stack::from_environment();
  check_fails(run({"--source", other_database(stack.source_url, "postgres")}), 1,
              "has no table public.package_status; nothing was written");
  check_fails(run({"--source", stack.target_url}), 1, "publishes no changes of");
  std::ofstream{project.folder / ".env", std::ios::app} << "SOURCE_PORT=1\n";
  check_fails(run({}), 1, "SOURCE_HOST and SOURCE_PORT");
}

TEST_CASE("a reader that goes away ends a tool quietly") {
  const auto project = moved_ports("tools-pipe");
  std::ofstream{project.folder / "script"} << "cd '" << project.folder.string()
                                           << "'\nunset LOCKSTEP_CONFIG TARGET_PORT\n"
                                           << LOCKSTEP_BIN_DIR
      "/check_target_db pg_catalog.pg_proc --limit 5000 2>err | head -n 1 >out\n"
                                           << "echo ${PIPESTATUS[0]} >code\n";
  REQUIRE(std::system(("bash '" + (project.folder / "script").string() + "'").c_str()) == 0);
  std::string code;
  std::ifstream{project.folder / "code"} >> code;
  CHECK(code == "141");
  CHECK(std::filesystem::file_size(project.folder / "err") == 0);
}

TEST_CASE("--check: wrong input is told without a password") {
  const auto& stack = Stack::from_environment();
  const auto check = [](const Surroundings& project) {
    return run_program("lockstepd", {"--config", "config/lockstep.yaml", "--check"}, project);
  };
  const std::string brokers = "KAFKA_BROKERS=" + stack.brokers + "\n";
  const auto password =
      check(project("check-password", brokers + "TARGET_PORT=" + port_of(stack.target_url) +
                                          "\nTARGET_PASSWORD=hunter2\n"));
  INFO(password.out << password.err);
  CHECK(password.code == 1);
  CHECK_THAT(password.out, ContainsSubstring("kafka " + stack.brokers + ": ok"));
  CHECK_THAT(password.out, ContainsSubstring("FAILED: "));
  CHECK_THAT(password.out, ContainsSubstring("password authentication failed"));
  CHECK_THAT(password.out, !ContainsSubstring("hunter2"));
  CHECK_THAT(password.out, ContainsSubstring("not ready\n"));

  const auto port = check(project("check-port", "TARGET_PORT=hunter2\n"));
  check_fails(port, 2, "config/lockstep.yaml:");
  check_fails(
      run_program("lockstepd", {"--config", "nowhere.yaml", "--check"}, project("check-file", "")),
      2, "nowhere.yaml: can't be read: No such file or directory");
}
