#pragma once

#include <map>
#include <string>
#include <vector>

#include "lockstep/http/message.hpp"

namespace lockstep::control {

/// Where the services are that operators act on through us.
struct Services {
  std::string connect_url;  ///< of Kafka Connect's REST API; may hold a password: never print it
  std::string brokers;
  std::map<std::string, std::string> properties;  ///< handed to librdkafka as they are
};

/// /debezium/…: connectors of Kafka Connect.
std::vector<http::Route> connector_routes(const Services& services);

/// /topic/…: topics of Kafka.
std::vector<http::Route> topic_routes(const Services& services);

}  // namespace lockstep::control
