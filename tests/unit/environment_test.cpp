#include "lockstep/config/environment.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "catch.hpp"
#include "lockstep/config/config.hpp"
#include "working_directory.hpp"

using namespace lockstep::config;
using lockstep::test::WorkingDirectory;

namespace {

std::string mistakes_in(const std::string& content) {
  WorkingDirectory::write(".env", content);
  const auto environment = read_environment();
  return environment ? "" : to_string(environment.error());
}

}  // namespace

TEST_CASE("environment: a line of .env is read as Docker Compose reads it") {
  struct Case {
    std::string name, line, want;
  };
  const Case cases[] = {
      {"a word", "X=15432", "15432"},
      {"nothing", "X=", ""},
      {"blanks around", "  X = a b \t", "a b"},
      {"a line end of Windows", "X=a\r", "a"},
      {"an = in the value", "X=a=b", "a=b"},
      {"a comment behind it", "X=a # b", "a"},
      {"a # that begins no comment", "X=a#b", "a#b"},
      {"single quotes", "X=' a # $b \\n '", " a # $b \\n "},
      {"double quotes", "X=\" a # b \"", " a # b "},
      {"a comment behind quotes", "X='a' # b", "a"},
      {"empty quotes", "X=\"\"", ""},
      {"the last of two", "X=a\nX=b", "b"},
      {"among blank lines and comments", "\n  # X=no\n\nX=a\n\n", "a"},
      {"a backslash without quotes", "X=a\\b", "a\\b"},
  };
  const WorkingDirectory folder;
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      WorkingDirectory::write(".env", c.line);
      const auto environment = read_environment();
      REQUIRE(environment);
      CHECK(environment->has_file);
      CHECK(environment->find("X") == c.want);
      CHECK(environment->find("Y") == std::nullopt);
    }
  }
}

TEST_CASE("environment: what is wrong in .env is told with its line, without its text") {
  const std::string expand =
      "Docker Compose would expand the $ or \\ in it; write the value in single quotes";
  const WorkingDirectory folder;
  CHECK(mistakes_in("A=1\nhunter2\n\nexport B=hunter2\n1C=hunter2\n") ==
        ".env:2: not NAME=value; expected that, a blank line or a # comment\n"
        ".env:4: not NAME=value; expected that, a blank line or a # comment\n"
        ".env:5: not NAME=value; expected that, a blank line or a # comment");
  CHECK(mistakes_in("A='hunter2\nB=\"a\" hunter2\nC=#hunter2\n") ==
        ".env:1: A: a quote that does not end on its line\n"
        ".env:2: B: text behind the closing quote\n"
        ".env:3: C: a value that begins with #; write it in quotes");
  CHECK(mistakes_in("A=hunter$2\nB=\"$2\"\nC=\"hunter\\2\"\n") ==
        ".env:1: A: " + expand + "\n.env:2: B: " + expand + "\n.env:3: C: " + expand);
  CHECK(mistakes_in("A=" + std::string(70'000, 'x')) ==
        ".env: can't be read: it is larger than 64 KiB");
}

TEST_CASE("environment: a variable that is set comes before .env, an empty one too") {
  const WorkingDirectory folder;
  WorkingDirectory::write(".env", "LOCKSTEP_TEST_A=file\nLOCKSTEP_TEST_B=file\n");
  ::setenv("LOCKSTEP_TEST_A", "", 1);
  const auto environment = read_environment();
  ::unsetenv("LOCKSTEP_TEST_A");
  REQUIRE(environment);
  CHECK(environment->find("LOCKSTEP_TEST_B") == "file");
  ::setenv("LOCKSTEP_TEST_A", "", 1);
  CHECK(environment->find("LOCKSTEP_TEST_A") == "");
  ::unsetenv("LOCKSTEP_TEST_A");
}

TEST_CASE("environment: no .env, or a folder of that name, is nothing to tell of") {
  const WorkingDirectory folder;
  REQUIRE(read_environment());
  CHECK_FALSE(read_environment()->has_file);
  std::filesystem::create_directory(".env");
  REQUIRE(read_environment());
  CHECK_FALSE(read_environment()->has_file);
}

TEST_CASE("environment: the configuration expands from .env of the working directory") {
  const WorkingDirectory folder;
  WorkingDirectory::write("lockstep.yaml",
                          "kafka: {brokers: 'localhost:${LOCKSTEP_TEST_PORT}'}\n"
                          "pipelines:\n"
                          "  - {name: a, topics: [t], sink: {type: postgres, url: "
                          "'postgresql://h/${LOCKSTEP_TEST_DB}'}}\n");
  const std::string unset = "the environment variable LOCKSTEP_TEST_DB is not set";
  const std::string advice = "; set it or write ${LOCKSTEP_TEST_DB:-default}";

  WorkingDirectory::write(".env", "LOCKSTEP_TEST_PORT=19092\n");
  auto config = load("lockstep.yaml");
  REQUIRE_FALSE(config);
  CHECK(to_string(config.error()) ==
        "lockstep.yaml:3: pipelines[0].sink.url: " + unset + ", nor is it in .env" + advice);

  WorkingDirectory::write(".env", "LOCKSTEP_TEST_PORT=19092\nLOCKSTEP_TEST_DB=d\n");
  config = load("lockstep.yaml");
  REQUIRE(config);
  CHECK(config->kafka.brokers == "localhost:19092");
  CHECK(config->pipelines[0].postgres()->url == "postgresql://h/d");

  WorkingDirectory::write(".env", "what is this\n");
  config = load("lockstep.yaml");
  REQUIRE_FALSE(config);
  CHECK_THAT(to_string(config.error()), ContainsSubstring(".env:1: not NAME=value"));

  std::filesystem::remove(".env");
  config = load("lockstep.yaml");
  REQUIRE_FALSE(config);
  CHECK_THAT(to_string(config.error()), ContainsSubstring(unset + advice));
}
