#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lockstep {

/// What a table of the source becomes at the target. Names are taken literally, whatever is in
/// them.
struct TableRule {
  /// Of the source's "schema.table": * stands for any characters, ? for one.
  std::string match;
  /// "schema.table", split at the first dot, or "table"; empty: as without a rule. A * stands for
  /// what the only * in `match` stands for.
  std::string to;
  std::vector<std::string> exclude;           ///< source columns that are not written
  std::map<std::string, std::string> rename;  ///< source column to target column

  bool operator==(const TableRule&) const = default;
};

enum class MissingTable : std::uint8_t {
  create,  ///< the target's table is made of what the messages say
  pause,   ///< the table stops
};

/// What follows when a table's columns are no longer those of its rows.
enum class SchemaChange : std::uint8_t {
  evolve,  ///< the target's table is altered
  ignore,  ///< columns that the target lacks are not written
  pause,   ///< the table stops
};

}  // namespace lockstep
