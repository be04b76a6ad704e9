#pragma once

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

}  // namespace lockstep
