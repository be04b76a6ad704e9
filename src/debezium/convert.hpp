#pragma once

#include <vector>

#include "json.hpp"
#include "lockstep/debezium/decoder.hpp"
#include "lockstep/model/arena.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/model/result.hpp"
#include "placeholder.hpp"
#include "schema.hpp"

namespace lockstep::debezium {

/// What readers have at hand beside the column and the value.
struct Reading {
  const JsonReader& json;
  Arena& arena;
  const ConnectorModes& modes;
  const Placeholder& placeholder;
  std::vector<Loss>& losses;

  /// The value is not, or may not be, what it was at the source.
  void lost(const ColumnReader& column, std::string_view what) {
    losses.push_back({column.column->name, what, true});
  }
};

/// Reads the values of one Debezium type.
struct Reader {
  std::string_view name;  ///< the semantic type; empty: a plain one
  std::string_view type;  ///< the type that carries it
  ValueType value_type;
  /// The cell of a value that is not null; its text goes to the arena. Its problem does not name
  /// the column.
  Result<Cell, Problem> (*read)(const ColumnReader& column, JsonValue& value, Reading& at);
  /// For types that can't be read: what to do about it.
  std::string_view advice = {};
};

const Reader& reader_of(const ConnectType& type);
/// Of an array's elements.
const Reader& element_reader_of(const ConnectType& type);

/// For columns that are arrays; ColumnReader::element reads the elements.
extern const Reader array_reader;

/// What the connector loses of this type's values without a trace in the message, and how to keep
/// it; empty: nothing.
std::string_view unseen_loss(const ConnectType& type, bool in_array);

/// Whether NULL in an update may stand for a value that it left unchanged: the connector has no
/// placeholder that this type can carry.
bool has_no_placeholder(const ConnectType& type, bool in_array);
extern const std::string_view unchanged_as_null;

/// Whether an array of these with several dimensions arrives as something else than NULLs.
bool shows_dimensions(const ConnectType& element);
extern const std::string_view lost_dimensions;

/// A value of schemaless JSON. `is_all_null` becomes true for an array of nothing but NULL.
Result<Cell, Problem> read_untyped(JsonValue& value, Reading& at, bool& is_all_null);

}  // namespace lockstep::debezium
