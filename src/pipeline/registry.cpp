#include "lockstep/pipeline/registry.hpp"

#include <spdlog/spdlog.h>

#include <thread>
#include <utility>

namespace lockstep::pipeline {

namespace {

constexpr std::chrono::seconds tell_deadline{5};

}  // namespace

/// A pipeline and its thread.
class Registry::Running {
 public:
  explicit Running(Recipe made_of)
      : recipe{std::move(made_of)},
        pipeline{std::make_shared<Pipeline>(recipe.config, recipe.make_sinks(),
                                            recipe.make_gate ? recipe.make_gate() : nullptr)},
        thread_{[this](const std::stop_token& stop) { run(stop); }} {}

  void request_stop() { thread_.request_stop(); }

  struct State {
    bool ended = false;
    std::string cause;  ///< empty: it was asked to
  };
  State state() const {
    const Lock lock{mutex_};
    return state_;
  }

  const Recipe recipe;
  const std::shared_ptr<Pipeline> pipeline;

 private:
  void run(const std::stop_token& stop) {
    std::string cause;
    try {
      if (auto ended = pipeline->run(stop); !ended) cause = ended.error();
    } catch (const std::exception& e) {  // one pipeline's bug must not end the others
      cause = std::string{"internal error: "} + e.what();
    }
    if (!cause.empty()) {
      spdlog::error(
          "pipeline ended, the others go on; systemctl reload lockstepd, or SIGHUP, "
          "starts it again pipeline={}: {}",
          recipe.config.name, cause);
    }
    const Lock lock{mutex_};
    state_ = {true, cause};
  }

  mutable Mutex mutex_;
  State state_ LOCKSTEP_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: joined before what it uses goes
};

Registry::~Registry() {
  stop_all();
}

Result<Done, std::string> Registry::start(Recipe recipe) {
  const std::string name = recipe.config.name;
  std::shared_ptr<Running> before;  // its writers may still be busy: waited for without the lock
  const Lock lock{mutex_};
  const auto known = pipelines_.find(name);
  if (known != pipelines_.end() && !known->second->state().ended) {
    return "pipeline " + name + " runs already";
  }
  auto running = std::make_shared<Running>(std::move(recipe));
  before = std::exchange(pipelines_[name], std::move(running));
  return done;
}

Result<Done, std::string> Registry::stop(const std::string& name) {
  std::shared_ptr<Running> running;
  {
    const Lock lock{mutex_};
    const auto found = pipelines_.find(name);
    if (found == pipelines_.end()) return "no pipeline " + name;
    running = found->second;
    pipelines_.erase(found);
  }
  running->request_stop();
  running.reset();  // waits for its thread, without the lock
  return done;
}

void Registry::stop_all() {
  std::map<std::string, std::shared_ptr<Running>> all;
  {
    const Lock lock{mutex_};
    all.swap(pipelines_);
  }
  for (const auto& [name, running] : all) running->request_stop();
  all.clear();
}

std::shared_ptr<Pipeline> Registry::find(const std::string& name) const {
  const Lock lock{mutex_};
  const auto found = pipelines_.find(name);
  return found == pipelines_.end() ? nullptr : found->second->pipeline;
}

void Registry::retry() {
  std::vector<std::shared_ptr<Running>> all;
  {
    const Lock lock{mutex_};
    for (const auto& [name, running] : pipelines_) all.push_back(running);
  }
  for (auto& running : all) {
    if (running->state().ended) {
      if (auto started = start(running->recipe); !started) {
        spdlog::warn("not started again: {}", started.error());
      }
      continue;
    }
    const auto told = running->pipeline->tell({Command::Verb::retry, {}}, tell_deadline);
    if (!told) {
      spdlog::warn("stopped tables are not tried again pipeline={}: {}",
                   running->recipe.config.name, told.error().message);
    }
  }
}

std::vector<Registry::Overview> Registry::list() const {
  const Lock lock{mutex_};
  std::vector<Overview> list;
  for (const auto& [name, running] : pipelines_) {
    auto state = running->state();
    list.push_back(
        {name, !state.ended, std::move(state.cause), running->pipeline->last_sign_of_life()});
  }
  return list;
}

}  // namespace lockstep::pipeline
