#include <malloc.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "check.hpp"
#include "dead_letters.hpp"
#include "lockstep/config/config.hpp"
#include "lockstep/control/consumers.hpp"
#include "lockstep/control/services.hpp"
#include "lockstep/http/page.hpp"
#include "lockstep/http/pipelines.hpp"
#include "lockstep/http/server.hpp"
#include "lockstep/live/live.hpp"
#include "lockstep/observe/log.hpp"
#include "lockstep/observe/notify.hpp"
#include "lockstep/pipeline/registry.hpp"
#include "lockstep/source/source.hpp"
#include "recipe.hpp"
#include "wait.hpp"

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

/// SIGTERM, SIGINT and SIGHUP are taken by wait_for_signal(), by no handler. Before the first
/// thread: all inherit the mask.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// The signal that came within `timeout`, or 0.
int wait_for_signal(const sigset_t& signals, milliseconds timeout) {
  const timespec wait{timeout.count() / 1000, timeout.count() % 1000 * 1'000'000};
  return std::max(0, sigtimedwait(&signals, nullptr, &wait));
}

void keep_watchdog_quiet(const pipeline::Registry& pipelines) {
  for (const auto& pipeline : pipelines.list()) {
    const bool hangs = Clock::now() - pipeline.last_sign_of_life > silence_means_hanging;
    if (pipeline.running && hangs) return;  // systemd restarts what hangs
  }
  observe::notify_watchdog();
}

/// What systemctl status shows.
std::string summary(const pipeline::Registry& pipelines) {
  std::size_t running = 0;
  std::string ended;
  for (const auto& pipeline : pipelines.list()) {
    if (pipeline.running) ++running;
    if (!pipeline.running) ended += (ended.empty() ? "; ended: " : ", ") + pipeline.name;
  }
  return std::to_string(running) + (running == 1 ? " pipeline" : " pipelines") + " running" + ended;
}

/// Until a signal to stop comes, or no pipeline is left. True: asked to stop.
bool work(const sigset_t& signals, pipeline::Registry& pipelines) {
  const auto watchdog = observe::watchdog_interval();
  auto next_watchdog = Clock::now();
  std::string told;
  for (;;) {
    const int signal = wait_for_signal(signals, milliseconds{200});
    if (signal == SIGHUP) {
      spdlog::info("reloading: stopped tables are tried again");
      pipelines.retry();
    } else if (signal != 0) {
      spdlog::info("stopping signal={}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
      return true;
    }
    if (auto now = summary(pipelines); now != told) {
      told = std::move(now);
      observe::notify_status(told);
    }
    const auto list = pipelines.list();
    if (std::none_of(list.begin(), list.end(), [](const auto& one) { return one.running; })) {
      spdlog::error("no pipeline is left, lockstepd ends: what was logged before says why");
      return false;
    }
    if (watchdog && Clock::now() >= next_watchdog) {
      keep_watchdog_quiet(pipelines);
      next_watchdog = Clock::now() + *watchdog / 3;
    }
  }
}

/// What is served, with what feeds it.
struct Web {
  std::shared_ptr<http::Feed> feed;
  std::unique_ptr<live::Live> live;
  std::unique_ptr<source::Source> source;
  std::unique_ptr<control::Consumers> consumers;
  std::unique_ptr<http::Server> server;  // last: its routes use the above
};

/// Stops all pipelines, and what is served. Past the deadline the process ends as it is: what the
/// target has not committed by then it rolls back, and nothing is lost.
void stop(pipeline::Registry& pipelines, Web& web, int exit_code) {
  observe::notify_stopping();
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
  pipelines.stop_all();
  web.server.reset();  // waits for what Connect or Kafka was asked
  stopped = true;
}

/// A drain takes and gives back hundreds of megabytes in pieces of kilobytes. glibc returns each
/// free end of a heap to the system at once, and the kernel clears the pages when they come again:
/// that took more time than decoding (2.6 s of 5.7 s CPU for 700,000 messages; 0.3 s of 3.3 s so).
/// Pipelines give memory back when they come to rest.
void keep_freed_memory() {
  mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
  mallopt(M_TOP_PAD, 4 * 1024 * 1024);
}

/// Webhooks may have thousands of connections; shells start programs with 1024 files.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // if not: what can't be connected is tried again
}

/// The topics that pipelines read, and which pipelines those are.
std::map<std::string, std::vector<std::string>> topics_of(const pipeline::Registry& pipelines) {
  std::map<std::string, std::vector<std::string>> topics;
  for (const auto& one : pipelines.list()) {
    const auto pipeline = one.running ? pipelines.find(one.name) : nullptr;
    if (!pipeline) continue;
    const auto status = pipeline->status(milliseconds{1000});
    if (!status) continue;
    for (const auto& lane : status->lanes) topics[lane.topic].push_back(one.name);
  }
  return topics;
}

/// Errors: a name that runs already.
Result<Done, std::string> start(const config::Config& config, const config::Pipeline& pipeline,
                                pipeline::Registry& pipelines, live::Live* live) {
  for (auto& recipe : daemon::recipes(config, pipeline)) {
    if (live != nullptr) {
      recipe.config.on_applied = [live, name = recipe.config.name](const TopicPartition& partition,
                                                                   NextOffset next) {
        live->applied(name, partition, next);
      };
    }
    if (auto started = pipelines.start(std::move(recipe)); !started) return started.error();
  }
  return done;
}

/// Only what needs no server, if none is wanted. Errors: why nothing can be served.
Result<Web, std::string> serve(const config::Config& whole, pipeline::Registry& pipelines) {
  const config::Http& config = whole.http;
  Web web;
  const auto keep_consumers = [&] {
    web.consumers = std::make_unique<control::Consumers>(
        whole, pipelines, [&whole, &pipelines, live = web.live.get()](const auto& pipeline) {
          return start(whole, pipeline, pipelines, live);
        });
  };
  if (config.host.empty()) {
    keep_consumers();
    return web;
  }
  web.feed = std::make_shared<http::Feed>();
  web.live = std::make_unique<live::Live>(
      live::LiveConfig{whole.kafka.brokers, whole.kafka.properties, LOCKSTEP_VERSION,
                       [&pipelines] { return topics_of(pipelines); }},
      web.feed);
  std::map<std::string, source::PipelineSource> sources;
  for (const auto& pipeline : whole.pipelines) {
    for (const auto& name : config::running_names(pipeline)) {
      sources[name] = {pipeline.source.url, pipeline.source.signals,
                       daemon::consumer_config(whole, pipeline, name)};
    }
  }
  web.source = std::make_unique<source::Source>(std::move(sources), pipelines);
  auto routes = http::pipeline_routes(pipelines, LOCKSTEP_VERSION);
  for (auto& route : web.source->routes()) routes.push_back(std::move(route));
  for (auto& route : web.live->routes()) routes.push_back(std::move(route));
  for (auto& route : http::page_routes()) routes.push_back(std::move(route));
  const control::Services services{whole.connect_url, whole.kafka.brokers, whole.kafka.properties};
  for (auto& route : control::connector_routes(services)) routes.push_back(std::move(route));
  for (auto& route : control::topic_routes(services)) routes.push_back(std::move(route));
  keep_consumers();
  for (auto& route : web.consumers->routes()) routes.push_back(std::move(route));
  auto server = http::Server::start(
      {config.host, config.port, {config.tokens, config.allowed_hosts, config.allowed_origins}},
      std::move(routes), web.feed);
  if (!server) return server.error() + "; http.listen says where to listen, \"\" is nowhere";
  web.server = *std::move(server);
  const bool is_v6 = config.host.find(':') != std::string::npos;
  spdlog::info("HTTP is served at http://{}:{}/", is_v6 ? "[" + config.host + "]" : config.host,
               web.server->port());
  return web;
}

int run(config::Config config, const sigset_t& signals) {
  if (const char* const folder = std::getenv("STATE_DIRECTORY");  // systemd.exec(5)
      folder != nullptr && config.state_dir.empty()) {
    config.state_dir = folder;
  }
  keep_freed_memory();
  raise_file_limit();
  observe::start_logging(config.log.level, config.log.json);
  spdlog::info("lockstepd started version={} pipelines={}", LOCKSTEP_VERSION,
               config.pipelines.size());
  pipeline::Registry pipelines;
  auto web = serve(config, pipelines);
  if (!web) {
    spdlog::error("not started: {}", web.error());
    return exit_failed;
  }
  for (const auto& pipeline : config.pipelines) {
    if (auto started = start(config, pipeline, pipelines, web->live.get()); !started) {
      spdlog::error("not started: {}", started.error());
    }
  }
  web->consumers->start_kept();
  observe::notify_ready();

  const int exit_code = work(signals, pipelines) ? exit_ok : exit_failed;
  stop(pipelines, *web, exit_code);
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
  daemon::DeadLettersRequest letters;
  app.add_option("-c,--config", config_file, "configuration file (YAML)")
      ->type_name("FILE")
      ->envname("LOCKSTEP_CONFIG");
  app.add_flag("--check", only_check,
               "validate, connect, hold each topic's newest row against its table, exit");
  auto* const dead_letters = app.add_subcommand(
      "dead-letters",
      "rows that are parked behind a dead letter: list them, show their letters, retry what these\n"
      "say, or discard it; then their later changes are applied again");
  dead_letters->fallthrough();
  daemon::add_options(*dead_letters, letters);
  auto* const wait = app.add_subcommand(
      "wait",
      "until all that is committed at the source is in the target; asks the daemon that runs");
  wait->fallthrough();
  daemon::WaitRequest awaited;
  daemon::add_options(*wait, awaited);
  app.set_version_flag("--version", std::string{"lockstepd "} + LOCKSTEP_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? exit_ok : exit_usage;
  }

  if (config_file.empty()) {  // not CLI11's required(): it would hide that an option is misspelt
    std::cerr << "--config FILE is missing: lockstepd --config config/lockstep.yaml, or set "
                 "LOCKSTEP_CONFIG\n";
    return exit_usage;
  }
  sigset_t signals{};
  if (!only_check && !*dead_letters && !*wait)
    signals = block_signals();  // early: a SIGHUP that came before would end us
  auto config = config::load(config_file);
  if (!config) {
    std::cerr << to_string(config.error()) << "\n";
    return exit_usage;
  }
  if (*dead_letters) return daemon::dead_letters(*config, letters) ? exit_ok : exit_failed;
  if (*wait) return daemon::wait(*config, awaited) ? exit_ok : exit_failed;
  if (only_check) return daemon::check(*config) ? exit_ok : exit_failed;
  return run(*std::move(config), signals);
}
