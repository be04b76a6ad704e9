// The program as a user meets it: exit codes and one clear line. Needs no services.
#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

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

/// What bash says, with our programs in its PATH.
std::string bash(const std::string& script) {
  const auto file = fresh_folder("command-line-bash") / "script";
  std::ofstream{file} << "PATH=" LOCKSTEP_BIN_DIR ":$PATH\n" << script;
  std::FILE* const pipe = ::popen(("bash '" + file.string() + "' 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string said;
  std::array<char, 256> some{};
  while (std::fgets(some.data(), some.size(), pipe) != nullptr) said += some.data();
  ::pclose(pipe);
  return said;
}

/// What bash offers behind this command line, a word a line.
std::string completed(const std::string& line) {
  return bash(". '" LOCKSTEP_SOURCE_DIR "/tools/completion.bash'\nline='" + line + R"('
read -ra COMP_WORDS <<<"$line"
if [[ $line == *' ' ]]; then COMP_WORDS+=(''); fi
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_lockstep "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
complete -p "${COMP_WORDS[0]}" >/dev/null || echo "nothing completes ${COMP_WORDS[0]}")");
}

const std::vector<std::string> tools{"check_target_db", "dead_letters", "debug_kafka",
                                     "debug_messages",  "demo",         "generate_changes"};

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
  const std::map<std::string, std::vector<std::string>> programs{
      {"lockstepd", {}},          {"check_target_db", {}}, {"demo", {}},
      {"dead_letters", {"list"}}, {"debug_kafka", {}},     {"debug_messages", {}}};
  for (const auto& [program, arguments] : programs) {
    CAPTURE(program);
    const auto help = run_program(program, {"--help"});
    CHECK(help.code == 0);
    CHECK_THAT(help.out, ContainsSubstring("LOCKSTEP_CONFIG"));
    const Surroundings set{.environment = {{"LOCKSTEP_CONFIG", "/nowhere/a.yaml"}}};
    const auto variable = run_program(program, arguments, set);
    CHECK(variable.code == 2);
    CHECK_THAT(variable.err, ContainsSubstring("/nowhere/a.yaml: can't be read"));
    auto with_option = arguments;
    with_option.insert(with_option.end(), {"--config", "/nowhere/b.yaml"});
    const auto both = run_program(program, with_option, set);
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

TEST_CASE("each tool tells examples and exit codes, and a wrong option in one line") {
  for (const auto& tool : tools) {
    CAPTURE(tool);
    const auto help = run_program(tool, {"--help"});
    CHECK(help.code == 0);
    CHECK(help.err.empty());
    CHECK_THAT(help.out, ContainsSubstring("Examples:\n  " + tool));
    CHECK_THAT(help.out, ContainsSubstring("Exit codes: 0 "));
    CHECK_THAT(help.out, ContainsSubstring("--json") || ContainsSubstring("demo"));
    const auto wrong = run_program(tool, {"--nonsense"});
    CHECK(wrong.code == 2);
    CHECK(wrong.out.empty());
    CHECK(lines(wrong.err) == 1);
    CHECK(wrong.err.starts_with("error: "));
    CHECK_THAT(wrong.err, ContainsSubstring("--help tells"));
  }
}

TEST_CASE("colours are for terminals that want them") {
  const std::string red = "\x1b[31m";
  CHECK_THAT(bash("script -qec 'TERM=xterm demo --nonsense' /dev/null"), ContainsSubstring(red));
  CHECK_THAT(bash("script -qec 'TERM=xterm NO_COLOR=1 demo --nonsense' /dev/null"),
             ContainsSubstring("--nonsense") && !ContainsSubstring(red));
  CHECK_THAT(bash("script -qec 'TERM=dumb demo --nonsense' /dev/null"), !ContainsSubstring(red));
  CHECK_THAT(bash("demo --nonsense"), !ContainsSubstring(red));
}

TEST_CASE("bash completes each tool's options, and the words that an argument can be") {
  for (const auto& tool : tools) {
    CAPTURE(tool);
    const auto offered = "\n" + completed(tool + " --");
    CHECK_THAT(offered, ContainsSubstring("\n--help\n"));
    CHECK_THAT(offered, !ContainsSubstring("nothing completes"));
  }
  CHECK(completed("check_target_db --w") == "--where\n");
  CHECK(completed("dead_letters s") == "show\n");
  CHECK(completed("dead_letters show --k") == "--key\n");
  CHECK(completed("debug_kafka --con") == "--connect\n--config\n");
  CHECK(completed("debug_messages --from") == "--from-offset\n");
  CHECK(completed("demo --t") == "--timeout\n");
  CHECK(completed("generate_changes --table p") == "package_status\n");
  CHECK(completed("generate_changes --m") == "--mix\n");
  CHECK(completed("lockstepd --ch") == "--check\n");
  CHECK(completed("lockstepd dead") == "dead-letters\n");
  CHECK(completed("debug_messages --config " LOCKSTEP_SOURCE_DIR "/CMakeL") == LOCKSTEP_SOURCE_DIR
        "/CMakeLists.txt\n");
  CHECK(completed("generate_changes --seed ") == "\n");
}
