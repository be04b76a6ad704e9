#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "lockstep/config/config.hpp"
#include "lockstep/config/environment.hpp"
#include "lockstep/postgres/session.hpp"

namespace lockstep::tools {

/// Exit codes, the daemon's own.
enum Exit : int { ok = 0, failed = 1, usage = 2 };

/// A wrong argument, found after the command line was parsed: exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What a user can't have, in words that need no more: exit code 1.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The frame of every tool: its options and help, what the configuration says, connections that
/// can't hang, errors in one line on standard error, exit codes. Threads: main only.
///
///   Program program{"Prints what ...", "check_target_db users --limit 5"};
///   program.with_pipeline();
///   program.options().add_option(...);
///   return program.run(argc, argv, [&] { return print(program.target()); });
class Program {
 public:
  /// `what` it does: the head of --help. `examples`: command lines, one a line: its end.
  Program(const std::string& what, const std::string& examples);

  CLI::App& options() { return app_; }

  void with_config();    ///< --config: the daemon's configuration
  void with_pipeline();  ///< --config, and --pipeline: one with a postgres sink
  void with_source();    ///< --source
  void with_json(const std::string& what);

  /// Parses the command line, reads the configuration if the tool has one, and does the work, which
  /// says whether all is well. The exit code.
  int run(int argc, char** argv, const std::function<bool()>& work);

  // While the work is done.
  bool json() const { return json_; }
  const config::Config& config() const { return *config_; }
  const config::PostgresSink& sink() const { return *pipeline_->postgres(); }
  /// A variable of the environment or of .env; `otherwise` if it is not set, or empty.
  std::string variable(const std::string& name, const std::string& otherwise) const;
  /// As "lockstep-tools", unless the URL or PGAPPNAME says otherwise; a statement has 30 s. They
  /// throw a Failure that says what to look at.
  postgres::Session source() const;
  postgres::Session target() const;

 private:
  void read();
  std::string source_url() const;

  CLI::App app_;
  std::string config_file_ = "config/lockstep.yaml";
  std::string pipeline_name_;
  std::string source_option_;
  bool reads_config_ = false;
  bool wants_pipeline_ = false;
  bool json_ = false;
  std::optional<config::Config> config_;
  const config::Pipeline* pipeline_ = nullptr;
  std::optional<config::Environment> environment_;
};

/// The first line of a server's or libpq's message, without its ERROR: in front.
std::string one_line(const std::exception& error);

/// "; did you mean users or orders?" of the names that are like it, or nothing.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& names);

}  // namespace lockstep::tools
