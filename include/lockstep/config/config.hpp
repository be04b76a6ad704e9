#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lockstep/config/environment.hpp"
#include "lockstep/config/error.hpp"
#include "lockstep/model/batch.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/model/redis.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/model/route.hpp"
#include "lockstep/model/tables.hpp"

/// The YAML file of the daemon and its tools as checked values. Threads: free functions, safe from
/// any thread.
namespace lockstep::config {

/// When what has come is loaded in one go, and where that is kept.
struct Threshold {
  RedisServer redis;
  std::uint64_t max_event = 1000;                 ///< more than this many events
  std::chrono::milliseconds max_time{3'600'000};  ///< since the first of them

  bool operator==(const Threshold&) const = default;
};

struct PostgresSink {
  std::string url;                      ///< libpq URL, passwords included: never print it
  std::string schema;                   ///< of the target's tables; empty: the source's own
  std::string synced_at = "synced_at";  ///< column to stamp; empty: none
  std::size_t connections = 2;          ///< transactions side by side, each of another table
  MissingTable missing_table = MissingTable::create;
  SchemaChange schema_change = SchemaChange::evolve;
  std::vector<TableRule> tables;  ///< the first that matches a table counts
  bool dead_letters = false;      ///< a record that can't be used: false: stops its table
  std::string dead_letter_topic = "lockstep.dead-letters";  ///< true: goes there
  std::size_t dead_letters_per_minute = 60;                 ///< of one table; more stop it
  std::optional<Threshold> threshold;  ///< of type threshold; nullopt: changes don't wait

  bool operator==(const PostgresSink&) const = default;
};

/// Changes as lines on standard output.
struct ConsoleSink {
  bool json = false;  ///< or lines for people

  bool operator==(const ConsoleSink&) const = default;
};

/// Where the changes come from, for what is asked of the source itself.
struct Source {
  std::string url;      ///< libpq URL, passwords included: never print it; empty: not told
  std::string signals;  ///< schema.table that the connector takes signals from; empty: not told

  bool operator==(const Source&) const = default;
};

/// Changes as HTTP calls. Each route is a pipeline of its own: running_names().
struct WebhookSink {
  std::vector<WebhookRoute> routes;  ///< at least one; their names are unique
  std::string dead_letter_topic = "lockstep.dead-letters";
  std::size_t dead_letters_per_minute = 60;  ///< of one table and route; more stop it

  bool operator==(const WebhookSink&) const = default;
};

struct Pipeline {
  std::string name;                 ///< unique; its consumer group is lockstep.<name>
  std::vector<std::string> topics;  ///< either these, or…
  std::string topics_pattern;       ///< …a regular expression that begins with ^
  Source source;
  ConnectorModes connector;  ///< of the topics' connector
  std::variant<PostgresSink, ConsoleSink, WebhookSink> sink;
  BatchLimits batch;

  /// Of types postgres and threshold; nullptr: another sink.
  const PostgresSink* postgres() const noexcept { return std::get_if<PostgresSink>(&sink); }

  bool operator==(const Pipeline&) const = default;
};

/// The names of the pipelines that run for it: its own, or <name>.<route> for each route.
std::vector<std::string> running_names(const Pipeline& pipeline);

struct Kafka {
  std::string brokers;  ///< host:port, comma-separated
  std::map<std::string, std::string>
      properties;  ///< for librdkafka; none that Lockstep sets itself

  bool operator==(const Kafka&) const = default;
};

/// Where health, metrics, status and the page are served, and for whom.
struct Http {
  std::string host = "127.0.0.1";  ///< an address; empty: nowhere
  std::uint16_t port = 8000;       ///< 0: any that is free
  /// Secrets by the names of who has them: never print them. http.token is called "token".
  std::map<std::string, std::string> tokens;
  std::vector<std::string> allowed_hosts;
  std::vector<std::string> allowed_origins;

  bool operator==(const Http&) const = default;
};

struct Log {
  std::string level = "info";  ///< trace, debug, info, warn or error
  bool json = false;

  bool operator==(const Log&) const = default;
};

struct Config {
  Kafka kafka;
  std::vector<Pipeline> pipelines;  ///< at least one, in the file's order
  Http http;
  /// Of Kafka Connect's REST API; may hold a password: never print it.
  std::string connect_url = "http://localhost:8083";
  RedisServer redis;  ///< of threshold sinks that name no other
  /// Where consumers that were started at run time are kept; empty: they end with the daemon.
  std::filesystem::path state_dir;
  Log log;
  std::map<std::string, std::string> connections;  ///< name to URL: never print the URLs

  bool operator==(const Config&) const = default;
};

/// Every key that the file may have, such as "pipelines[].sink.url", also those that are refused
/// until a later version. Keys of the user's own (of connections and kafka.properties) are not in
/// it.
std::vector<std::string> known_keys();

/// Reads, expands ${…} from read_environment() and checks. Tells all mistakes at once.
Result<Config, Errors> load(const std::filesystem::path& file);

/// The same for a text; `file_name` is for the messages. Reads no files but those in ${file:…}.
Result<Config, Errors> parse(std::string_view yaml, std::string_view file_name,
                             const Environment& environment);

}  // namespace lockstep::config
