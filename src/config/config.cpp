#include "lockstep/config/config.hpp"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <sstream>
#include <type_traits>
#include <utility>

#include "file.hpp"
#include "limits.hpp"
#include "lockstep/config/nearest.hpp"
#include "lockstep/kafka/properties.hpp"
#include "reader.hpp"
#include "values.hpp"

namespace lockstep::config {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;

/// What each pipeline's url is taken from: `connections` with the lines that they are on.
using Connections = std::vector<Scalar>;

/// What pipelines refer to.
struct Shared {
  Connections connections;
  RedisServer redis;
};

void add(Report& report, const Scalar& at, std::string_view problem) {
  report.add(at.line, at.path, problem);
}

/// `convert` is one of values.hpp; its errors are reported after the value.
template <class T, class Convert>
std::optional<T> convert(Report& report, const std::optional<Scalar>& scalar, Convert convert) {
  if (!scalar) return std::nullopt;
  auto converted = convert(scalar->text);
  if (converted) return T{std::move(*converted)};
  add(report, *scalar, in_quotes(scalar->raw) + " " + converted.error().message);
  return std::nullopt;
}

template <class Check>
bool check(Report& report, const Scalar& scalar, Check check_text) {
  return convert<Done>(report, scalar, check_text).has_value();
}

/// The value at `key`, if it is there and in its range.
template <class T, class Convert>
std::optional<T> in_range(Report& report, Mapping& mapping, std::string_view key, Convert to_value,
                          std::type_identity_t<T> lowest, std::type_identity_t<T> highest,
                          std::string_view range) {
  const auto scalar = mapping.scalar(key);
  const auto value = convert<T>(report, scalar, to_value);
  if (!value || (*value >= lowest && *value <= highest)) return value;
  add(report, *scalar, in_quotes(scalar->raw) + " is out of range; expected " + std::string{range});
  return std::nullopt;
}

/// A value that must be one of `choices`.
std::optional<std::string> choose(Report& report, const std::optional<Scalar>& scalar,
                                  const std::vector<std::string>& choices) {
  if (!scalar) return std::nullopt;
  if (std::find(choices.begin(), choices.end(), scalar->text) != choices.end()) return scalar->text;
  std::string expected;
  for (const auto& choice : choices) expected += (expected.empty() ? "" : ", ") + choice;
  add(report, *scalar, in_quotes(scalar->raw) + " is not known; expected one of " + expected);
  return std::nullopt;
}

/// A key of which this version can do one thing only.
void only(Report& report, Mapping& mapping, std::string_view key, std::string_view available) {
  const auto scalar = mapping.scalar(key);
  if (!scalar || scalar->text == available) return;
  add(report, *scalar,
      in_quotes(scalar->raw) + " is not available in this version; expected " +
          std::string{available});
}

// ---------------------------------------------------------------------------------------------

Kafka read_kafka(Report& report, Mapping mapping) {
  Kafka kafka;
  mapping.require("brokers", "host:port, more of them after commas");
  if (const auto brokers = mapping.scalar("brokers")) {
    if (check(report, *brokers, check_brokers)) kafka.brokers = brokers->text;
  }
  if (auto properties = mapping.mapping("properties")) {
    for (auto& property : properties->scalars()) {
      const auto owned =
          std::find_if(kafka::owned_properties.begin(), kafka::owned_properties.end(),
                       [&](const auto& candidate) { return candidate.name == property.key; });
      if (owned != kafka::owned_properties.end() &&
          !(owned->may_be_said && owned->value == property.text)) {
        add(report, property, owned->reason);
      } else {
        kafka.properties.emplace(property.key, std::move(property.text));
      }
    }
  }
  mapping.reject_unknown();
  return kafka;
}

/// Secrets are never quoted.
void add_token(Report& report, const std::string& name, const Scalar& secret,
               std::map<std::string, std::string>& tokens) {
  constexpr std::size_t shortest = 16;  // shorter ones can be guessed
  if (secret.text.size() < shortest) {
    add(report, secret, "is too short; expected 16 characters or more");
  }
  for (const auto& [other, its_secret] : tokens) {
    if (its_secret == secret.text) {
      add(report, secret, "is the same as that of " + other + "; expected one of its own");
    }
  }
  if (!tokens.emplace(name, secret.text).second) {
    add(report, secret, "is what http.token is called in the log; expected another name");
  }
}

Http read_http(Report& report, Mapping mapping) {
  Http http;
  if (const auto listen = mapping.scalar("listen")) {
    if (const auto address = convert<Address>(report, listen, to_listen)) {
      http.host = address->host;
      http.port = address->port;
    }
  }
  const auto token = mapping.scalar("token");
  if (token && !token->text.empty()) add_token(report, "token", *token, http.tokens);
  if (auto tokens = mapping.mapping("tokens")) {
    for (const auto& named : tokens->scalars()) {
      if (auto checked = check_token_name(named.key); !checked) {
        add(report, named, checked.error().message);
      }
      add_token(report, named.key, named, http.tokens);
    }
  }
  for (const auto& host : mapping.list("allowed_hosts")) {
    if (check(report, host, check_host_name)) http.allowed_hosts.push_back(host.text);
  }
  for (const auto& origin : mapping.list("allowed_origins")) {
    if (check(report, origin, check_origin)) http.allowed_origins.push_back(origin.text);
  }
  mapping.reject_unknown();
  return http;
}

std::string read_connect(Report& report, Mapping mapping) {
  std::string connect_url = Config{}.connect_url;
  // It is never quoted: it may hold a password.
  if (const auto url = mapping.scalar("url")) {
    if (auto checked = check_web_url(url->text); !checked) {
      add(report, *url, checked.error().message);
    }
    connect_url = url->text;
    while (connect_url.ends_with('/')) connect_url.pop_back();
  }
  mapping.reject_unknown();
  return connect_url;
}

Log read_log(Report& report, Mapping mapping) {
  Log log;
  if (auto level =
          choose(report, mapping.scalar("level"), {"trace", "debug", "info", "warn", "error"})) {
    log.level = *level;
  }
  log.json = choose(report, mapping.scalar("format"), {"text", "json"}) == "json";
  mapping.reject_unknown();
  return log;
}

BatchLimits read_batch(Report& report, Mapping mapping) {
  BatchLimits limits;
  if (const auto max_events = in_range<std::uint64_t>(report, mapping, "max_events", to_count, 1,
                                                      1'000'000, "1 to 1000000")) {
    limits.max_events = static_cast<std::size_t>(*max_events);
  }

  // As many fetched messages wait in librdkafka, whose queued.max.messages.kbytes ends before 2
  // GiB.
  if (const auto max_bytes = in_range<std::uint64_t>(report, mapping, "max_bytes", to_bytes,
                                                     64 * KiB, 2047 * MiB, "64KiB to 2047MiB")) {
    limits.max_bytes = static_cast<std::size_t>(*max_bytes);
  }

  using std::chrono::milliseconds;
  if (const auto max_wait =
          in_range<milliseconds>(report, mapping, "max_wait", to_duration, milliseconds{0},
                                 std::chrono::seconds{60}, "0ms to 60s")) {
    limits.max_wait = *max_wait;
  }

  mapping.reject_unknown();
  return limits;
}

/// One of Debezium's words for a mode.
template <class Mode>
void choose_mode(Report& report, Mapping& mapping, std::string_view key, Mode& mode,
                 std::initializer_list<std::pair<const char*, Mode>> modes) {
  std::vector<std::string> words;
  for (const auto& [word, of_word] : modes) words.emplace_back(word);
  const auto chosen = choose(report, mapping.scalar(key), words);
  for (const auto& [word, of_word] : modes) {
    if (chosen == word) mode = of_word;
  }
}

std::optional<std::string> bytes_of_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t at = 0; at < digits.size(); at += 2) {
    unsigned byte = 0;
    const auto* const end = digits.data() + at + 2;
    const auto [read_to, error] = std::from_chars(digits.data() + at, end, byte, 16);
    if (error != std::errc{} || read_to != end) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

ConnectorModes read_connector(Report& report, Mapping mapping) {
  ConnectorModes modes;
  using Binary = ConnectorModes::Binary;
  using Time = ConnectorModes::Time;
  using Decimal = ConnectorModes::Decimal;
  choose_mode(report, mapping, "binary.handling.mode", modes.binary,
              {{"bytes", Binary::bytes},
               {"base64", Binary::base64},
               {"base64-url-safe", Binary::base64_url_safe},
               {"hex", Binary::hex}});
  choose_mode(report, mapping, "time.precision.mode", modes.time,
              {{"adaptive", Time::adaptive},
               {"adaptive_time_microseconds", Time::adaptive_time_microseconds},
               {"microseconds", Time::microseconds},
               {"nanoseconds", Time::nanoseconds},
               {"connect", Time::connect},
               {"isostring", Time::isostring}});
  choose_mode(
      report, mapping, "decimal.handling.mode", modes.decimal,
      {{"precise", Decimal::precise}, {"double", Decimal::as_double}, {"string", Decimal::string}});
  if (const auto placeholder = mapping.scalar("unavailable.value.placeholder")) {
    // As Debezium reads it.
    constexpr std::string_view prefix = "hex:";
    modes.placeholder = placeholder->text;
    if (placeholder->text.starts_with(prefix)) {
      const auto bytes = bytes_of_hex(std::string_view{placeholder->text}.substr(prefix.size()));
      if (bytes) {
        modes.placeholder = *bytes;
      } else {
        mapping.problem("unavailable.value.placeholder",
                        "expected a text, or hex: and pairs of hexadecimal digits");
      }
    }
  }
  mapping.reject_unknown();
  return modes;
}

std::string read_url(Report& report, Mapping& mapping, const Connections& connections) {
  const auto connection = mapping.scalar("connection");
  const auto url = mapping.scalar("url");
  if (mapping.has("connection") && mapping.has("url")) {
    mapping.problem("url", "given beside connection; expected one of the two");
    return {};
  }
  if (!mapping.has("url")) mapping.require("connection", "the name of one of connections, or url");
  // A URL is never quoted: it may hold a password.
  const auto checked = [&](const Scalar& scalar) {
    if (auto result = check_postgres_url(scalar.text); !result) {
      add(report, scalar, result.error().message);
    }
    return scalar.text;
  };
  if (url) return checked(*url);
  if (!connection) return {};
  std::vector<std::string> names;
  for (const auto& candidate : connections) {
    if (candidate.key == connection->text) return checked(candidate);
    names.push_back(candidate.key);
  }
  std::string expected = "expected one of connections";
  if (const auto meant = nearest(connection->text, names); !meant.empty()) {
    expected = "did you mean " + meant.front() + "?";
  }
  add(report, *connection, in_quotes(connection->raw) + " is not in connections; " + expected);
  return {};
}

template <class Sink>
void read_letters(Report& report, Mapping& mapping, Sink& sink) {
  if (const auto topic = mapping.scalar("dead_letter_topic")) {
    if (check(report, *topic, check_topic)) sink.dead_letter_topic = topic->text;
  }
  if (const auto per_minute = in_range<std::uint64_t>(report, mapping, "dead_letters_per_minute",
                                                      to_count, 1, 1'000'000, "1 to 1000000")) {
    sink.dead_letters_per_minute = static_cast<std::size_t>(*per_minute);
  }
}

/// The columns of a rule. What is wrong with them whatever the table's columns are is told here.
void read_rule_columns(Report& report, Mapping mapping, const std::string& synced_at,
                       TableRule& rule) {
  for (const auto& column : mapping.list("exclude")) {
    if (check(report, column, check_name)) rule.exclude.push_back(column.text);
  }
  auto renames = mapping.mapping("rename");
  for (const auto& column : renames ? renames->scalars() : std::vector<Scalar>{}) {
    if (!check(report, column, check_name)) continue;
    const auto& excluded = rule.exclude;
    if (std::find(excluded.begin(), excluded.end(), column.key) != excluded.end()) {
      add(report, column, "is excluded, too; expected one of the two");
    }
    if (column.text == synced_at) {
      add(report, column, in_quotes(column.raw) + " is the column that synced_at stamps");
    }
    for (const auto& [from, to] : rule.rename) {
      if (to != column.text) continue;
      add(report, column,
          in_quotes(column.raw) + " is the new name of " + in_quotes(from) + ", too");
    }
    rule.rename.emplace(column.key, column.text);
  }
  mapping.reject_unknown();
}

TableRule read_rule(Report& report, Mapping mapping, const std::string& synced_at) {
  TableRule rule;
  mapping.require("match", "a source table, such as public.users or public.*");
  const auto match = mapping.scalar("match");
  if (match && check(report, *match, check_match)) rule.match = match->text;
  if (const auto to = mapping.scalar("to"); to && check(report, *to, check_target)) {
    rule.to = to->text;
    const auto stars = std::count(rule.match.begin(), rule.match.end(), '*');
    const bool takes_name = rule.to.find('*') != std::string::npos;
    if (takes_name && !rule.match.empty() &&
        (stars != 1 || rule.match.find('?') != std::string::npos)) {
      add(report, *to, in_quotes(to->raw) + " has a *; then match needs exactly one, and no ?");
    }
  }
  if (auto columns = mapping.mapping("columns")) {
    read_rule_columns(report, std::move(*columns), synced_at, rule);
  }
  mapping.reject_unknown();
  return rule;
}

PostgresSink read_postgres_sink(Report& report, Mapping& mapping, const Connections& connections) {
  PostgresSink sink;
  sink.url = read_url(report, mapping, connections);
  if (const auto schema = mapping.scalar("schema")) {
    if (check(report, *schema, check_identifier)) sink.schema = schema->text;
  }
  if (const auto synced_at = mapping.scalar("synced_at")) {
    if (check(report, *synced_at, check_identifier)) sink.synced_at = synced_at->text;
  }
  only(report, mapping, "consistency", "table");
  if (const auto count =
          in_range<std::uint64_t>(report, mapping, "connections", to_count, 1, 64, "1 to 64")) {
    sink.connections = static_cast<std::size_t>(*count);
  }
  if (const auto missing = choose(report, mapping.scalar("missing_table"), {"create", "pause"})) {
    sink.missing_table = *missing == "pause" ? MissingTable::pause : MissingTable::create;
  }
  if (const auto change =
          choose(report, mapping.scalar("schema_change"), {"evolve", "ignore", "pause"})) {
    if (*change == "ignore") sink.schema_change = SchemaChange::ignore;
    if (*change == "pause") sink.schema_change = SchemaChange::pause;
  }
  const auto on_error = choose(report, mapping.scalar("on_error"), {"pause", "dead_letter"});
  sink.dead_letters = on_error == "dead_letter";
  read_letters(report, mapping, sink);
  only(report, mapping, "replay_guard", "false");
  for (auto& rule : mapping.mappings("tables")) {
    sink.tables.push_back(read_rule(report, std::move(rule), sink.synced_at));
  }
  return sink;
}

RedisServer read_redis(Report& report, Mapping& mapping, const RedisServer& otherwise) {
  const auto url = mapping.scalar("redis");
  if (!url) return otherwise;
  auto server = to_redis_server(url->text);
  if (server) return *std::move(server);
  add(report, *url, server.error().message);  // never quoted: it may hold a password
  return otherwise;
}

Threshold read_threshold(Report& report, Mapping& mapping, const RedisServer& redis) {
  Threshold threshold;
  threshold.redis = read_redis(report, mapping, redis);
  if (const auto max_event =
          in_range<std::uint64_t>(report, mapping, "max_event", to_count, lowest_max_event,
                                  highest_max_event, "1 to 1000000")) {
    threshold.max_event = *max_event;
  }
  if (const auto max_time = in_range<std::chrono::milliseconds>(report, mapping, "max_time",
                                                                to_duration, shortest_max_time,
                                                                longest_max_time, "1s to 10080m")) {
    threshold.max_time = *max_time;
  }
  return threshold;
}

// ---- Webhook

/// A route that has no name is called by what it asks for: customer_id-1, or all.
std::string name_of(const std::map<std::string, std::string>& match) {
  std::string name;
  for (const auto& [column, value] : match) {
    name += (name.empty() ? "" : ".") + column + "-" + value;
  }
  constexpr std::string_view others = "._-";
  for (char& c : name) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_letter && !is_digit && others.find(c) == others.npos) c = '_';
  }
  return name.empty() ? "all" : name;
}

void read_call(Report& report, Mapping& mapping, WebhookRoute& route) {
  // A URL, header or secret is never quoted.
  mapping.require("url", "http or https, such as https://host/path");
  if (const auto url = mapping.scalar("url")) {
    if (auto checked = check_web_url(url->text); !checked) {
      add(report, *url, checked.error().message);
    }
    route.url = url->text;
  }
  if (auto method = choose(report, mapping.scalar("method"), {"POST", "PUT", "PATCH"})) {
    route.method = *method;
  }
  auto headers = mapping.mapping("headers");
  for (const auto& header : headers ? headers->scalars() : std::vector<Scalar>{}) {
    for (const auto& checked : {check_header_name(header.key), check_header_value(header.text)}) {
      if (!checked) add(report, header, checked.error().message);
    }
    route.headers.emplace(header.key, header.text);
  }
  if (const auto ca = mapping.scalar("ca")) {
    constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----";
    if (!ca->text.empty() && ca->text.find(begin) == std::string::npos) {
      add(report, *ca,
          "holds no certificate; expected the authority's in PEM, such as ${file:/etc/ssl/ca.pem}");
    }
    route.ca = ca->text;
  }
  if (const auto body = mapping.scalar("body")) route.body = body->text;
  if (const auto secret = mapping.scalar("secret")) route.secret = secret->text;
}

void read_pace(Report& report, Mapping& mapping, WebhookRoute& route) {
  using std::chrono::milliseconds;
  if (const auto timeout =
          in_range<milliseconds>(report, mapping, "timeout", to_duration, milliseconds{100},
                                 std::chrono::minutes{10}, "100ms to 10m")) {
    route.timeout = *timeout;
  }
  if (const auto max_in_flight = in_range<std::uint64_t>(report, mapping, "max_in_flight", to_count,
                                                         1, 10'000, "1 to 10000")) {
    route.max_in_flight = static_cast<std::size_t>(*max_in_flight);
  }
  if (const auto rate = in_range<std::uint64_t>(report, mapping, "rate", to_count, 1, 1'000'000,
                                                "1 to 1000000")) {
    route.rate = static_cast<std::size_t>(*rate);
  }
}

WebhookRoute read_route(Report& report, Mapping mapping) {
  WebhookRoute route;
  auto match = mapping.mapping("match");
  for (const auto& column : match ? match->scalars() : std::vector<Scalar>{}) {
    route.match.emplace(column.key, column.text);
  }
  route.name = name_of(route.match);
  if (const auto name = mapping.scalar("name")) {
    if (check(report, *name, check_pipeline_name)) route.name = name->text;
  }
  read_call(report, mapping, route);
  read_pace(report, mapping, route);
  mapping.reject_unknown();
  return route;
}

WebhookSink read_webhook_sink(Report& report, Mapping& mapping) {
  WebhookSink sink;
  mapping.require("routes", "a list with at least one route");
  if (mapping.is_empty_list("routes")) mapping.problem("routes", "empty; expected at least one");
  std::map<std::string, int> lines;
  for (auto& route : mapping.mappings("routes")) {
    const int line = route.line();
    const std::string path = route.path();
    sink.routes.push_back(read_route(report, std::move(route)));
    if (const auto [first, fresh] = lines.emplace(sink.routes.back().name, line); !fresh) {
      report.add(line, path,
                 "called " + in_quotes(sink.routes.back().name) + ", as the route on line " +
                     std::to_string(first->second) + " is; give each a name of its own");
    }
  }
  read_letters(report, mapping, sink);
  return sink;
}

ConsoleSink read_console_sink(Report& report, Mapping& mapping) {
  return {choose(report, mapping.scalar("format"), {"text", "json"}) == "json"};
}

decltype(Pipeline::sink) read_sink(Report& report, Mapping mapping, const Shared& shared) {
  decltype(Pipeline::sink) sink;
  mapping.require("type", "postgres, threshold, webhook or console");
  const auto type =
      choose(report, mapping.scalar("type"), {"postgres", "threshold", "webhook", "console"});
  if (type == "postgres" || type == "threshold") {
    auto postgres = read_postgres_sink(report, mapping, shared.connections);
    if (type == "threshold") postgres.threshold = read_threshold(report, mapping, shared.redis);
    sink = std::move(postgres);
  }
  if (type == "webhook") sink = read_webhook_sink(report, mapping);
  if (type == "console") sink = read_console_sink(report, mapping);
  if (type) mapping.reject_unknown();  // which keys there are depends on it
  return sink;
}

void read_topics(Report& report, Mapping& mapping, Pipeline& pipeline) {
  if (mapping.has("topics") && mapping.has("topics_pattern")) {
    mapping.problem("topics_pattern", "given beside topics; expected one of the two");
  }
  if (!mapping.has("topics_pattern")) mapping.require("topics", "a list, or topics_pattern");
  for (const auto& topic : mapping.list("topics")) {
    if (!check(report, topic, check_topic)) continue;
    const auto& seen = pipeline.topics;
    if (std::find(seen.begin(), seen.end(), topic.text) != seen.end()) {
      add(report, topic, in_quotes(topic.raw) + " is in the list already; keep one");
    } else {
      pipeline.topics.push_back(topic.text);
    }
  }
  if (mapping.is_empty_list("topics")) mapping.problem("topics", "empty; expected at least one");
  if (const auto pattern = mapping.scalar("topics_pattern")) {
    if (check(report, *pattern, check_topics_pattern)) pipeline.topics_pattern = pattern->text;
  }
}

Source read_source(Report& report, Mapping mapping, const Connections& connections) {
  Source source;
  source.url = read_url(report, mapping, connections);
  if (const auto signals = mapping.scalar("signals")) {
    if (check(report, *signals, check_table)) source.signals = signals->text;
  }
  mapping.reject_unknown();
  return source;
}

Pipeline read_pipeline(Report& report, Mapping mapping, const Shared& shared) {
  Pipeline pipeline;
  mapping.require("name", "letters, digits, dots, _ or -");
  if (const auto name = mapping.scalar("name")) {
    if (check(report, *name, check_pipeline_name)) pipeline.name = name->text;
  }
  read_topics(report, mapping, pipeline);
  mapping.require("sink", "a map with a type, such as postgres");
  if (auto sink = mapping.mapping("sink")) {
    pipeline.sink = read_sink(report, std::move(*sink), shared);
  }
  if (auto source = mapping.mapping("source")) {
    pipeline.source = read_source(report, std::move(*source), shared.connections);
  }
  if (auto connector = mapping.mapping("connector")) {
    pipeline.connector = read_connector(report, std::move(*connector));
  }
  if (auto batch = mapping.mapping("batch")) pipeline.batch = read_batch(report, std::move(*batch));
  mapping.reject_unknown();
  return pipeline;
}

void read_pipelines(Report& report, Mapping& root, const Shared& shared,
                    std::vector<Pipeline>& pipelines) {
  root.require("pipelines", "a list with at least one pipeline");
  if (root.is_empty_list("pipelines")) root.problem("pipelines", "empty; expected at least one");
  std::map<std::string, int> lines;
  for (auto& mapping : root.mappings("pipelines")) {
    const int line = mapping.line();
    const std::string path = mapping.path();
    pipelines.push_back(read_pipeline(report, std::move(mapping), shared));
    if (pipelines.back().name.empty()) continue;
    const auto running = running_names(pipelines.back());
    std::set<std::string> names{running.begin(), running.end()};
    names.insert(pipelines.back().name);
    for (const auto& name : names) {
      if (const auto [first, fresh] = lines.emplace(name, line); !fresh) {
        report.add(line, path + ".name",
                   "also the name of the pipeline on line " + std::to_string(first->second) +
                       "; names must be unique");
      }
      if (!check_pipeline_name(name)) {
        report.add(line, path,
                   "the pipeline " + in_quotes(name) +
                       " has too long a name; give its route a shorter one, 100 characters in all");
      }
    }
  }
}

Config read_config(Report& report, const YAML::Node& node) {
  Config config;
  Mapping root{report, node, "", 1};
  root.require("kafka", "a map with brokers");
  if (auto kafka = root.mapping("kafka")) config.kafka = read_kafka(report, std::move(*kafka));
  Shared shared;
  if (auto mapping = root.mapping("connections")) shared.connections = mapping->scalars();
  for (const auto& connection : shared.connections) {
    config.connections.emplace(connection.key, connection.text);
  }
  shared.redis = config.redis = read_redis(report, root, {});
  read_pipelines(report, root, shared, config.pipelines);
  if (const auto folder = root.scalar("state_dir")) config.state_dir = folder->text;
  if (auto connect = root.mapping("connect")) {
    config.connect_url = read_connect(report, std::move(*connect));
  }
  if (auto log = root.mapping("log")) config.log = read_log(report, std::move(*log));
  if (auto http = root.mapping("http")) config.http = read_http(report, std::move(*http));
  root.reject_unknown();
  return config;
}

/// Where documents begin.
class DocumentStarts : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { lines.push_back(mark.line + 1); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
  std::vector<int> lines;
};

/// YAML::LoadAll() never returns for some texts that are no YAML, such as ",".
std::optional<int> line_of_second_document(const std::string& yaml) {
  std::istringstream text{yaml};
  YAML::Parser parser{text};
  DocumentStarts starts;
  while (starts.lines.size() < 2 && parser.HandleNextDocument(starts)) {
  }
  if (starts.lines.size() < 2) return std::nullopt;
  return starts.lines[1];
}

}  // namespace

std::vector<std::string> running_names(const Pipeline& pipeline) {
  const auto* const webhook = std::get_if<WebhookSink>(&pipeline.sink);
  if (webhook == nullptr) return {pipeline.name};
  std::vector<std::string> names;
  for (const auto& route : webhook->routes) names.push_back(pipeline.name + "." + route.name);
  return names;
}

std::string to_string(const Errors& errors) {
  std::string text;
  for (const auto& error : errors) text += (text.empty() ? "" : "\n") + error.message;
  return text;
}

std::vector<std::string> known_keys() {
  const Environment nothing{[](const std::string&) { return std::nullopt; }};
  Report report{"", nothing};
  // All blocks, so that the walk asks each for its keys.
  read_config(report, YAML::Load(R"(
    kafka: {}
    pipelines:
      - sink: {type: postgres, tables: [{columns: {rename: {}}}]}
        batch: {}
        source: {}
        connector: {}
      - sink: {type: threshold}
      - sink: {type: console}
      - sink: {type: webhook, routes: [{}]}
    connect: {}
    http: {}
    log: {}
  )"));
  return report.known();
}

Result<Config, Errors> parse(std::string_view yaml, std::string_view file_name,
                             const Environment& environment) {
  Report report{file_name, environment};
  YAML::Node document;
  std::optional<int> second;
  try {
    document = YAML::Load(std::string{yaml});
    second = line_of_second_document(std::string{yaml});
  } catch (const YAML::Exception& error) {  // its message says what was expected, without the text
    report.add(error.mark.line + 1, "", "not YAML: " + error.msg);
    return report.take();
  }
  if (document.IsNull()) {
    report.add(1, "", "empty; expected kafka, connections and pipelines");
  } else if (second) {
    report.add(*second, "", "a second document; expected one");
  } else if (!document.IsMap()) {
    report.add(1, "", "not a map; expected kafka, connections and pipelines");
  }
  if (!report.empty()) return report.take();
  Config config = read_config(report, document);
  if (!report.empty()) return report.take();
  return config;
}

Result<Config, Errors> load(const std::filesystem::path& file) {
  const auto text = read_file(file, MiB);
  if (!text) return Errors{{file.string() + ": can't be read: " + text.error().message}};
  const auto environment = read_environment();
  if (!environment) return environment.error();
  return parse(*text, file.string(), *environment);
}

}  // namespace lockstep::config
