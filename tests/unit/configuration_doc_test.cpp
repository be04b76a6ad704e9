// docs/configuration.md against the code: its keys, its defaults, its examples.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "catch.hpp"
#include "lockstep/config/config.hpp"
#include "lockstep/kafka/properties.hpp"
#include "working_directory.hpp"

using namespace lockstep::config;
using lockstep::test::WorkingDirectory;

namespace {

std::string content_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream{LOCKSTEP_SOURCE_DIR "/" + file}.rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

/// What stands under a heading "## …".
std::string section(const std::string& text, const std::string& heading) {
  const auto begin = text.find("\n## " + heading + "\n");
  REQUIRE(begin != text.npos);
  return text.substr(begin + 1, text.find("\n## ", begin + 1) - begin - 1);
}

using Cells = std::vector<std::string>;

/// The rows of its tables, without their heads.
std::vector<Cells> table_rows(const std::string& text) {
  std::vector<Cells> rows;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    Cells cells;
    std::istringstream rest{line.substr(1)};
    for (std::string cell; std::getline(rest, cell, '|');) {
      const auto begin = cell.find_first_not_of(' ');
      cells.push_back(
          begin == cell.npos ? "" : cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin));
    }
    rows.push_back(std::move(cells));
  }
  return rows;
}

/// The texts in `backticks`.
std::vector<std::string> quoted(const std::string& cell) {
  std::vector<std::string> found;
  const std::regex pattern{"`([^`]*)`"};
  for (std::sregex_iterator match{cell.begin(), cell.end(), pattern}, end; match != end; ++match) {
    found.push_back((*match)[1]);
  }
  return found;
}

const Environment no_variables{[](const std::string&) { return std::nullopt; }};

/// The sinks that are not of type postgres, with what they require, by what their keys begin with.
const std::map<std::string, std::string> other_sinks{
    {"pipelines[].sink.format", "type: console"},
    {"pipelines[].sink.routes", "type: webhook"},
    {"pipelines[].sink.max_", "type: threshold, url: 'postgresql://h/d'"},
    {"pipelines[].sink.redis", "type: threshold, url: 'postgresql://h/d'"},
};

std::string sink_of(const std::string& key) {
  for (const auto& [prefix, sink] : other_sinks) {
    if (key.starts_with(prefix)) return sink;
  }
  return "type: postgres, url: 'postgresql://h/d'";
}

/// A configuration with what is required, and with this key (if it is not empty) set to `value`.
lockstep::Result<Config, Errors> loaded(const std::string& key = "", const std::string& value = "",
                                        const std::string& sink_type = sink_of("")) {
  std::string root;
  std::string kafka;
  std::string http;
  std::string connect;
  std::string log;
  std::string pipeline;
  std::string sink;
  std::string route;
  std::string rule;
  std::string columns;
  std::string batch;
  std::string connector;
  const std::pair<std::string, std::string*> blocks[] = {
      {"kafka.", &kafka},
      {"http.", &http},
      {"connect.", &connect},
      {"log.", &log},
      {"pipelines[].sink.tables[].columns.", &columns},
      {"pipelines[].sink.tables[].", &rule},
      {"pipelines[].sink.routes[].", &route},
      {"pipelines[].sink.", &sink},
      {"pipelines[].batch.", &batch},
      {"pipelines[].connector.", &connector},
      {"pipelines[].", &pipeline},
      {"", &root},
  };
  const auto* const block =
      std::find_if(std::begin(blocks), std::end(blocks),
                   [&](const auto& one) { return key.starts_with(one.first); });
  const std::string line = key.substr(block->first.size()) + ": " + value;
  if (!key.empty()) *block->second = line;
  const auto map = [](const std::string& name, const std::string& content) {
    return content.empty() ? "" : name + ": {" + content + "}\n";
  };
  const auto more = [](const std::string& text) { return text.empty() ? "" : ", " + text; };
  if (!columns.empty()) rule = "columns: {" + columns + "}";
  if (sink_type == "type: webhook") sink = "routes: [{url: 'http://h'" + more(route) + "}]";
  if (!rule.empty()) sink = "tables: [{match: a.b, " + rule + "}]";
  return parse("kafka: {brokers: a" + more(kafka) + "}\n" + map("http", http) +
                   map("connect", connect) + map("log", log) + (root.empty() ? "" : root + "\n") +
                   "pipelines:\n  - {name: a, topics: [t], sink: {" + sink_type + more(sink) + "}" +
                   (batch.empty() ? "" : ", batch: {" + batch + "}") +
                   (connector.empty() ? "" : ", connector: {" + connector + "}") + more(pipeline) +
                   "}\n",
               "f.yaml", no_variables);
}

/// The keys that a file with all blocks and nothing in them lacks.
std::set<std::string> required_keys() {
  std::set<std::string> keys;
  for (const std::string yaml :
       {"log: {}", "kafka: {}\npipelines: [{}]", "kafka: {}\npipelines: [{sink: {}, source: {}}]",
        "kafka: {}\npipelines: [{sink: {type: threshold, tables: [{}]}}]",
        "kafka: {}\npipelines: [{sink: {type: webhook}}]",
        "kafka: {}\npipelines: [{sink: {type: webhook, routes: [{}]}}]"}) {
    const auto config = parse(yaml, "f.yaml", no_variables);
    REQUIRE_FALSE(config);
    for (const auto& error : config.error()) {
      const std::regex pattern{"f.yaml:[0-9]+: (.*): missing; .*"};
      std::smatch match;
      if (!std::regex_match(error.message, match, pattern)) continue;
      keys.insert(std::regex_replace(match[1].str(), std::regex{R"(\[0\])"}, "[]"));
    }
  }
  return keys;
}

/// Each ```yaml block.
std::vector<std::string> yaml_blocks(const std::string& text) {
  const std::string begin = "\n```yaml\n";
  std::vector<std::string> blocks;
  for (auto at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) {
    const auto first = at + begin.size();
    blocks.push_back(text.substr(first, text.find("\n```\n", first) + 1 - first));
  }
  return blocks;
}

}  // namespace

TEST_CASE("docs/configuration.md has the keys that the loader knows, with their defaults") {
  const auto rows = table_rows(section(content_of("docs/configuration.md"), "Keys"));
  const auto required = required_keys();
  const auto with_rule = loaded("pipelines[].sink.tables[].columns", "{}");
  REQUIRE(with_rule);
  std::vector<std::string> documented;
  for (const auto& cells : rows) {
    REQUIRE(cells.size() == 4);
    const std::string key = quoted(cells[0]).at(0);
    const std::string& fallback = cells[2];
    CAPTURE(key, fallback);
    documented.push_back(key);
    CHECK(fallback.starts_with("required") == required.contains(key));
    if (fallback == "not in this version") {
      const auto refused = loaded(key, "x");
      REQUIRE_FALSE(refused);
      CHECK_THAT(to_string(refused.error()), ContainsSubstring("not available in this version"));
    } else if (fallback.starts_with('`')) {  // written down it changes nothing
      const auto same = loaded(key, quoted(fallback).at(0), sink_of(key));
      INFO((same ? "" : to_string(same.error())));
      REQUIRE(same);
      CHECK(*same ==
            *(key.find("tables[]") == key.npos ? loaded("", "", sink_of(key)) : with_rule));
    } else {
      CHECK((required.contains(key) || fallback.starts_with("instead of") || fallback == "none"));
    }
  }
  std::sort(documented.begin(), documented.end());
  CHECK(documented == known_keys());
}

TEST_CASE("docs/configuration.md has the properties that are refused") {
  std::set<std::string> documented;
  for (const auto& cells :
       table_rows(section(content_of("docs/configuration.md"), "Kafka's properties"))) {
    for (const auto& name : quoted(cells.at(0))) documented.insert(name);
  }
  std::set<std::string> owned;
  for (const auto& property : lockstep::kafka::owned_properties) {
    owned.insert(std::string{property.name});
  }
  CHECK(documented == owned);
}

TEST_CASE("the examples in the documents load") {
  const WorkingDirectory folder;
  const std::string secrets = std::filesystem::current_path().string() + "/";
  int blocks = 0;
  for (const std::string document : {"docs/configuration.md", "README.md"}) {
    for (auto yaml : yaml_blocks(content_of(document))) {
      CAPTURE(document, yaml);
      ++blocks;
      const std::regex file{R"(\$\{file:(/[a-z]+)*/([a-z_]+)\})"};
      for (std::sregex_iterator match{yaml.begin(), yaml.end(), file}, end; match != end; ++match) {
        WorkingDirectory::write((*match)[2], "secret\n");
      }
      yaml = std::regex_replace(yaml, file, "$${file:" + secrets + "$2}");
      const std::regex variable{R"(\$\{([A-Z_]+))"};
      std::string variables;
      for (std::sregex_iterator match{yaml.begin(), yaml.end(), variable}, end; match != end;
           ++match) {
        variables += (*match)[1].str() + "=secret\n";
      }
      WorkingDirectory::write(".env", variables);
      WorkingDirectory::write("lockstep.yaml", yaml);
      const auto config = load("lockstep.yaml");
      INFO((config ? "" : to_string(config.error())));
      CHECK(config);
    }
  }
  CHECK(blocks == 4);
}
