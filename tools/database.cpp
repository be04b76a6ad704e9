#include "database.hpp"

#include <chrono>
#include <string_view>
#include <vector>

#include "lockstep/config/nearest.hpp"

namespace lockstep::tools {

Result<config::Pipeline, config::Errors> read_pipeline(const std::string& file,
                                                       const std::string& name) {
  auto config = config::load(file);
  if (!config) return std::move(config).error();
  auto& pipelines = config->pipelines;
  if (name.empty()) return std::move(pipelines.front());
  std::vector<std::string> names;
  for (auto& pipeline : pipelines) {
    if (pipeline.name == name) return std::move(pipeline);
    names.push_back(pipeline.name);
  }
  std::string expected;
  for (const auto& known : names) expected += (expected.empty() ? "" : ", ") + known;
  if (const auto meant = config::nearest(name, names); !meant.empty()) expected = meant.front();
  return config::Errors{{file + ": no pipeline \"" + name + "\"; did you mean " + expected + "?"}};
}

postgres::Session connect(const std::string& url) {
  return postgres::Session{
      url, {.application_name = "lockstep-tools", .statement_timeout = std::chrono::seconds{30}}};
}

std::string describe(pqxx::connection& connection) {
  const auto text = [](const char* value) { return std::string{value == nullptr ? "" : value}; };
  return text(connection.hostname()) + ":" + text(connection.port()) + "/" +
         text(connection.dbname());
}

std::string one_line(const std::exception& error) {
  std::string_view text = error.what();
  for (const std::string_view prefix : {"ERROR:", "FATAL:"}) {
    if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  }
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  return std::string{text.substr(0, text.find('\n'))};
}

}  // namespace lockstep::tools
