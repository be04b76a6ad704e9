#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::test {

/// The parts of a configuration file that tests vary.
struct DaemonConfig {
  std::string pipeline;             ///< one of the test's own
  std::vector<std::string> topics;  ///< or one ^pattern
  std::string brokers{};            ///< empty: the stack's
  std::string target_url{};         ///< empty: the stack's
  int max_events = 20'000;
  std::string max_bytes = "64MiB";
  int connections = 0;  ///< 0: as many as by default
  std::string log_level = "debug";
  std::string listen{};  ///< http.listen; 127.0.0.1:0 is any port, which http_port() tells
  std::string token{};   ///< http.token
  std::map<std::string, std::string> tokens{};      ///< http.tokens
  std::map<std::string, std::string> properties{};  ///< kafka.properties
  std::string sink_type = "postgres";
  std::map<std::string, std::string> sink{};       ///< more of the sink's keys: YAML in one line
  std::map<std::string, std::string> connector{};  ///< what its messages don't tell
  std::map<std::string, std::string> source{};     ///< url and signals
  std::string more{};                              ///< of the file's own keys: lines of YAML
};
/// What is the whole file's (brokers, properties, http, log, more) is taken from the first.
std::string to_yaml(const std::vector<DaemonConfig>& pipelines);
inline std::string to_yaml(const DaemonConfig& config) {
  return to_yaml(std::vector{config});
}

/// A lockstepd that ends with this object, however the test ends. Its config file and its log are
/// in test-work/NAME under the build folder; the log's end is printed when an assertion leaves the
/// test.
class Daemon {
 public:
  /// Starts it. `name`: one of the test's own.
  Daemon(const std::string& name, const DaemonConfig& config);
  Daemon(const std::string& name, const std::vector<DaemonConfig>& pipelines);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Again, after stop() or kill(); the log grows on.
  void start();
  /// SIGTERM; the exit code. The test fails if it takes longer than the 10 s of the contract.
  int stop();
  /// Waits until it ends by itself; the exit code.
  int await_end(std::chrono::seconds deadline);
  /// SIGKILL.
  void kill();
  void reload();  ///< SIGHUP
  void freeze();  ///< SIGSTOP
  void thaw();    ///< SIGCONT
  bool running();
  /// Memory in use, in KiB.
  long resident_kib() const { return kib("VmRSS:"); }
  long peak_kib() const { return kib("VmHWM:"); }  ///< the most that it was
  /// Its open files, sockets among them.
  std::size_t open_files() const;
  /// The most bytes that wait in one of its TCP connections to `port` for being read by it.
  std::size_t unread_from(int port) const;

  /// Where it serves HTTP, if it does; waits until it has said so.
  int http_port() const;

  std::string log() const;
  int count_in_log(const std::string& text) const;
  bool logged(const std::string& text) const { return count_in_log(text) > 0; }
  /// The lines that contain the text.
  std::vector<std::string> lines_with(const std::string& text) const;
  /// Waits until the log contains the text, `times` times.
  void await_log(const std::string& text, std::chrono::seconds deadline, int times = 1) const;

 private:
  bool reaped(int options, int& status);
  long kib(const std::string& of) const;
  void signal(int number);

  const std::filesystem::path folder_;
  const int exceptions_ = 0;
  pid_t pid_ = 0;               ///< 0: does not run
  std::size_t log_before_ = 0;  ///< bytes, of the starts before the last
};

/// What a run of a program said and how it ended.
struct Ended {
  int code = -1;
  std::string out;
  std::string err;
};
/// What a program finds around it.
struct Surroundings {
  std::filesystem::path folder{};  ///< its working directory; empty: the test's own
  /// Set over the test's own variables; nullopt: not set at all.
  std::map<std::string, std::optional<std::string>> environment{};
};
/// Runs one of our programs to its end; the test fails if that takes more than 30 s.
Ended run_program(const std::string& name, const std::vector<std::string>& arguments,
                  const Surroundings& surroundings = {});
inline Ended run_daemon(const std::vector<std::string>& arguments) {
  return run_program("lockstepd", arguments);
}

/// A folder of this name under the build folder, new and empty.
std::filesystem::path fresh_folder(const std::string& name);

}  // namespace lockstep::test
