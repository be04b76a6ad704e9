#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "check.hpp"
#include "lockstep/config/config.hpp"
#include "lockstep/observe/log.hpp"
#include "lockstep/observe/notify.hpp"
#include "lockstep/pipeline/pipeline.hpp"

namespace {

using namespace lockstep;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr int exit_ok = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

constexpr milliseconds stop_deadline{9500};  // the contract says 10 s
constexpr seconds silence_means_hanging{30};

/// SIGTERM and SIGINT are taken by wait_for_signal(), by no handler. Before the first thread: all
/// inherit the mask.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// The signal that came within `timeout`, or 0.
int wait_for_signal(const sigset_t& signals, milliseconds timeout) {
  const timespec wait{timeout.count() / 1000, timeout.count() % 1000 * 1'000'000};
  return std::max(0, sigtimedwait(&signals, nullptr, &wait));
}

/// A pipeline and its thread.
class Running {
 public:
  explicit Running(const config::Config& config, const config::Pipeline& pipeline)
      : name_{pipeline.name},
        pipeline_{{pipeline.name, daemon::consumer_config(config, pipeline), pipeline.batch},
                  postgres::make_sink(daemon::sink_config(pipeline))},
        thread_{[this](const std::stop_token& stop) {
          if (auto ended = pipeline_.run(stop); !ended) {
            spdlog::error("pipeline failed pipeline={}: {}", name_, ended.error());
            failed_ = true;
          }
          ended_ = true;
        }} {}

  void request_stop() { thread_.request_stop(); }
  bool ended() const { return ended_; }
  bool failed() const { return failed_; }
  bool alive() const {
    return Clock::now() - pipeline_.last_sign_of_life() < silence_means_hanging;
  }

 private:
  const std::string name_;
  pipeline::Pipeline pipeline_;
  std::atomic<bool> ended_{false};
  std::atomic<bool> failed_{false};
  std::jthread thread_;  // last: joined before what it uses goes
};

using RunningPipelines = std::vector<std::unique_ptr<Running>>;

void keep_watchdog_quiet(const RunningPipelines& pipelines) {
  for (const auto& running : pipelines) {
    if (!running->alive()) return;  // systemd restarts what hangs
  }
  observe::notify_watchdog();
}

/// Until a signal comes or a pipeline ends by itself. True: asked to stop.
bool work(const sigset_t& signals, const RunningPipelines& pipelines) {
  const auto watchdog = observe::watchdog_interval();
  auto next_watchdog = Clock::now();
  for (;;) {
    if (const int signal = wait_for_signal(signals, milliseconds{200}); signal != 0) {
      spdlog::info("stopping signal={}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
      return true;
    }
    for (const auto& running : pipelines) {
      if (running->ended()) return false;
    }
    if (watchdog && Clock::now() >= next_watchdog) {
      keep_watchdog_quiet(pipelines);
      next_watchdog = Clock::now() + *watchdog / 3;
    }
  }
}

/// Stops all pipelines. Past the deadline the process ends as it is: what the target has not
/// committed by then it rolls back, and nothing is lost.
void stop(RunningPipelines& pipelines, int exit_code) {
  observe::notify_stopping();
  for (auto& running : pipelines) running->request_stop();
  std::atomic<bool> stopped{false};
  std::jthread guard{[&stopped, exit_code, begin = Clock::now()] {
    while (!stopped && Clock::now() - begin < stop_deadline) {
      std::this_thread::sleep_for(milliseconds{20});
    }
    if (stopped) return;
    spdlog::warn("not everything stopped in time, leaving the rest to the target's rollback");
    spdlog::default_logger()->flush();
    std::_Exit(exit_code);
  }};
  pipelines.clear();
  stopped = true;
}

int run(const config::Config& config) {
  const sigset_t signals = block_signals();
  observe::start_logging(config.log.level, config.log.json);
  spdlog::info("lockstepd started version={} pipelines={}", LOCKSTEP_VERSION,
               config.pipelines.size());
  RunningPipelines pipelines;
  for (const auto& pipeline : config.pipelines) {
    pipelines.push_back(std::make_unique<Running>(config, pipeline));
  }
  observe::notify_ready();
  observe::notify_status(std::to_string(pipelines.size()) + " pipelines running");

  const int exit_code = work(signals, pipelines) ? exit_ok : exit_failed;
  stop(pipelines, exit_code);
  spdlog::info("lockstepd stopped");
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Lockstep keeps a target PostgreSQL in step with the change topics that Debezium\n"
      "writes to Kafka.\n"
      "Exit codes: 0 asked to stop, 2 bad configuration or command line, 1 anything else."};
  std::string config_file;
  bool only_check = false;
  app.add_option("-c,--config", config_file, "configuration file (YAML)")->option_text("FILE");
  app.add_flag("--check", only_check, "validate, connect, print the plan, exit");
  app.set_version_flag("--version", std::string{"lockstepd "} + LOCKSTEP_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? exit_ok : exit_usage;
  }

  if (config_file.empty()) {  // not CLI11's required(): it would hide that an option is misspelt
    std::cerr << "--config FILE is missing: lockstepd --config config/lockstep.yaml\n";
    return exit_usage;
  }
  const auto config = config::load(config_file);
  if (!config) {
    std::cerr << to_string(config.error()) << "\n";
    return exit_usage;
  }
  if (only_check) return daemon::check(*config) ? exit_ok : exit_failed;
  return run(*config);
}
