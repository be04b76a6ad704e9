#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/model/change.hpp"

namespace lockstep {

/// The source's table that a topic is named after in Debezium's way: "dbserver1.public.users" is
/// public.users. nullopt: it is no table's topic ("dbserver1.transaction").
inline std::optional<Relation> source_table_of(std::string_view topic) {
  const auto table = topic.rfind('.');
  if (table == std::string_view::npos || table == 0) return std::nullopt;
  const auto schema = topic.rfind('.', table - 1);
  if (schema == std::string_view::npos) return std::nullopt;
  Relation relation{std::string{topic.substr(schema + 1, table - schema - 1)},
                    std::string{topic.substr(table + 1)}};
  if (relation.schema.empty() || relation.table.empty()) return std::nullopt;
  return relation;
}

/// 1 to `longest` letters, digits, dots, _ and -: of what Kafka takes in the names of topics and
/// groups.
inline bool is_plain_name(std::string_view name, std::size_t longest) {
  constexpr std::string_view characters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= longest && name.find_first_not_of(characters) == name.npos;
}

/// What Kafka takes for a topic's name.
inline bool is_topic_name(std::string_view name) {
  constexpr std::size_t longest = 249;
  return is_plain_name(name, longest) && name != "." && name != "..";
}

}  // namespace lockstep
