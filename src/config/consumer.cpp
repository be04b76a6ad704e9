#include "lockstep/config/consumer.hpp"

#include <vector>

#include "limits.hpp"
#include "lockstep/config/nearest.hpp"
#include "values.hpp"

namespace lockstep::config {

namespace {

using Job = Consumer::Job;

class Reading {
 public:
  Reading(const Consumer& consumer, const Config& config) : consumer_{consumer}, config_{config} {}

  Result<Pipeline, Errors> pipeline() {
    Pipeline made;
    made.name = consumer_.id;
    made.topics = {consumer_.topic};
    check("consumer_id", consumer_.id, check_pipeline_name(consumer_.id));
    check("kafka_topic", consumer_.topic, check_topic(consumer_.topic));
    switch (consumer_.job) {
      case Job::console:
        made.sink = ConsoleSink{};
        break;
      case Job::webhook: {
        WebhookRoute route;
        route.name = "all";
        route.url = url(check_web_url);
        made.sink = WebhookSink{{std::move(route)}};
        break;
      }
      case Job::replica:
      case Job::sync: {
        PostgresSink sink;
        sink.url = url(check_postgres_url);
        if (consumer_.job == Job::sync) sink.threshold = threshold();
        made.sink = std::move(sink);
        break;
      }
    }
    for (const auto& name : running_names(made)) {
      if (name != consumer_.id && check_pipeline_name(consumer_.id) && !check_pipeline_name(name)) {
        add("consumer_id",
            "is too long: with its route it is " + name + ", expected 100 characters at most");
      }
    }
    if (!errors_.empty()) return std::move(errors_);
    return made;
  }

 private:
  void add(const std::string& field, const std::string& mistake) {
    errors_.push_back({field + ": " + mistake});
  }

  void check(const std::string& field, const std::string& value,
             const Result<Done, Error>& checked) {
    if (!checked) add(field, "\"" + value + "\" " + checked.error().message);
  }

  /// Never quoted: it may hold a password.
  std::string url(Result<Done, Error> (*checked)(std::string_view)) {
    const auto& name = consumer_.connection;
    std::vector<std::string> names;
    for (const auto& [known, url] : config_.connections) {
      if (known == name) {
        if (const auto result = checked(url); !result) {
          add("connection_id", name + ": its URL " + result.error().message);
        }
        return url;
      }
      names.push_back(known);
    }
    if (name.empty()) {
      add("connection_id", "missing, expected one of the configuration's connections");
    } else if (const auto meant = nearest(name, names); !meant.empty()) {
      add("connection_id", name + " is not in connections; did you mean " + meant.front() + "?");
    } else {
      add("connection_id", name + " is not in connections; expected one of the configuration's");
    }
    return {};
  }

  Threshold threshold() {
    Threshold made;
    made.redis = config_.redis;
    if (const auto count = consumer_.max_event) {
      if (*count < lowest_max_event || *count > highest_max_event) {
        add("max_event", "is out of range, expected 1 to 1000000");
      }
      made.max_event = static_cast<std::uint64_t>(*count);
    }
    if (const auto time = consumer_.max_time) {
      if (*time < shortest_max_time || *time > longest_max_time) {
        add("max_time", "is out of range, expected 1 to 604800 seconds");
      } else {
        made.max_time = *time;
      }
    }
    return made;
  }

  const Consumer& consumer_;
  const Config& config_;
  Errors errors_;
};

}  // namespace

Result<Pipeline, Errors> to_pipeline(const Consumer& consumer, const Config& config) {
  return Reading{consumer, config}.pipeline();
}

}  // namespace lockstep::config
