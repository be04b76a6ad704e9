#pragma once

#include "json.hpp"
#include "lockstep/model/arena.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/result.hpp"
#include "schema.hpp"

namespace lockstep::debezium {

/// Reads the values of one Debezium type.
struct Reader {
  std::string_view name;  ///< the semantic type; empty: a plain one
  std::string_view type;  ///< the type that carries it
  ValueType value_type;
  /// The cell of a value that is not null; its text goes to the arena. Its problem does not name
  /// the column.
  Result<Cell, Problem> (*read)(const ColumnReader& column, const JsonReader& json,
                                JsonValue& value, Arena& arena);
  /// For types that can't be read: what to do about it.
  std::string_view advice = {};
};

const Reader& reader_of(const ConnectType& type);

/// A value of schemaless JSON.
Result<Cell, Problem> read_untyped(JsonValue& value, Arena& arena);

}  // namespace lockstep::debezium
