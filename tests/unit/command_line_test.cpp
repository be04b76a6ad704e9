// The program as a user meets it: exit codes and one clear line. Needs no services.
#include <algorithm>
#include <fstream>

#include "catch.hpp"
#include "daemon.hpp"

using namespace lockstep::test;

namespace {

long lines(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

std::string file_with(const std::string& yaml) {
  const auto file = fresh_folder("command-line-config") / "lockstep.yaml";
  std::ofstream{file} << yaml;
  return file;
}

constexpr auto sound = R"(
kafka: {brokers: 'localhost:1'}
pipelines:
  - {name: a, topics: [p.s.t], sink: {type: postgres, url: 'postgresql://localhost:1/x'}}
)";

}  // namespace

TEST_CASE("--version and --help say it and succeed") {
  const auto version = run_daemon({"--version"});
  CHECK(version.code == 0);
  CHECK(version.out.starts_with("lockstepd "));
  CHECK(lines(version.out) == 1);
  const auto help = run_daemon({"--help"});
  CHECK(help.code == 0);
  CHECK_THAT(help.out, ContainsSubstring("--config"));
  CHECK_THAT(help.out, ContainsSubstring("--check"));
  CHECK(help.err.empty());
}

TEST_CASE("a wrong command line is 2 and says what is wrong") {
  const auto unknown = run_daemon({"--config", file_with(sound), "--chekc"});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, ContainsSubstring("--chekc"));
  const auto none =
      run_program("lockstepd", {}, {.environment = {{"LOCKSTEP_CONFIG", std::nullopt}}});
  CHECK(none.code == 2);
  CHECK_THAT(none.err, ContainsSubstring("--config"));
}

TEST_CASE("LOCKSTEP_CONFIG stands for --config, which comes first") {
  for (const std::string program : {"lockstepd", "check_target_db", "demo"}) {
    CAPTURE(program);
    const auto help = run_program(program, {"--help"});
    CHECK(help.code == 0);
    CHECK_THAT(help.out, ContainsSubstring("LOCKSTEP_CONFIG"));
    const Surroundings set{.environment = {{"LOCKSTEP_CONFIG", "/nowhere/a.yaml"}}};
    const auto variable = run_program(program, {}, set);
    CHECK(variable.code == 2);
    CHECK_THAT(variable.err, ContainsSubstring("/nowhere/a.yaml: can't be read"));
    const auto both = run_program(program, {"--config", "/nowhere/b.yaml"}, set);
    CHECK(both.code == 2);
    CHECK_THAT(both.err, ContainsSubstring("/nowhere/b.yaml: can't be read"));
  }
  // The tools have a last default, the daemon has none.
  const Surroundings elsewhere{.folder = fresh_folder("elsewhere"),
                               .environment = {{"LOCKSTEP_CONFIG", std::nullopt}}};
  CHECK_THAT(run_program("check_target_db", {}, elsewhere).err,
             ContainsSubstring("config/lockstep.yaml: can't be read"));
  CHECK_THAT(run_program("lockstepd", {}, elsewhere).err, ContainsSubstring("--config"));
}

TEST_CASE("a wrong configuration is 2, one line each mistake") {
  const auto missing = run_daemon({"-c", "/nowhere/lockstep.yaml"});
  CHECK(missing.code == 2);
  CHECK_THAT(missing.err, ContainsSubstring("/nowhere/lockstep.yaml"));
  CHECK(lines(missing.err) == 1);

  const auto typo = run_daemon({"-c", file_with("kafak: {}\n" + std::string{sound})});
  CHECK(typo.code == 2);
  CHECK_THAT(typo.err, ContainsSubstring(":1: "));
  CHECK_THAT(typo.err, ContainsSubstring("kafak"));
  CHECK_THAT(typo.err, ContainsSubstring("kafka"));
  CHECK(lines(typo.err) == 1);

  const auto malformed = run_daemon({"-c", file_with("kafka: [\n")});
  CHECK(malformed.code == 2);
  CHECK_THAT(malformed.err, ContainsSubstring("lockstep.yaml:"));
  CHECK(lines(malformed.err) == 1);
}

TEST_CASE("--check of services that are not there is 1 and says which") {
  const auto check = run_daemon({"-c", file_with(sound), "--check"});
  CHECK(check.code == 1);
  CHECK_THAT(check.out, ContainsSubstring("kafka localhost:1: FAILED: "));
  CHECK_THAT(check.out, ContainsSubstring("Connection refused"));
  CHECK_THAT(check.out, ContainsSubstring("target localhost:1/x: FAILED"));
}

TEST_CASE("a property that librdkafka does not know ends the daemon with 1 and its name") {
  const auto ended = run_daemon({"-c", file_with(R"(
kafka: {brokers: 'localhost:1', properties: {no.such.thing: 1}}
pipelines:
  - {name: a, topics: [p.s.t], sink: {type: postgres, url: 'postgresql://localhost:1/x'}}
)")});
  CHECK(ended.code == 1);
  CHECK_THAT(ended.err, ContainsSubstring("no.such.thing"));
}
