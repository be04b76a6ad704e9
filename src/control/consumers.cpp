#include "lockstep/control/consumers.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "consumer.hpp"
#include "kept.hpp"
#include "lockstep/kafka/admin.hpp"
#include "lockstep/model/mutex.hpp"
#include "lockstep/model/utc.hpp"

namespace lockstep::control {

namespace {

using http::Access;
using http::Request;
using http::Response;
using http::Waits;
using std::chrono::milliseconds;

constexpr milliseconds offsets_deadline{5000};
constexpr milliseconds status_deadline{1000};
constexpr auto not_kept =
    "state_dir is not set, so it ends with lockstepd: name a folder in the configuration to keep "
    "what is started at run time";

struct Entry {
  WantedConsumer wanted;
  std::vector<std::string> running_names;
  std::string failure;  ///< why it could not be started; empty: it was
};

/// All that no other pipeline may be called.
std::vector<std::string> names_of(const config::Pipeline& pipeline) {
  auto names = config::running_names(pipeline);
  names.push_back(pipeline.name);
  return names;
}

Response no_consumer() {
  return http::error(404, "no such consumer", "GET /consumer/list lists them");
}

Response not_written(const std::string& cause) {
  return http::error(500, "can't be kept", cause + "; nothing has changed");
}

}  // namespace

class Consumers::Impl {
 public:
  Impl(const config::Config& config, pipeline::Registry& pipelines, StartPipeline start)
      : config_{config}, pipelines_{pipelines}, start_{std::move(start)}, kept_{config.state_dir} {
    for (const auto& pipeline : config.pipelines) {
      const auto names = names_of(pipeline);
      configured_.insert(configured_.end(), names.begin(), names.end());
    }
    read();
  }

  void start_kept() {
    const Lock changing{changing_};
    for (auto& entry : copy()) {
      if (entry.failure.empty()) {
        const auto pipeline = config::to_pipeline(entry.wanted.consumer, config_);
        if (!pipeline) {
          entry.failure = to_string(pipeline.error());
        } else if (auto taken = taken_name(*pipeline, entry.wanted.consumer.id); !taken.empty()) {
          entry.failure = taken + " is a pipeline of the configuration, too: rename it there";
        } else {
          entry.running_names = config::running_names(*pipeline);
          if (auto started = start_(*pipeline); !started) entry.failure = started.error();
        }
      }
      if (!entry.failure.empty()) {
        spdlog::error("consumer not started, mend that and restart consumer={}: {}",
                      entry.wanted.consumer.id, entry.failure);
      }
      put(entry);
    }
  }

  Response start(const Request& request) {
    auto wanted = wanted_consumer(request.body);
    if (!wanted) return wanted.error();
    const auto& consumer = wanted->consumer;
    const auto pipeline = config::to_pipeline(consumer, config_);
    if (!pipeline) {
      std::vector<std::string> mistakes;
      for (const auto& error : pipeline.error()) mistakes.push_back(error.message);
      return http::error(400, "bad body", joined(mistakes));
    }
    const Lock changing{changing_};
    if (find(consumer.id)) {
      return http::error(409, "consumer exists",
                         "stop it by POST /consumer/stop, or choose another consumer_id");
    }
    if (const auto taken = taken_name(*pipeline, {}); !taken.empty()) {
      return http::error(409, "name is taken",
                         taken + " is a pipeline already: choose another consumer_id");
    }
    if (!unreadable_.empty()) return not_written(unreadable_);
    Entry entry{*std::move(wanted), config::running_names(*pipeline), {}};
    if (entry.wanted.from_end) {
      if (auto begun = begin_at_end(entry); !begun) return begun.error();
    }
    entry.wanted.json["started_at"] = utc_text(std::chrono::system_clock::now());
    auto kept = jsons();
    kept.push_back(entry.wanted.json);
    if (auto written = kept_.write(kept); !written) return not_written(written.error());
    const auto id = entry.wanted.consumer.id;
    if (auto started = start_(*pipeline); !started) {
      kept.pop_back();
      if (auto written = kept_.write(kept); !written) {
        spdlog::error("consumer not forgotten, it starts with lockstepd consumer={}: {}", id,
                      written.error());
      }
      return http::error(409, "name is taken", started.error());
    }
    put(entry);
    spdlog::info("consumer started consumer={} topic={} job={}", id, entry.wanted.consumer.topic,
                 entry.wanted.json.at("job_type").get<std::string>());
    if (!kept_.is_kept()) spdlog::warn("consumer is not kept consumer={}: {}", id, not_kept);
    return answer(201, info_json(entry));
  }

  Response stop(const Request& request) {
    const auto id = query_of(request, "consumer_id");
    if (id.empty()) return missing_parameter(422, "consumer_id");
    const Lock changing{changing_};
    const auto entry = find(id);
    if (!entry) {
      if (std::find(configured_.begin(), configured_.end(), id) == configured_.end()) {
        return no_consumer();
      }
      return http::error(422, "pipeline of the configuration",
                         "POST /pipelines/" + id +
                             "/pause pauses it; to end it take it out of the configuration and "
                             "restart lockstepd");
    }
    auto rest = jsons();
    rest.erase(std::remove_if(rest.begin(), rest.end(),
                              [&](const auto& json) { return json.at("consumer_id") == id; }),
               rest.end());
    if (auto written = kept_.write(rest); !written) return not_written(written.error());
    if (entry->failure.empty()) {
      for (const auto& name : entry->running_names) {
        if (auto stopped = pipelines_.stop(name); !stopped) {
          spdlog::warn("consumer did not run consumer={}: {}", id, stopped.error());
        }
      }
    }
    forget(id);
    spdlog::info("consumer stopped consumer={}", id);
    return answer(200, {{"consumer_id", id}, {"state", "ended"}});
  }

  Response list() const {
    Json all = Json::array();
    const auto views = look();
    for (const auto& entry : copy()) {
      all.push_back(consumer_summary(entry.wanted, entry.failure, view_of(entry, views)));
    }
    return answer(200, {{"consumers", std::move(all)}});
  }

  Response info(const Request& request) const {
    const auto entry = find(request.parameters.at(0));
    return entry ? answer(200, info_json(*entry)) : no_consumer();
  }

 private:
  void read() {
    const Lock lock{mutex_};
    const auto list = kept_.read();
    if (!list) {
      unreadable_ = list.error();
      spdlog::error("consumers not started, and none can be: {}", unreadable_);
      return;
    }
    for (const auto& json : *list) {
      auto wanted = kept_consumer(json);
      if (!wanted) {
        entries_.clear();
        unreadable_ =
            "an entry of consumers.json in state_dir is not what lockstepd writes, mend it "
            "or take it out: " +
            wanted.error().body;
        spdlog::error("consumers not started, and none can be: {}", unreadable_);
        return;
      }
      entries_.push_back({*std::move(wanted), {}, {}});
    }
  }

  /// The name that is another's, of all that are the pipeline's; empty: none.
  std::string taken_name(const config::Pipeline& pipeline, const std::string& except) const {
    const auto entries = copy();
    for (const auto& name : names_of(pipeline)) {
      const auto is_it = [&](const auto& other) { return other == name; };
      if (std::any_of(configured_.begin(), configured_.end(), is_it)) return name;
      for (const auto& entry : entries) {
        if (entry.wanted.consumer.id == except) continue;
        const auto& running = entry.running_names;
        if (entry.wanted.consumer.id == name ||
            std::any_of(running.begin(), running.end(), is_it)) {
          return name;
        }
      }
    }
    return {};
  }

  Result<Done, Response> begin_at_end(const Entry& entry) const {
    const auto admin = kafka::Admin::open(config_.kafka.brokers, config_.kafka.properties);
    if (!admin) return http::error(503, "Kafka does not answer", admin.error().message);
    for (const auto& name : entry.running_names) {
      const auto begun =
          (*admin)->begin_at_end("lockstep." + name, entry.wanted.consumer.topic, offsets_deadline);
      if (!begun) return kafka_error(begun.error(), 409);
    }
    return done;
  }

  using Views = std::vector<http::View>;
  Views look() const { return http::look_at(pipelines_, status_deadline); }

  /// What runs for it: one pipeline, since a webhook has one route.
  static std::optional<http::View> view_of(const Entry& entry, const Views& views) {
    if (!entry.failure.empty() || entry.running_names.empty()) return std::nullopt;
    const auto found = std::find_if(views.begin(), views.end(), [&](const auto& view) {
      return view.name == entry.running_names.front();
    });
    return found == views.end() ? std::nullopt : std::optional{*found};
  }

  Json info_json(const Entry& entry) const {
    auto json = consumer_info(entry.wanted, entry.failure, view_of(entry, look()));
    json["kept"] = kept_.is_kept();
    return json;
  }

  std::vector<Entry> copy() const {
    const Lock lock{mutex_};
    return entries_;
  }
  std::optional<Entry> find(const std::string& id) const {
    const Lock lock{mutex_};
    for (const auto& entry : entries_) {
      if (entry.wanted.consumer.id == id) return entry;
    }
    return std::nullopt;
  }
  void put(const Entry& changed) {
    const Lock lock{mutex_};
    for (auto& entry : entries_) {
      if (entry.wanted.consumer.id == changed.wanted.consumer.id) {
        entry = changed;
        return;
      }
    }
    entries_.push_back(changed);
  }
  void forget(const std::string& id) {
    const Lock lock{mutex_};
    entries_.erase(
        std::remove_if(entries_.begin(), entries_.end(),
                       [&](const auto& entry) { return entry.wanted.consumer.id == id; }),
        entries_.end());
  }
  std::vector<Json> jsons() const {
    std::vector<Json> all;
    for (const auto& entry : copy()) all.push_back(entry.wanted.json);
    return all;
  }

  const config::Config& config_;
  pipeline::Registry& pipelines_;
  const StartPipeline start_;
  std::vector<std::string> configured_;  ///< names of the configuration
  Mutex changing_;                       ///< one change after the other
  Kept kept_;
  std::string unreadable_;  ///< why nothing can be kept
  mutable Mutex mutex_;
  std::vector<Entry> entries_ LOCKSTEP_GUARDED_BY(mutex_);
};

Consumers::Consumers(const config::Config& config, pipeline::Registry& pipelines,
                     StartPipeline start)
    : impl_{std::make_unique<Impl>(config, pipelines, std::move(start))} {}
Consumers::~Consumers() = default;

void Consumers::start_kept() {
  impl_->start_kept();
}

std::vector<http::Route> Consumers::routes() {
  auto* const impl = impl_.get();
  return {{"POST", "/consumer/start", Access::guarded, Waits::for_others,
           [impl](const Request& request) { return impl->start(request); }},
          {"POST", "/consumer/stop", Access::guarded, Waits::for_others,
           [impl](const Request& request) { return impl->stop(request); }},
          {"GET", "/consumer/list", Access::guarded, Waits::for_pipelines,
           [impl](const Request&) { return impl->list(); }},
          {"GET", "/consumer/info/{consumer_id}", Access::guarded, Waits::for_pipelines,
           [impl](const Request& request) { return impl->info(request); }}};
}

}  // namespace lockstep::control
