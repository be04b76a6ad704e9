#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <memory>

#include "body.hpp"
#include "lockstep/control/services.hpp"
#include "lockstep/model/names.hpp"
#include "system_topics.hpp"

namespace lockstep::control {

namespace {

using http::Access;
using http::Request;
using http::Response;
using http::Waits;
using std::chrono::milliseconds;

constexpr milliseconds deadline{5000};
constexpr std::int64_t most_partitions = 1000;
constexpr std::int64_t most_replicas = 32;
constexpr auto retention_ms = "retention.ms";
constexpr auto retention_bytes = "retention.bytes";

Response system_topic(int status, const std::string& name) {
  return http::error(status, "system topic",
                     name +
                         " is what Kafka or Connect keeps its own state in, and can't be changed "
                         "from here: use Kafka's own tools if it has to be");
}

Response no_topic() {
  return kafka_error({kafka::AdminError::Kind::missing, {}}, 400);
}

Json number_in(const kafka::TopicConfig& config, const char* name) {
  const auto found = config.find(name);
  if (found == config.end()) return nullptr;
  std::int64_t value = 0;
  const auto& text = found->second;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{}) return nullptr;
  return value;
}

/// What is wrong with a field; empty: nothing.
std::string out_of_range(const Body& body, const char* name, std::int64_t lowest,
                         std::int64_t highest) {
  const auto value = body.number(name);
  if (!value || (*value >= lowest && *value <= highest)) return {};
  return std::string{name} + " is out of range, expected " + std::to_string(lowest) + " to " +
         std::to_string(highest);
}

/// Both can be switched off with -1.
std::vector<std::string> wrong_retention(const Body& body) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  return {out_of_range(body, "retention_ms", -1, most),
          out_of_range(body, "retention_bytes", -1, most)};
}

kafka::TopicConfig retention_of(const Body& body) {
  kafka::TopicConfig config;
  if (const auto value = body.number("retention_ms")) config[retention_ms] = std::to_string(*value);
  if (const auto value = body.number("retention_bytes")) {
    config[retention_bytes] = std::to_string(*value);
  }
  return config;
}

class Topics {
 public:
  explicit Topics(Services services) : services_{std::move(services)} {}

  Response list() {
    return with_admin([](kafka::Admin& admin) {
      const auto topics = admin.topics(deadline);
      if (!topics) return kafka_error(topics.error(), 503);
      Json shown = Json::array();
      for (const auto& topic : *topics) {
        if (!is_kafkas_own(topic.name)) shown.push_back(size_json(topic));
      }
      return answer(200, {{"topics", std::move(shown)}});
    });
  }

  Response config(const Request& request) {
    const auto name = query_of(request, "topic_name");
    if (name.empty()) return missing_parameter(400, "topic_name");
    if (!is_topic_name(name) || is_kafkas_own(name)) return no_topic();
    return with_admin([&](kafka::Admin& admin) { return describe(admin, name, 200); });
  }

  Response create(const Request& request) {
    const auto body = Body::parse(request.body, {{"topic_name", Field::Kind::text, true},
                                                 {"num_partitions", Field::Kind::whole_number},
                                                 {"replication_factor", Field::Kind::whole_number},
                                                 {"retention_ms", Field::Kind::whole_number},
                                                 {"retention_bytes", Field::Kind::whole_number}});
    if (!body) return body.error();
    const auto name = body->text("topic_name");
    auto mistakes = wrong_retention(*body);
    mistakes.push_back(out_of_range(*body, "num_partitions", 1, most_partitions));
    mistakes.push_back(out_of_range(*body, "replication_factor", 1, most_replicas));
    if (!is_topic_name(name)) {
      mistakes.emplace_back("topic_name has to be 1 to 249 letters, digits, dots, _ or -");
    }
    if (const auto all = joined(mistakes); !all.empty()) return http::error(400, "bad body", all);
    if (is_system_topic(name)) return system_topic(400, name);
    spdlog::info("making a topic topic={}", name);
    return with_admin([&](kafka::Admin& admin) {
      const kafka::TopicSize size{
          name, static_cast<int>(body->number("num_partitions").value_or(-1)),
          static_cast<int>(body->number("replication_factor").value_or(-1))};
      if (auto made = admin.create(size, retention_of(*body), deadline); !made) {
        return kafka_error(made.error(), 400);
      }
      return describe(admin, name, 201);
    });
  }

  Response update(const Request& request) {
    const auto body = Body::parse(request.body, {{"topic_name", Field::Kind::text, true},
                                                 {"retention_ms", Field::Kind::whole_number},
                                                 {"retention_bytes", Field::Kind::whole_number}});
    if (!body) return body.error();
    const auto name = body->text("topic_name");
    if (const auto all = joined(wrong_retention(*body)); !all.empty()) {
      return http::error(422, "out of range", all);
    }
    const auto changes = retention_of(*body);
    if (changes.empty()) {
      return http::error(422, "nothing to change", "give retention_ms, retention_bytes, or both");
    }
    if (!is_topic_name(name)) return no_topic();
    if (is_system_topic(name)) return system_topic(422, name);
    spdlog::info("changing a topic topic={}", name);
    return with_admin([&](kafka::Admin& admin) {
      if (auto altered = admin.alter(name, changes, deadline); !altered) {
        return kafka_error(altered.error(), 422);
      }
      return describe(admin, name, 200);
    });
  }

  Response remove(const Request& request) {
    const auto name = query_of(request, "topic_name");
    if (name.empty()) return missing_parameter(400, "topic_name");
    if (!is_topic_name(name)) return no_topic();
    if (is_system_topic(name)) return system_topic(400, name);
    return with_admin([&](kafka::Admin& admin) {
      if (auto removed = admin.remove(name, deadline); !removed) {
        return kafka_error(removed.error(), 400);
      }
      return no_content();
    });
  }

 private:
  Response with_admin(const std::function<Response(kafka::Admin&)>& ask) const {
    const auto admin = kafka::Admin::open(services_.brokers, services_.properties);
    if (!admin) return http::error(503, "Kafka does not answer", admin.error().message);
    return ask(**admin);
  }

  static Json size_json(const kafka::TopicSize& topic) {
    return {{"topic_name", topic.name},
            {"num_partitions", topic.partitions},
            {"replication_factor", topic.replicas}};
  }

  static Response describe(kafka::Admin& admin, const std::string& name, int status) {
    const auto config = admin.config(name, deadline);
    if (!config) return kafka_error(config.error(), 503);
    const auto topics = admin.topics(deadline);
    if (!topics) return kafka_error(topics.error(), 503);
    const auto found = std::find_if(topics->begin(), topics->end(),
                                    [&](const auto& topic) { return topic.name == name; });
    if (found == topics->end()) return no_topic();
    Json shown = size_json(*found);
    shown["retention_ms"] = number_in(*config, retention_ms);
    shown["retention_bytes"] = number_in(*config, retention_bytes);
    shown["config"] = *config;
    return answer(status, shown);
  }

  const Services services_;
};

}  // namespace

std::vector<http::Route> topic_routes(const Services& services) {
  const auto all = std::make_shared<Topics>(services);
  const auto waits = Waits::for_others;
  return {
      {"GET", "/topic/list", Access::guarded, waits, [all](const Request&) { return all->list(); }},
      {"GET", "/topic/config", Access::guarded, waits,
       [all](const Request& request) { return all->config(request); }},
      {"POST", "/topic/create", Access::guarded, waits,
       [all](const Request& request) { return all->create(request); }},
      {"PATCH", "/topic/update", Access::guarded, waits,
       [all](const Request& request) { return all->update(request); }},
      {"DELETE", "/topic/delete", Access::guarded, waits,
       [all](const Request& request) { return all->remove(request); }}};
}

}  // namespace lockstep::control
