#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "catch.hpp"
#include "daemon.hpp"
#include "web.hpp"

namespace lockstep::test {

/// A daemon that serves HTTP, and replicates the topic.
class Api {
 public:
  Api(const std::string& name, const std::string& topic, const std::string& brokers = {},
      const std::string& more = {})
      : daemon{name, config(name, topic, brokers, more)} {}

  struct Reply {
    int status = 0;
    nlohmann::json body;
    std::string text;
  };

  Reply call(const std::string& method, const std::string& target,
             const std::optional<nlohmann::json>& body = std::nullopt) const {
    const auto answered =
        web_call(daemon.http_port(), method, target, {}, body ? body->dump() : std::string{});
    return {answered.status, nlohmann::json::parse(answered.body, nullptr, false), answered.body};
  }

  /// The status; what is wrong has to be told with what to do.
  int refusal(const std::string& method, const std::string& target,
              const std::optional<nlohmann::json>& body = std::nullopt) const {
    const auto reply = call(method, target, body);
    INFO(reply.text);
    CHECK(reply.body.contains("error"));
    CHECK_FALSE(reply.body.value("detail", "").empty());
    return reply.status;
  }

  Daemon daemon;

 private:
  static DaemonConfig config(const std::string& name, const std::string& topic,
                             const std::string& brokers, const std::string& more) {
    DaemonConfig config{name, {topic}};
    config.listen = "127.0.0.1:0";
    config.brokers = brokers;
    config.more = more;
    return config;
  }
};

}  // namespace lockstep::test
