#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/model/batch.hpp"
#include "lockstep/model/result.hpp"

/// The YAML file of the daemon and its tools as checked values. Threads: free functions, safe from
/// any thread.
namespace lockstep::config {

struct PostgresSink {
  std::string url;                      ///< libpq URL, passwords included: never print it
  std::string schema;                   ///< of the target's tables; empty: the source's own
  std::string synced_at = "synced_at";  ///< column to stamp; empty: none
  std::size_t connections = 2;          ///< transactions side by side, each of another table
};

struct Pipeline {
  std::string name;                 ///< unique; its consumer group is lockstep.<name>
  std::vector<std::string> topics;  ///< either these, or…
  std::string topics_pattern;       ///< …a regular expression that begins with ^
  PostgresSink sink;
  BatchLimits batch;
};

struct Kafka {
  std::string brokers;  ///< host:port, comma-separated
  std::map<std::string, std::string>
      properties;  ///< for librdkafka; none that Lockstep sets itself
};

struct Log {
  std::string level = "info";  ///< trace, debug, info, warn or error
  bool json = false;
};

struct Config {
  Kafka kafka;
  std::vector<Pipeline> pipelines;  ///< at least one, in the file's order
  Log log;
  std::map<std::string, std::string> connections;  ///< name to URL: never print the URLs
};

/// One mistake, one line: "FILE:LINE: key.path: what is wrong, what was expected". Holds the file's
/// own text, never what a ${…} in it expanded to.
struct Error {
  std::string message;
  bool operator==(const Error&) const = default;
};
using Errors = std::vector<Error>;  ///< in the file's order, never empty

/// One line each, with a newline between them.
std::string to_string(const Errors& errors);

/// The value of an environment variable; nullopt if it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> process_environment(const std::string& name);

/// Reads, expands ${…} and checks. Tells all mistakes at once.
Result<Config, Errors> load(const std::filesystem::path& file);

/// The same for a text; `file_name` is for the messages. Reads no files but those in ${file:…}.
Result<Config, Errors> parse(std::string_view yaml, std::string_view file_name,
                             const Environment& environment = process_environment);

}  // namespace lockstep::config
