#include "daemon.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "eventually.hpp"
#include "process.hpp"
#include "stack.hpp"

namespace lockstep::test {

using std::chrono::seconds;

namespace {

std::string read(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

/// "NAME=value" of each.
std::vector<std::string> variables_of(const Surroundings& surroundings) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!surroundings.environment.contains(text.substr(0, text.find('=')))) {
      variables.push_back(text);
    }
  }
  for (const auto& [name, value] : surroundings.environment) {
    if (value) variables.push_back(name + "=" + *value);
  }
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// The program's pid.
pid_t launch(const std::string& name, std::vector<std::string> arguments,
             const std::filesystem::path& out, const std::filesystem::path& err,
             const Surroundings& surroundings = {}) {
  arguments.insert(arguments.begin(), LOCKSTEP_BIN_DIR "/" + name);
  auto variables = variables_of(surroundings);
  const auto argv = pointers_to(arguments);
  const auto envp = pointers_to(variables);
  return start_process(argv.data(), envp.data(), out, err, surroundings.folder);
}

}  // namespace

std::filesystem::path fresh_folder(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path{LOCKSTEP_WORK_DIR} / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

std::string to_yaml(const std::vector<DaemonConfig>& pipelines) {
  const auto quoted = [](const std::string& text) { return "'" + text + "'"; };
  const auto& stack = Stack::from_environment();
  const auto& first = pipelines.front();
  std::ostringstream yaml;
  yaml << "kafka:\n  brokers: " << (first.brokers.empty() ? stack.brokers : first.brokers) << "\n";
  if (!first.properties.empty()) yaml << "  properties:\n";
  for (const auto& [key, value] : first.properties) {
    yaml << "    " << key << ": " << quoted(value) << "\n";
  }
  yaml << "pipelines:\n";
  for (const auto& config : pipelines) {
    yaml << "  - name: " << config.pipeline << "\n";
    const bool pattern = config.topics.size() == 1 && config.topics[0].starts_with('^');
    if (pattern) {
      yaml << "    topics_pattern: " << quoted(config.topics[0]) << "\n";
    } else {
      yaml << "    topics:\n";
      for (const auto& topic : config.topics) yaml << "      - " << topic << "\n";
    }
    if (!config.connector.empty()) yaml << "    connector:\n";
    for (const auto& [key, value] : config.connector) {
      yaml << "      " << key << ": " << quoted(value) << "\n";
    }
    if (!config.source.empty()) yaml << "    source:\n";
    for (const auto& [key, value] : config.source) yaml << "      " << key << ": " << value << "\n";
    yaml << "    sink:\n      type: " << config.sink_type << "\n";
    if (config.sink_type == "postgres" || config.sink_type == "threshold") {
      yaml << "      url: " << (config.target_url.empty() ? stack.target_url : config.target_url)
           << "\n";
    }
    if (config.connections != 0) yaml << "      connections: " << config.connections << "\n";
    for (const auto& [key, value] : config.sink) yaml << "      " << key << ": " << value << "\n";
    yaml << "    batch: {max_events: " << config.max_events << ", max_bytes: " << config.max_bytes
         << "}\n";
  }
  yaml << "http: {listen: \"" << first.listen << "\", token: \"" << first.token << "\", tokens: {";
  for (const auto& [name, secret] : first.tokens) yaml << name << ": " << quoted(secret) << ", ";
  yaml << "}}\n";
  yaml << "connect: {url: \"" << stack.connect_url << "\"}\n";
  yaml << "log: {level: " << first.log_level << "}\n" << first.more;
  return yaml.str();
}

Daemon::Daemon(const std::string& name, const DaemonConfig& config)
    : Daemon{name, std::vector{config}} {}

Daemon::Daemon(const std::string& name, const std::vector<DaemonConfig>& pipelines)
    : folder_{fresh_folder(name)}, exceptions_{std::uncaught_exceptions()} {
  std::ofstream{folder_ / "lockstep.yaml"} << to_yaml(pipelines);
  start();
}

Daemon::~Daemon() {
  if (pid_ != 0) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    reaped(0, status);
  }
  if (std::uncaught_exceptions() <= exceptions_) return;
  const std::string text = log();
  constexpr std::size_t most = 8000;
  std::cerr << "--- the end of " << (folder_ / "log") << ":\n"
            << text.substr(text.size() > most ? text.size() - most : 0) << "---\n";
}

void Daemon::start() {
  REQUIRE(pid_ == 0);
  log_before_ = log().size();
  pid_ = launch("lockstepd", {"--config", folder_ / "lockstep.yaml"}, folder_ / "log",
                folder_ / "log");
}

bool Daemon::reaped(int options, int& status) {
  if (waitpid(pid_, &status, options) != pid_) return false;
  pid_ = 0;
  return true;
}

bool Daemon::running() {
  int status = 0;
  return pid_ != 0 && !reaped(WNOHANG, status);
}

int Daemon::stop() {
  REQUIRE(pid_ != 0);
  ::kill(pid_, SIGTERM);
  INFO("lockstepd ends within 10 s of SIGTERM");
  return await_end(seconds{10});
}

int Daemon::await_end(seconds deadline) {
  int status = 0;
  eventually(deadline, "lockstepd ends", [&] { return reaped(WNOHANG, status); });
  INFO("ended by signal " << WTERMSIG(status));
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

void Daemon::kill() {
  signal(SIGKILL);
  int status = 0;
  reaped(0, status);
}

void Daemon::reload() {
  signal(SIGHUP);
}
void Daemon::freeze() {
  signal(SIGSTOP);
}
void Daemon::thaw() {
  signal(SIGCONT);
}

void Daemon::signal(int number) {
  REQUIRE(running());
  ::kill(pid_, number);
}

std::size_t Daemon::open_files() const {
  const std::filesystem::directory_iterator files{"/proc/" + std::to_string(pid_) + "/fd"};
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

long Daemon::kib(const std::string& of) const {
  std::ifstream status{"/proc/" + std::to_string(pid_) + "/status"};
  for (std::string word; status >> word;) {
    if (word != of) continue;
    long kib = 0;
    status >> kib;
    return kib;
  }
  return 0;
}

std::size_t Daemon::unread_from(int port) const {
  std::set<std::string> sockets;  // "socket:[INODE]"
  const std::string process = "/proc/" + std::to_string(pid_);
  for (const auto& fd : std::filesystem::directory_iterator{process + "/fd"}) {
    std::error_code gone;
    sockets.insert(std::filesystem::read_symlink(fd, gone));
  }
  std::size_t most = 0;
  std::ifstream connections{process + "/net/tcp"};
  for (std::string line; std::getline(connections, line);) {
    unsigned remote_port = 0;
    unsigned long unread = 0;
    unsigned long inode = 0;
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    if (std::sscanf(line.c_str(), "%*s %*s %*8x:%x %*x %*x:%lx %*s %*s %*s %*s %lu", &remote_port,
                    &unread, &inode) != 3 ||
        remote_port != static_cast<unsigned>(port) ||
        !sockets.contains("socket:[" + std::to_string(inode) + "]")) {
      continue;
    }
    most = std::max<std::size_t>(most, unread);
  }
  return most;
}

std::string Daemon::log() const {
  return read(folder_ / "log");
}

std::vector<std::string> Daemon::lines_with(const std::string& text) const {
  std::vector<std::string> lines;
  std::istringstream all{log()};
  for (std::string line; std::getline(all, line);) {
    if (line.find(text) != std::string::npos) lines.push_back(line);
  }
  return lines;
}

int Daemon::http_port() const {
  const std::string said = "HTTP is served at http://127.0.0.1:";
  std::string port;
  eventually(seconds{10}, "HTTP is served since the last start", [&] {
    const auto text = log();
    const auto at = text.find(said, log_before_);
    if (at != text.npos) port = text.substr(at + said.size());
    return !port.empty();
  });
  return std::stoi(port);
}

int Daemon::count_in_log(const std::string& text) const {
  return static_cast<int>(lines_with(text).size());
}

void Daemon::await_log(const std::string& text, seconds deadline, int times) const {
  eventually(deadline, "\"" + text + "\" in the log " + std::to_string(times) + " times",
             [&]() -> std::string {
               const int count = count_in_log(text);
               return count >= times ? "" : std::to_string(count) + " times";
             });
}

Ended run_program(const std::string& name, const std::vector<std::string>& arguments,
                  const Surroundings& surroundings) {
  const auto folder = fresh_folder(unique("command_line"));
  const pid_t pid = launch(name, arguments, folder / "out", folder / "err", surroundings);
  int status = 0;
  try {
    eventually(seconds{30}, name + " ends", [&] { return waitpid(pid, &status, WNOHANG) == pid; });
  } catch (...) {
    ::kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    throw;
  }
  Ended printed{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read(folder / "out"),
                read(folder / "err")};
  std::filesystem::remove_all(folder);
  return printed;
}

}  // namespace lockstep::test
