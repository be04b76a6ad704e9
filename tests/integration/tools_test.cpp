// check_target_db and demo as a user runs them: what they print, and how they end.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "stack.hpp"

using namespace lockstep::test;

namespace {

/// Of the stack, which a user's shell does not have.
const std::vector<std::string> stack_variables{
    "SOURCE_HOST", "SOURCE_PORT",   "SOURCE_URL", "TARGET_HOST",     "TARGET_PORT",
    "TARGET_URL",  "KAFKA_BROKERS", "KAFKA_PORT", "LOCKSTEP_CONFIG", "SOURCE_PASSWORD"};

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
  const auto file = project.folder / "config" / "lockstep.yaml";
  std::ostringstream yaml;
  yaml << std::ifstream{file}.rdbuf();
  std::string text = yaml.str();
  const std::string begin = "      type: postgres\n";
  text.insert(text.find(begin) + begin.size(),
              "      tables: [{match: crm.people, to: public." + sample.name + "}]\n");
  std::ofstream{file} << text;
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
  check_fails(run({"--pipeline", "replcia"}), 2, "no pipeline \"replcia\"; did you mean replica?");

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
          "CREATE TABLE orders (id serial)");
      check_fails(demo(project, {"--source", url}), 1, "publishes no changes of public.users");
      CHECK(other.text("SELECT nextval('users_id_seq')") == "1");
    }
    server.exec("DROP DATABASE " + name + " WITH (FORCE)");
  }
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
