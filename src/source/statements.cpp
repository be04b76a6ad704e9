#include "statements.hpp"

#include <cctype>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "lockstep/postgres/ask.hpp"
#include "markers.hpp"

namespace lockstep::source {

namespace {

using postgres::AskError;

constexpr std::chrono::milliseconds deadline{3000};

http::Response answer_of(const AskError& error, const std::string& what_to_do) {
  if (error.sqlstate.empty()) {
    return http::error(503, "the source does not answer", error.message);
  }
  return http::error(409, "the source refuses",
                     error.message + " (SQLSTATE " + error.sqlstate + ")" + what_to_do);
}

std::string quoted_name(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text += c == '"' ? std::string{"\"\""} : std::string{c};
  return text + "\"";
}

/// As a regular expression that matches the name and no other: what Debezium takes.
std::string pattern_of(const std::string& table) {
  std::string pattern;
  for (const char c : table) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isalnum(byte) == 0 && c != '_') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace

std::string unique_id() {
  constexpr std::string_view digits = "0123456789abcdef";
  std::random_device random;
  std::string id;
  for (int word = 0; word < 4; ++word) {
    auto bits = random();
    for (int digit = 0; digit < 8; ++digit, bits >>= 4U) id += digits[bits & 15U];
  }
  return id;
}

Result<Done, http::Response> emit_marker(const std::string& url, const std::string& marker) {
  const auto emitted =
      postgres::ask(url, "SELECT pg_catalog.pg_logical_emit_message(true, $1::text, $2::text)",
                    {std::string{marker_prefix}, marker}, deadline);
  if (!emitted) return answer_of(emitted.error(), "");
  return done;
}

Result<std::vector<std::string>, http::Response> ask_for_snapshot(const std::string& url,
                                                                  const std::string& signals,
                                                                  const std::string& topic,
                                                                  const std::string& id) {
  // Debezium puts a _ in a topic's name for whatever Kafka does not allow there.
  const auto found = postgres::ask(
      url,
      "SELECT t.name, EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND "
      "i.indisprimary) FROM (SELECT c.oid, n.nspname || '.' || c.relname AS name FROM "
      "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
      "c.relkind IN ('r', 'p')) t WHERE pg_catalog.right($1, pg_catalog.length(t.name) + 1) = "
      "'.' || pg_catalog.regexp_replace(t.name, '[^a-zA-Z0-9._-]', '_', 'g')",
      {topic}, deadline);
  if (!found) return answer_of(found.error(), "");
  if (found->empty()) {
    return http::error(404, "no such table at the source",
                       "none there has the name that " + topic + " ends with");
  }
  std::vector<std::string> tables;
  nlohmann::json patterns = nlohmann::json::array();
  for (const auto& row : *found) {
    if (row.at(1) != "t") {
      return http::error(409, "no primary key",
                         row.at(0) +
                             " has none at the source, and the connector reads such a "
                             "table in a new snapshot of its own only");
    }
    tables.push_back(row.at(0));
    patterns.push_back(pattern_of(row.at(0)));
  }
  const nlohmann::json data{{"type", "incremental"}, {"data-collections", patterns}};
  const auto dot = signals.find('.');
  const auto table =
      quoted_name(signals.substr(0, dot)) + "." + quoted_name(signals.substr(dot + 1));
  const auto asked = postgres::ask(
      url, "INSERT INTO " + table + " (id, type, data) VALUES ($1, 'execute-snapshot', $2)",
      {id, data.dump()}, deadline);
  if (!asked) {
    return answer_of(asked.error(),
                     "; the table for signals is as debezium-config/README.md, "
                     "Signals says, and this account needs INSERT on it");
  }
  return tables;
}

}  // namespace lockstep::source
