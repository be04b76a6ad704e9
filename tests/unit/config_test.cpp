#include "lockstep/config/config.hpp"
#include "lockstep/config/consumer.hpp"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "lockstep/config/nearest.hpp"

using namespace lockstep::config;
using lockstep::ConnectorModes;
using namespace std::chrono_literals;

namespace {

Environment variables(std::map<std::string, std::string> values) {
  return {[values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional<std::string>{found->second};
  }};
}

/// A file that is right, with `sink` and `pipeline` added to its only pipeline and `root` below.
/// The sink's first free line is 10, the pipeline's 11 + the lines of `sink`, and so on.
std::string with(const std::string& sink, const std::string& pipeline = "",
                 const std::string& root = "") {
  return R"(kafka:
  brokers: localhost:9092
connections:
  target: postgresql://me:secret@localhost:5433/target_db
pipelines:
  - name: replica
    sink:
      type: postgres
      connection: target
)" + sink +
         "    topics: [db.public.users]\n" + pipeline + root;
}

std::vector<std::string> mistakes(const std::string& yaml,
                                  const Environment& environment = variables({})) {
  const auto config = parse(yaml, "f.yaml", environment);
  std::vector<std::string> messages;
  if (config) return messages;
  for (const auto& error : config.error()) messages.push_back(error.message);
  return messages;
}

using Lines = std::vector<std::string>;

/// A file of its own that is gone afterwards.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    path_ = std::filesystem::temp_directory_path() /
            ("lockstep-config-test-" + std::to_string(::getpid()));
    std::ofstream{path_, std::ios::binary} << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("config: every key arrives where it belongs") {
  const auto config = parse(R"(
kafka:
  brokers: a:9092, b:9093
  properties:
    security.protocol: SSL
    fetch.min.bytes: 1
    isolation.level: read_committed
connections:
  target: postgresql://me:${PASSWORD}@localhost:5433/target_db?sslmode=require
  cache: redis://localhost
pipelines:
  - name: replica-1
    topics: [db.public.users, db.public.orders]
    sink:
      type: postgres
      connection: target
      schema: copy
      consistency: table
      connections: 64
      synced_at: ""
      missing_table: pause
      schema_change: ignore
      tables:
        - match: public.users
          to: crm.people
          columns: {exclude: [password], rename: {full_name: name}}
        - {match: "shop.*", to: "copy.shop_*"}
      on_error: dead_letter
      dead_letter_topic: lost
      dead_letters_per_minute: 1
      replay_guard: false
    batch: {max_events: 1000000, max_bytes: 2047MiB, max_wait: 1m}
    source: {connection: target, signals: public.debezium_signal}
    connector:
      binary.handling.mode: base64-url-safe
      time.precision.mode: adaptive_time_microseconds
      decimal.handling.mode: double
      unavailable.value.placeholder: hex:676f6E65
  - name: all
    topics_pattern: '^db\.public\..*'
    sink: {type: postgres, url: "postgres://localhost/other"}
log: {level: debug, format: json}
)",
                            "f.yaml", variables({{"PASSWORD", "p%40ss"}}));
  REQUIRE(config);
  CHECK(config->kafka.brokers == "a:9092, b:9093");
  CHECK(config->kafka.properties ==
        std::map<std::string, std::string>{{"security.protocol", "SSL"},
                                           {"fetch.min.bytes", "1"},
                                           {"isolation.level", "read_committed"}});
  CHECK(config->connections ==
        std::map<std::string, std::string>{
            {"target", "postgresql://me:p%40ss@localhost:5433/target_db?sslmode=require"},
            {"cache", "redis://localhost"}});
  CHECK(config->log.level == "debug");
  CHECK(config->log.json);
  REQUIRE(config->pipelines.size() == 2);

  const Pipeline& replica = config->pipelines[0];
  CHECK(replica.name == "replica-1");
  CHECK(replica.topics == std::vector<std::string>{"db.public.users", "db.public.orders"});
  CHECK(replica.topics_pattern.empty());
  CHECK(replica.postgres()->url == config->connections.at("target"));
  CHECK(replica.postgres()->schema == "copy");
  CHECK(replica.postgres()->synced_at.empty());
  CHECK(replica.postgres()->connections == 64);
  CHECK(replica.source == Source{replica.postgres()->url, "public.debezium_signal"});
  CHECK(replica.postgres()->dead_letters);
  CHECK(replica.postgres()->dead_letter_topic == "lost");
  CHECK(replica.postgres()->dead_letters_per_minute == 1);
  CHECK(replica.postgres()->missing_table == lockstep::MissingTable::pause);
  CHECK(replica.postgres()->schema_change == lockstep::SchemaChange::ignore);
  CHECK(replica.postgres()->tables ==
        std::vector<lockstep::TableRule>{
            {"public.users", "crm.people", {"password"}, {{"full_name", "name"}}},
            {"shop.*", "copy.shop_*", {}, {}}});
  CHECK(replica.batch.max_events == 1'000'000);
  CHECK(replica.batch.max_bytes == 2047ULL * 1024 * 1024);
  CHECK(replica.batch.max_wait == 60s);
  CHECK(replica.connector == ConnectorModes{ConnectorModes::Binary::base64_url_safe,
                                            ConnectorModes::Time::adaptive_time_microseconds,
                                            ConnectorModes::Decimal::as_double, "gone"});

  const Pipeline& all = config->pipelines[1];
  CHECK_FALSE(all.postgres()->dead_letters);
  CHECK(all.topics.empty());
  CHECK(all.topics_pattern == R"(^db\.public\..*)");
  CHECK(all.postgres()->url == "postgres://localhost/other");
}

TEST_CASE("config: what is left out has its default") {
  const auto config = parse(with(""), "f.yaml", variables({}));
  REQUIRE(config);
  CHECK_FALSE(config->log.json);
  CHECK(config->log.level == "info");
  const Pipeline& pipeline = config->pipelines.at(0);
  CHECK(pipeline.postgres()->schema.empty());
  CHECK(pipeline.postgres()->synced_at == "synced_at");
  CHECK(pipeline.postgres()->connections == 2);
  CHECK(pipeline.batch.max_events == 20'000);
  CHECK(pipeline.batch.max_bytes == 64 * 1024 * 1024);
  CHECK(pipeline.batch.max_wait == 0ms);
  CHECK(pipeline.connector == ConnectorModes{});
}

TEST_CASE("config: a mode that Debezium does not have") {
  const auto config =
      parse(with("", "    connector: {binary.handling.mode: base32}\n"), "f.yaml", variables({}));
  REQUIRE_FALSE(config);
  CHECK(to_string(config.error()) ==
        "f.yaml:11: pipelines[0].connector.binary.handling.mode: \"base32\" is not known; expected "
        "one of bytes, base64, base64-url-safe, hex");
}

TEST_CASE("config: all mistakes are told at once, in the file's order") {
  CHECK(mistakes(R"(kafka:
  brokrs: localhost:9092
  properties: {group.id: mine}
pipelines:
  - name: a b
    topics: []
    sink:
      type: postgres
      connection: tagret
      consistency: transaction
      scheme: x
    batch:
      max_events: many
      max_bytes: 64MB
      max_wait: 20
  - topics_pattern: users
    sink: {type: webhok, url: http://x/}
connections:
  target: ${URL}
log: {level: loud}
http: {listen: "8000", token: short, allowed_hosts: ["a b"], allowed_origins: [ops.example],
       tokens: {a b: 0123456789abcdef, token: 0123456789abcdef}}
)") == Lines{
           "f.yaml:1: kafka.brokers: missing; expected host:port, more of them after commas",
           "f.yaml:2: kafka.brokrs: unknown key; did you mean brokers?",
           "f.yaml:3: kafka.properties.group.id: is always lockstep.<pipeline's name>",
           "f.yaml:5: pipelines[0].name: \"a b\" is not a pipeline's name; expected 1 to 100 "
           "letters, digits, dots, _ or -",
           "f.yaml:6: pipelines[0].topics: empty; expected at least one",
           "f.yaml:9: pipelines[0].sink.connection: \"tagret\" is not in connections; expected "
           "one of connections",
           "f.yaml:10: pipelines[0].sink.consistency: \"transaction\" is not available in this "
           "version; expected table",
           "f.yaml:11: pipelines[0].sink.scheme: unknown key; did you mean schema?",
           "f.yaml:13: pipelines[0].batch.max_events: \"many\" is not a whole number",
           "f.yaml:14: pipelines[0].batch.max_bytes: \"64MB\" is not a size; did you mean the "
           "unit MiB? expected a whole number and B, KiB, MiB or GiB",
           "f.yaml:15: pipelines[0].batch.max_wait: \"20\" is not a duration; expected a whole "
           "number and ms, s or m, such as 20ms",
           "f.yaml:16: pipelines[1].name: missing; expected letters, digits, dots, _ or -",
           "f.yaml:16: pipelines[1].topics_pattern: \"users\" does not begin with ^",
           "f.yaml:17: pipelines[1].sink.type: \"webhok\" is not known; expected one of postgres, "
           "threshold, webhook, console",
           "f.yaml:19: connections.target: the environment variable URL is not set; set it or "
           "write ${URL:-default}",
           "f.yaml:20: log.level: \"loud\" is not known; expected one of trace, debug, info, "
           "warn, error",
           "f.yaml:21: http.listen: \"8000\" is not an address to listen on; expected "
           "address:port, such as 127.0.0.1:8000, or \"\" for none",
           "f.yaml:21: http.token: is too short; expected 16 characters or more",
           "f.yaml:21: http.allowed_hosts[0]: \"a b\" is not a host's name; expected it without "
           "scheme and port, such as ops.example",
           "f.yaml:21: http.allowed_origins[0]: \"ops.example\" is not an origin; expected scheme "
           "and host, such as https://ops.example",
           "f.yaml:22: http.tokens.a b: is not a token's name; expected 1 to 100 letters, digits, "
           "dots, _ or -",
           "f.yaml:22: http.tokens.token: is the same as that of a b; expected one of its own",
           "f.yaml:22: http.tokens.token: is what http.token is called in the log; expected "
           "another name",
       });
}

TEST_CASE("config: a threshold sink is a postgres sink with a threshold") {
  const auto sink = [](const std::string& keys) {
    return parse(
        "kafka: {brokers: a}\npipelines:\n  - {name: a, topics: [t], sink: {type: threshold, url: "
        "'postgresql://h/d', " +
            keys + "}}\n",
        "f.yaml", Environment{[](const std::string&) { return std::nullopt; }});
  };
  const auto config =
      sink("schema: x, redis: 'redis://u:p%40s@[::1]:6380/2', max_event: 10, max_time: 90m");
  REQUIRE(config);
  const auto* const postgres = config->pipelines[0].postgres();
  REQUIRE(postgres != nullptr);
  CHECK(postgres->schema == "x");
  CHECK(postgres->threshold ==
        Threshold{lockstep::RedisServer{"::1", 6380, "u", "p@s", 2}, 10, std::chrono::minutes{90}});
  const auto shared = parse(
      "kafka: {brokers: a}\nredis: redis://shared:7\nstate_dir: /s\npipelines: [{name: a, topics: "
      "[t], sink: {type: threshold, url: 'postgresql://h/d'}}]\n",
      "f.yaml", Environment{[](const std::string&) { return std::nullopt; }});
  REQUIRE(shared);
  CHECK(shared->pipelines[0].postgres()->threshold->redis ==
        lockstep::RedisServer{"shared", 7, "", "", 0});
  CHECK(shared->redis == lockstep::RedisServer{"shared", 7, "", "", 0});
  CHECK(shared->state_dir == "/s");
  const auto with_defaults = sink("redis: 'redis://cache'");
  REQUIRE(with_defaults);
  CHECK(with_defaults->pipelines[0].postgres()->threshold ==
        Threshold{lockstep::RedisServer{"cache", 6379, "", "", 0}, 1000, std::chrono::hours{1}});

  struct Case {
    std::string redis, want;
  };
  const Case cases[] = {
      {"localhost:6379", "is not a Redis URL"},
      {"rediss://h", "is for TLS, which is not available"},
      {"redis://", "has no host, or a port that is none"},
      {"redis://h:0", "has no host, or a port that is none"},
      {"redis://secret@h", "has a user without a password"},
      {"redis://:secret@h/x", "has a database that is not a number"},
      {"redis://:secret%@h", "has a % that is not followed by two digits"},
  };
  for (const auto& c : cases) {
    const auto wrong = sink("redis: '" + c.redis + "'");
    REQUIRE_FALSE(wrong);
    CHECK(to_string(wrong.error()) == "f.yaml:3: pipelines[0].sink.redis: " + c.want +
                                          "; expected redis://user:password@host:port/database");
  }
}

TEST_CASE("config: what is no configuration at all is told in one line") {
  struct Case {
    std::string name, yaml, want;
  };
  const Case cases[] = {
      {"an empty file", "", "f.yaml:1: empty; expected kafka, connections and pipelines"},
      {"only comments", "# kafka:\n", "f.yaml:1: empty; expected kafka, connections and pipelines"},
      {"a word", "kafka\n", "f.yaml:1: not a map; expected kafka, connections and pipelines"},
      {"a list", "- kafka\n", "f.yaml:1: not a map; expected kafka, connections and pipelines"},
      {"two documents", "a: 1\n---\nb: 2\n", "f.yaml:2: a second document; expected one"},
      {"a comma", ",", "f.yaml:1: empty; expected kafka, connections and pipelines"},
      {"a list that never ends", "kafka:\n  brokers: [a\n",
       "f.yaml:3: not YAML: end of sequence flow not found"},
      {"a tab for indentation", "kafka:\n\tbrokers: a\n", "f.yaml:2: not YAML: illegal map value"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(mistakes(c.yaml) == Lines{c.want});
    }
  }
}

TEST_CASE("config: a file that can't be read is told in one line") {
  const auto mistake = [](const std::string& path) {
    const auto config = load(path);
    REQUIRE_FALSE(config);
    return to_string(config.error());
  };
  CHECK(mistake("/nowhere/lockstep.yaml") ==
        "/nowhere/lockstep.yaml: can't be read: No such file or directory");
  CHECK(mistake("/") == "/: can't be read: it is a directory");
  CHECK(mistake("/dev/zero") == "/dev/zero: can't be read: it is larger than 1024 KiB");
  const TemporaryFile file{"kafka: [\n"};
  CHECK(mistake(file.path()) == file.path() + ":2: not YAML: end of sequence flow not found");
}

TEST_CASE("config: each wrong shape names its key") {
  struct Case {
    std::string name, yaml;
    Lines want;
  };
  const Case cases[] = {
      {"nothing is there",
       "log: {}\n",
       {"f.yaml:1: kafka: missing; expected a map with brokers",
        "f.yaml:1: pipelines: missing; expected a list with at least one pipeline"}},
      {"a map is expected",
       "kafka: here\npipelines: {}\n",
       {"f.yaml:1: kafka: expected a map of keys and values",
        "f.yaml:2: pipelines: expected a list of maps, each begun with -"}},
      {"no pipelines",
       "kafka: {brokers: a}\npipelines: []\n",
       {"f.yaml:2: pipelines: empty; expected at least one"}},
      {"pipelines are words",
       "kafka: {brokers: a}\npipelines:\n  - replica\n",
       {"f.yaml:3: pipelines[0]: expected a map of keys and values"}},
      {"a key without a value",
       with("      schema:\n"),
       {"f.yaml:10: pipelines[0].sink.schema: has no value; write \"\" for an empty one"}},
      {"a value that is a map",
       with("      schema: {a: b}\n"),
       {"f.yaml:10: pipelines[0].sink.schema: expected a plain value, not a list or a map"}},
      {"a key that is a list",
       with("", "    [a, b]: c\n"),
       {"f.yaml:11: pipelines[0]: a key that is not plain text"}},
      {"topics as one word",
       "kafka: {brokers: a}\npipelines:\n  - name: a\n    topics: b\n    "
       "sink: {type: postgres, url: 'postgresql://'}\n",
       {"f.yaml:4: pipelines[0].topics: expected a list, such as [one, two]"}},
      {"a key given twice",
       with("      schema: a\n      schema: b\n"),
       {"f.yaml:11: pipelines[0].sink.schema: given twice, first on line 10; keep one"}},
      {"a block given twice",
       with("", "", "log: {level: info}\nlog: {format: json}\n"),
       {"f.yaml:12: log: given twice, first on line 11; keep one"}},
      {"an unknown key far from any known one",
       with("", "", "log: {colour: red}\n"),
       {"f.yaml:11: log.colour: unknown key; expected one of level, format"}},
      {"a key that would break the line",
       with("", "", "\"a\\nb\": 1\n"),
       {"f.yaml:11: a\\x0ab: unknown key; expected one of kafka, connections, redis, "
        "pipelines, state_dir, connect, log, http"}},
      {"neither connection nor url",
       "kafka: {brokers: a}\npipelines:\n  - name: a\n    topics: [t]\n    sink: {type: "
       "postgres}\n",
       {"f.yaml:5: pipelines[0].sink.connection: missing; expected the name of one of "
        "connections, or url"}},
      {"connection and url",
       with("      url: postgresql://h/d\n"),
       {"f.yaml:10: pipelines[0].sink.url: given beside connection; expected one of the two"}},
      {"a source that is no connection, and signals without a schema",
       with("", "    source: {connection: targt, signals: signals}\n"),
       {"f.yaml:11: pipelines[0].source.connection: \"targt\" is not in connections; did you mean "
        "target?",
        "f.yaml:11: pipelines[0].source.signals: \"signals\" is not a table; expected "
        "schema.table, such as public.debezium_signal"}},
      {"a source without a connection",
       with("", "    source: {signals: public.debezium_signal}\n"),
       {"f.yaml:11: pipelines[0].source.connection: missing; expected the name of one of "
        "connections, or url"}},
      {"topics and topics_pattern",
       with("", "    topics_pattern: ^db\n"),
       {"f.yaml:11: pipelines[0].topics_pattern: given beside topics; expected one of the two"}},
      {"two pipelines of one name",
       with("", "",
            "  - name: replica\n    topics: [t]\n    sink: {type: postgres, connection: target}\n"),
       {"f.yaml:11: pipelines[1].name: also the name of the pipeline on line 6; names must be "
        "unique"}},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(mistakes(c.yaml) == c.want);
    }
  }
}

TEST_CASE("config: a rule for tables that can't be meant so is told") {
  struct Case {
    std::string rule, want;
  };
  const Case cases[] = {
      {"{to: a.b}", "match: missing; expected a source table, such as public.users or public.*"},
      {"{match: users}",
       "match: \"users\" is not a source table; expected schema.table, such as public.users or "
       "public.*"},
      {"{match: a.b, to: c.}", "to: \"c.\" is empty; expected a name"},
      {"{match: a.b, to: \"c.*\"}", "to: \"c.*\" has a *; then match needs exactly one, and no ?"},
      {"{match: \"*.*\", to: \"c.*\"}",
       "to: \"c.*\" has a *; then match needs exactly one, and no ?"},
      {"{match: a.b, columns: {exclude: [x], rename: {x: y}}}",
       "columns.rename.x: is excluded, too; expected one of the two"},
      {"{match: a.b, columns: {rename: {x: y, z: y}}}",
       "columns.rename.z: \"y\" is the new name of \"x\", too"},
      {"{match: a.b, columns: {rename: {x: synced_at}}}",
       "columns.rename.x: \"synced_at\" is the column that synced_at stamps"},
      {"{match: a.b, colums: {}}", "colums: unknown key; did you mean columns?"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.rule) {
      CHECK(mistakes(with("      tables: [" + c.rule + "]\n")) ==
            Lines{"f.yaml:10: pipelines[0].sink.tables[0]." + c.want});
    }
  }
}

TEST_CASE("config: what comes in later versions is refused, not ignored") {
  struct Case {
    std::string line, want;
  };
  const Case cases[] = {
      {"replay_guard: true",
       "replay_guard: \"true\" is not available in this version; expected false"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.line) {
      CHECK(mistakes(with("      " + c.line + "\n")) ==
            Lines{"f.yaml:10: pipelines[0].sink." + c.want});
    }
  }
}

TEST_CASE("config: properties that Lockstep sets itself are refused with the reason") {
  struct Case {
    std::string property, want;
  };
  const Case cases[] = {
      {"bootstrap.servers: a", "is kafka.brokers here; write it there"},
      {"metadata.broker.list: a", "is kafka.brokers here; write it there"},
      {"group.id: a", "is always lockstep.<pipeline's name>"},
      {"enable.auto.commit: true",
       "is always false: offsets are committed after the target's COMMIT"},
      {"enable.auto.offset.store: true",
       "is always false: offsets are committed after the target's COMMIT"},
      {"auto.offset.reset: latest",
       "is always error: a position that Kafka no longer has must not become a jump"},
      {"partition.assignment.strategy: roundrobin",
       "can't be set: what happens at a rebalance depends on it"},
      {"enable.partition.eof: false", "can't be set: Lockstep tells by it when it has caught up"},
      {"isolation.level: read_uncommitted",
       "is always read_committed: what the source's connector has rolled back must not be applied"},
      {"receive.message.max.bytes: 1000000",
       "is always at its maximum: a response above it would be asked for without end"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.property) {
      const std::string key = c.property.substr(0, c.property.find(':'));
      CHECK(mistakes("kafka: {brokers: a, properties: {" + c.property + "}}\npipelines: []\n") ==
            Lines{"f.yaml:1: kafka.properties." + key + ": " + c.want,
                  "f.yaml:2: pipelines: empty; expected at least one"});
    }
  }
}

TEST_CASE("config: limits are numbers with units within their ranges") {
  struct Case {
    std::string batch, want;
  };
  const Case good[] = {{"max_events: 1", ""},      {"max_events: 1000000", ""},
                       {"max_bytes: 64KiB", ""},   {"max_bytes: 65536B", ""},
                       {"max_bytes: 2047MiB", ""}, {"max_wait: 0ms", ""},
                       {"max_wait: 60s", ""},      {"max_wait: 1m", ""}};
  for (const auto& c : good) {
    DYNAMIC_SECTION(c.batch) {
      CHECK(mistakes(with("", "    batch: {" + c.batch + "}\n")).empty());
    }
  }
  const std::string sizes = "expected a whole number and B, KiB, MiB or GiB";
  const std::string durations =
      " is not a duration; expected a whole number and ms, s or m, such as 20ms";
  const Case bad[] = {
      {"max_events: 0", "max_events: \"0\" is out of range; expected 1 to 1000000"},
      {"max_events: 1000001", "max_events: \"1000001\" is out of range; expected 1 to 1000000"},
      {"max_events: -1", "max_events: \"-1\" is not a whole number"},
      {"max_events: 1.5", "max_events: \"1.5\" is not a whole number"},
      {"max_events: 99999999999999999999",
       "max_events: \"99999999999999999999\" is not a whole number"},
      {"max_bytes: 63KiB", "max_bytes: \"63KiB\" is out of range; expected 64KiB to 2047MiB"},
      {"max_bytes: 2GiB", "max_bytes: \"2GiB\" is out of range; expected 64KiB to 2047MiB"},
      {"max_bytes: 65536", "max_bytes: \"65536\" has no unit; did you mean the unit B? " + sizes},
      {"max_bytes: 1GB", "max_bytes: \"1GB\" is not a size; did you mean the unit GiB? " + sizes},
      {"max_bytes: MiB", "max_bytes: \"MiB\" is not a size; " + sizes + ", such as 64MiB"},
      {"max_bytes: 18446744073709551615GiB",
       "max_bytes: \"18446744073709551615GiB\" is not a size; " + sizes + ", such as 64MiB"},
      {"max_wait: 61s", "max_wait: \"61s\" is out of range; expected 0ms to 60s"},
      {"max_wait: 1h", "max_wait: \"1h\"" + durations},
      {"max_wait: -1s", "max_wait: \"-1s\"" + durations},
      {"max_wait: ''", "max_wait: \"\"" + durations},
  };
  for (const auto& c : bad) {
    DYNAMIC_SECTION(c.batch) {
      CHECK(mistakes(with("", "    batch: {" + c.batch + "}\n")) ==
            Lines{"f.yaml:11: pipelines[0].batch." + c.want});
    }
  }
}

TEST_CASE("config: a sink has 1 to 64 connections") {
  for (const std::string good : {"1", "2", "64"}) {
    DYNAMIC_SECTION(good) {
      CHECK(mistakes(with("      connections: " + good + "\n")).empty());
    }
  }
  const std::string out_of_range = " is out of range; expected 1 to 64";
  const std::pair<std::string, std::string> bad[] = {{"0", out_of_range},
                                                     {"65", out_of_range},
                                                     {"-1", " is not a whole number"},
                                                     {"two", " is not a whole number"}};
  for (const auto& [value, problem] : bad) {
    DYNAMIC_SECTION("not " << value) {
      CHECK(mistakes(with("      connections: " + value + "\n")) ==
            Lines{"f.yaml:10: pipelines[0].sink.connections: \"" + value + "\"" + problem});
    }
  }
}

TEST_CASE("config: topics are Kafka's names, patterns are regular expressions") {
  struct Case {
    std::string name, topics;
    Lines want;
  };
  const Case cases[] = {
      {"a pattern among the topics",
       "topics: [ok, '^db.*']",
       {"f.yaml:4: pipelines[0].topics[1]: \"^db.*\" is a regular expression; that goes into "
        "topics_pattern instead of topics"}},
      {"an impossible name",
       "topics: [a/b]",
       {"f.yaml:4: pipelines[0].topics[0]: \"a/b\" is not a topic's name; expected 1 to 249 "
        "letters, digits, dots, _ or -"}},
      {"a topic twice",
       "topics: [a, b, a]",
       {"f.yaml:4: pipelines[0].topics[2]: \"a\" is in the list already; keep one"}},
      {"a pattern with an open bracket",
       "topics_pattern: '^db(.*'",
       {"f.yaml:4: pipelines[0].topics_pattern: \"^db(.*\" is not a POSIX extended regular "
        "expression: Unmatched ( or \\("}},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(mistakes("kafka: {brokers: a}\npipelines:\n  - name: a\n    " + c.topics +
                     "\n    sink: {type: postgres, url: 'postgresql://h'}\n") == c.want);
    }
  }
}

TEST_CASE("config: the nearest connection is suggested") {
  CHECK(mistakes("kafka: {brokers: a}\nconnections: {target: 'postgresql://h', other: 'x'}\n"
                 "pipelines:\n  - name: a\n    topics: [t]\n"
                 "    sink: {type: postgres, connection: tagret}\n") ==
        Lines{"f.yaml:6: pipelines[0].sink.connection: \"tagret\" is not in connections; did you "
              "mean target?"});
}

TEST_CASE("config: brokers are hosts with numeric ports") {
  const Lines no_pipelines{"f.yaml:2: pipelines: empty; expected at least one"};
  for (const std::string good : {"a", "a:1", "a:9092, b:9092", "[::1]:9092", "SSL://a:9092"}) {
    DYNAMIC_SECTION(good) {
      CHECK(mistakes("kafka: {brokers: \"" + good + "\"}\npipelines: []\n") == no_pipelines);
    }
  }
  for (const std::string bad : {"", "a,", ":9092", "a:port", "a:0", "a:65536", "a:1:2", "[::1"}) {
    DYNAMIC_SECTION("not " << bad) {
      CHECK(mistakes("kafka: {brokers: \"" + bad + "\"}\npipelines: []\n").at(0) ==
            "f.yaml:1: kafka.brokers: \"" + bad +
                "\" is not a list of brokers; expected host:port, more of them after commas");
    }
  }
}

TEST_CASE("config: ${…} expands in every value, once") {
  const TemporaryFile file{"from file\n"};
  const auto environment =
      variables({{"SET", "value"}, {"EMPTY", ""}, {"NESTED", "${SET}"}, {"_x1", "y"}});
  struct Case {
    std::string name, raw, want;
  };
  const Case cases[] = {
      {"a variable", "${SET}", "value"},
      {"text around it", "a-${SET}-${_x1}-b", "a-value-y-b"},
      {"an empty variable", "a${EMPTY}b", "ab"},
      {"a default that is not needed", "${SET:-x}", "value"},
      {"a default for an unset variable", "${UNSET:-a:-b c}", "a:-b c"},
      {"a default for an empty variable", "${EMPTY:-x}", "x"},
      {"an empty default", "a${UNSET:-}b", "ab"},
      {"a file without its last newline", "${file:" + file.path() + "}", "from file"},
      {"what it expands to is taken as it is", "${NESTED}", "${SET}"},
      {"a $ alone is a $", "$SET $ {a}", "$SET $ {a}"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const auto config = parse("kafka: {brokers: a, properties: {x: '" + c.raw + "'}}\n" +
                                    with("").substr(with("").find("connections")),
                                "f.yaml", environment);
      REQUIRE(config);
      CHECK(config->kafka.properties.at("x") == c.want);
    }
  }
}

TEST_CASE("config: a ${…} that can't be expanded is told") {
  const TemporaryFile large{std::string(70'000, 'x')};
  struct Case {
    std::string name, raw;
    Lines want;
  };
  const std::string malformed =
      "a ${ that does not begin ${NAME}, ${NAME:-default} or ${file:/path}; "
      "a default can't hold another ${";
  const Case cases[] = {
      {"unset, twice",
       "${A} ${B}",
       {"the environment variable A is not set; set it or write ${A:-default}",
        "the environment variable B is not set; set it or write ${B:-default}"}},
      {"never closed", "a${A", {"a ${ without its }"}},
      {"empty", "${}", {malformed}},
      {"a name with a dash", "${A-b}", {malformed}},
      {"a name with a digit first", "${1A}", {malformed}},
      {"one in the other", "${A:-${B}}", {malformed}},
      {"no such file",
       "${file:/nowhere/x}",
       {"${file:/nowhere/x} can't be read: No such file or directory"}},
      {"a directory", "${file:/}", {"${file:/} can't be read: it is a directory"}},
      {"a relative path", "${file:x}", {"${file:x}: the path must be absolute, begin it with /"}},
      {"a large file",
       "${file:" + large.path() + "}",
       {"${file:" + large.path() + "} can't be read: it is larger than 64 KiB"}},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Lines want;
      for (const auto& problem : c.want) {
        want.push_back("f.yaml:10: pipelines[0].sink.schema: " + problem);
      }
      CHECK(mistakes(with("      schema: '" + c.raw + "'\n")) == want);
    }
  }
}

TEST_CASE("config: a wrong URL is told without quoting any of it") {
  const std::string expected =
      "is not a PostgreSQL URL; expected postgresql://user:password@host:port/database";
  const std::string escapes =
      expected + ", with % @ : / ? of a user or password written as %25 %40 %3A %2F %3F";
  struct Case {
    std::string name, url, want;
  };
  const Case cases[] = {
      {"another scheme", "mysql://h/d", expected},
      {"key=value pairs", "host=h password=hunter2", expected},
      {"an @ in the password", "postgresql://me:hun@ter2@h/d", escapes},
      {"a / in the password", "postgresql://me:hun/ter2@h/d", escapes},
      {"a ? in the password", "postgresql://me:12?ter2@h/d", escapes},
      {"a % in the password", "postgresql://me:hun%ter2@h/d", escapes},
      {"a port that is none", "postgresql://me:hunter2@h:port/d", escapes},
      {"a space", "postgresql://me:hun ter2@h/d", escapes},
      {"a parameter without a value", "postgresql://me:hunter2@h/d?sslmode",
       "has a parameter after ? that is not name=value"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const std::string yaml =
          "kafka: {brokers: a}\nconnections:\n  one: ${URL}\npipelines:\n"
          "  - {name: a, topics: [t], sink: {type: postgres, connection: one}}\n"
          "  - {name: b, topics: [t], sink: {type: postgres, connection: one}}\n"
          "  - {name: c, topics: [t], sink: {type: postgres, url: '" +
          c.url + "'}}\n";
      CHECK(mistakes(yaml, variables({{"URL", c.url}})) ==
            Lines{"f.yaml:3: connections.one: " + c.want,
                  "f.yaml:7: pipelines[2].sink.url: " + c.want});
    }
  }
  for (const std::string good :
       {"postgresql://", "postgres://h", "postgresql://me@h:5432,[::1]:5433/d?a=b&c=%20",
        "postgresql://me:a:b@%2Frun%2Fpostgresql/d", "postgresql:///d?host=/run"}) {
    DYNAMIC_SECTION("accepted: " << good) {
      CHECK(mistakes("kafka: {brokers: a}\npipelines:\n  - {name: c, topics: [t], sink: "
                     "{type: postgres, url: '" +
                     good + "'}}\n")
                .empty());
    }
  }
}

TEST_CASE("config: what ${…} expanded to is in no message") {
  const TemporaryFile file{"hunter2\n"};
  const std::string secret = "hunter2";
  std::string yaml = R"(kafka:
  brokers: "${S}:x"
  properties: {group.id: "${S}", isolation.level: "${S}"}
connections: {target: "${S}"}
pipelines:
  - name: "${S}/"
    topics: ["${S}/", "${F}/"]
    topics_pattern: "${S}("
    sink: {type: postgres, connection: target, schema: "${S}${L}", consistency: "${S}",
           connections: "${S}", replay_guard: "${S}"}
    batch: {max_events: "${S}", max_bytes: "${S}", max_wait: "${S}"}
  - {name: b, topics: [t], sink: {type: "${S}"}}
  - {name: c, topics: [t], sink: {type: postgres, connection: "${S}"}}
  - {name: d, topics: [t], sink: {type: postgres, url: "${S}"}}
  - {name: "${S}", topics: ["${S}", "${S}"], sink: {type: postgres, url: "x${S}"}}
  - {name: "${S}", topics: [t], sink: {type: postgres, url: "postgresql://u:${S}@h@"}}
log: {level: "${S}", format: "${S}"}
)";
  for (auto at = yaml.find("${F}"); at != yaml.npos; at = yaml.find("${F}")) {
    yaml.replace(at, 4, "${file:" + file.path() + "}");
  }
  const auto messages = mistakes(yaml, variables({{"S", secret}, {"L", std::string(64, 'x')}}));
  CHECK(messages.size() == 25);
  for (const auto& message : messages) {
    CAPTURE(message);
    CHECK(message.find(secret) == message.npos);
  }
}

TEST_CASE("nearest: few wrong letters are forgiven, other words are not") {
  const std::vector<std::string> known{"users", "orders", "public.users", "user"};
  using Names = std::vector<std::string>;
  CHECK(nearest("usres", known) == Names{"users"});
  CHECK(nearest("USERS", known, 2) == Names{"users", "user"});
  CHECK(nearest("ordres", known) == Names{"orders"});
  CHECK(nearest("invoices", known).empty());
  CHECK(nearest("", known).empty());
  CHECK(nearest("x", {}).empty());
}

TEST_CASE("config: the routes of a webhook, each a pipeline of its own") {
  const auto config = parse(R"(
kafka: {brokers: a}
pipelines:
  - name: notify
    topics: [db.public.statuses]
    sink:
      type: webhook
      dead_letter_topic: undelivered
      dead_letters_per_minute: 5
      routes:
        - match: {customer_id: 1, country: "D E"}
          url: https://user:${PASSWORD}@one.example/hook?token=x
          method: PUT
          headers: {X-Api-Key: "${PASSWORD}"}
          body: '{"status": {status}}'
          ca: "-----BEGIN CERTIFICATE-----\nx"
          timeout: 5s
          max_in_flight: 1000
          rate: 500
          secret: ${PASSWORD}
        - url: http://127.0.0.1:9101
        - {name: archive, url: "http://[::1]/"}
)",
                            "f.yaml", variables({{"PASSWORD", "s3cret"}}));
  INFO((config ? "" : to_string(config.error())));
  REQUIRE(config);
  CHECK(running_names(config->pipelines[0]) ==
        Lines{"notify.country-D_E.customer_id-1", "notify.all", "notify.archive"});
  const auto& sink = std::get<WebhookSink>(config->pipelines[0].sink);
  CHECK(sink.dead_letter_topic == "undelivered");
  CHECK(sink.dead_letters_per_minute == 5);
  const auto& route = sink.routes.at(0);
  CHECK(route.match ==
        std::map<std::string, std::string>{{"customer_id", "1"}, {"country", "D E"}});
  CHECK(route.url == "https://user:s3cret@one.example/hook?token=x");
  CHECK(route.method == "PUT");
  CHECK(route.headers == std::map<std::string, std::string>{{"X-Api-Key", "s3cret"}});
  CHECK(route.body == R"({"status": {status}})");
  CHECK(route.timeout == std::chrono::seconds{5});
  CHECK(route.ca == "-----BEGIN CERTIFICATE-----\nx");
  CHECK(route.max_in_flight == 1000);
  CHECK(route.rate == 500);
  CHECK(route.secret == "s3cret");
  CHECK(sink.routes.at(1).rate == 0);
}

TEST_CASE("config: what is wrong with routes is told without what may be a secret") {
  CHECK(mistakes(R"(kafka: {brokers: a}
pipelines:
  - name: notify
    topics: [t]
    sink:
      type: webhook
      routes:
        - {match: {customer_id: 1}, url: "ftp://me:secret@h/"}
        - {match: {customer_id: 1}, url: "http://h:99999/"}
        - {name: "a b", url: "http://h/ x", timeout: 1ms, max_in_flight: 0, rate: 0}
        - {name: b, url: "http://h", headers: {idempotency-key: secret, "a:b": c, X: "secret\r\n"}, ca: /ca.pem}
        - {name: c, method: GET, uri: http://h}
  - {name: notify.b, topics: [t], sink: {type: console}}
  - {name: none, topics: [t], sink: {type: webhook, routes: []}}
)") == Lines{
           "f.yaml:8: pipelines[0].sink.routes[0].url: is not a URL of the web; expected http or "
           "https, such as https://host/path",
           "f.yaml:9: pipelines[0].sink.routes[1].url: is not a URL of the web; expected http or "
           "https, such as https://host/path",
           "f.yaml:9: pipelines[0].sink.routes[1]: called \"customer_id-1\", as the route on line "
           "8 is; give each a name of its own",
           "f.yaml:10: pipelines[0].sink.routes[2].name: \"a b\" is not a pipeline's name; "
           "expected 1 to 100 letters, digits, dots, _ or -",
           "f.yaml:10: pipelines[0].sink.routes[2].url: is not a URL of the web; expected http or "
           "https, such as https://host/path",
           "f.yaml:10: pipelines[0].sink.routes[2].timeout: \"1ms\" is out of range; expected "
           "100ms to 10m",
           "f.yaml:10: pipelines[0].sink.routes[2].max_in_flight: \"0\" is out of range; expected "
           "1 to 10000",
           "f.yaml:10: pipelines[0].sink.routes[2].rate: \"0\" is out of range; expected 1 to "
           "1000000",
           "f.yaml:11: pipelines[0].sink.routes[3].headers.idempotency-key: is set by Lockstep; "
           "expected another header",
           "f.yaml:11: pipelines[0].sink.routes[3].headers.a:b: is not a header's name; expected "
           "letters, digits, - or _",
           "f.yaml:11: pipelines[0].sink.routes[3].headers.X: is not a header's value; expected "
           "one line of text",
           "f.yaml:11: pipelines[0].sink.routes[3].ca: holds no certificate; expected the "
           "authority's in PEM, such as ${file:/etc/ssl/ca.pem}",
           "f.yaml:12: pipelines[0].sink.routes[4].url: missing; expected http or https, such as "
           "https://host/path",
           "f.yaml:12: pipelines[0].sink.routes[4].method: \"GET\" is not known; expected one of "
           "POST, PUT, PATCH",
           "f.yaml:12: pipelines[0].sink.routes[4].uri: unknown key; did you mean url?",
           "f.yaml:13: pipelines[1].name: also the name of the pipeline on line 3; names must be "
           "unique",
           "f.yaml:14: pipelines[2].sink.routes: empty; expected at least one",
       });
}

TEST_CASE("config: a consumer is the pipeline that the file would have it be") {
  Config config;
  config.redis.port = 7;
  config.connections = {{"target", "postgresql://h/d"}, {"web", "https://h/p"}};
  using Job = Consumer::Job;
  const auto sync =
      to_pipeline({"id", "t", Job::sync, "target", 5, std::chrono::seconds{9}}, config);
  REQUIRE(sync);
  CHECK(sync->name == "id");
  CHECK(sync->topics == std::vector<std::string>{"t"});
  CHECK(sync->postgres()->url == "postgresql://h/d");
  CHECK(sync->postgres()->threshold == Threshold{config.redis, 5, std::chrono::seconds{9}});
  const auto replica = to_pipeline({"id", "t", Job::replica, "target", 0, {}}, config);
  REQUIRE(replica);
  CHECK_FALSE(replica->postgres()->threshold);
  const auto console = to_pipeline({"id", "t", Job::console, "", {}, {}}, config);
  REQUIRE(console);
  CHECK(std::holds_alternative<ConsoleSink>(console->sink));
  const auto webhook = to_pipeline({"id", "t", Job::webhook, "web", {}, {}}, config);
  REQUIRE(webhook);
  CHECK(std::get<WebhookSink>(webhook->sink).routes.at(0).url == "https://h/p");
  CHECK(running_names(*webhook) == std::vector<std::string>{"id.all"});

  const std::string longest(100, 'x');
  const auto too_long = to_pipeline({longest, "t", Job::webhook, "web", {}, {}}, config);
  REQUIRE_FALSE(too_long);
  CHECK_THAT(to_string(too_long.error()), ContainsSubstring("consumer_id: is too long"));
  CHECK(to_pipeline({longest, "t", Job::console, "", {}, {}}, config));
}
