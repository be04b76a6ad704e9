#include "declared.hpp"

#include <algorithm>
#include <iterator>

#include "convert.hpp"
#include "json.hpp"
#include "number.hpp"

namespace lockstep::debezium {
namespace {

/// A type that takes all values of a Debezium type whose source type is not told.
struct Fallback {
  std::string_view name;  ///< the semantic type; empty: a plain one
  std::string_view type;  ///< the type that carries it; empty: any
  std::string_view declared;
};

constexpr Fallback fallbacks[] = {
    {"io.debezium.time.Date", "", "DATE"},
    {"io.debezium.time.IsoDate", "", "DATE"},
    {"org.apache.kafka.connect.data.Date", "", "DATE"},
    {"io.debezium.time.Time", "", "TIME"},
    {"io.debezium.time.MicroTime", "", "TIME"},
    {"io.debezium.time.NanoTime", "", "TIME"},
    {"io.debezium.time.IsoTime", "", "TIME"},
    {"org.apache.kafka.connect.data.Time", "", "TIME"},
    {"io.debezium.time.ZonedTime", "", "TIMETZ"},
    {"io.debezium.time.Timestamp", "", "TIMESTAMP"},
    {"io.debezium.time.MicroTimestamp", "", "TIMESTAMP"},
    {"io.debezium.time.NanoTimestamp", "", "TIMESTAMP"},
    {"io.debezium.time.IsoTimestamp", "", "TIMESTAMP"},
    {"org.apache.kafka.connect.data.Timestamp", "", "TIMESTAMP"},
    {"io.debezium.time.ZonedTimestamp", "", "TIMESTAMPTZ"},
    {"io.debezium.time.Interval", "", "INTERVAL"},
    {"io.debezium.time.MicroDuration", "", "INTERVAL"},
    {"io.debezium.time.NanoDuration", "", "INTERVAL"},
    {"io.debezium.time.Year", "", "INT4"},
    {"org.apache.kafka.connect.data.Decimal", "", "NUMERIC"},
    {"io.debezium.data.VariableScaleDecimal", "", "NUMERIC"},
    {"io.debezium.data.Bits", "", "BIT"},
    {"io.debezium.data.Uuid", "", "UUID"},
    {"io.debezium.data.Json", "", "JSON"},  // jsonb and hstore, too: json keeps any text
    {"io.debezium.data.Xml", "", "XML"},
    {"io.debezium.data.Ltree", "", "LTREE"},
    {"io.debezium.data.Tsvector", "", "TSVECTOR"},
    {"io.debezium.data.geometry.Point", "", "POINT"},
    {"", "boolean", "BOOL"},
    {"", "int8", "INT2"},
    {"", "int16", "INT2"},
    {"", "int32", "INT4"},
    {"", "int64", "INT8"},
    {"", "float", "FLOAT4"},
    {"", "double", "FLOAT8"},
    {"", "bytes", "BYTEA"},
    {"", "map", "HSTORE"},
};

std::string declared_type(const ConnectType& type, simdjson::dom::object field) {
  if (!type.source_type.empty()) return std::string{type.source_type};
  simdjson::dom::object items;
  if (type.type == "array" && field["items"].get(items) == simdjson::SUCCESS) {
    return "_" + declared_type(connect_type(items), items);
  }
  const auto found =
      std::find_if(std::begin(fallbacks), std::end(fallbacks), [&](const Fallback& fallback) {
        return fallback.name == type.name && (fallback.type.empty() || fallback.type == type.type);
      });
  return std::string{found == std::end(fallbacks) ? "TEXT" : found->declared};
}

/// The default as the column's reader reads it; nullopt: there is none, or it is no value.
std::optional<std::string> default_of(simdjson::dom::object field, const ColumnReader& reader) {
  const ConnectorModes modes;
  const Placeholder placeholder{modes.placeholder};
  simdjson::dom::element value;
  if (field["default"].get(value) != simdjson::SUCCESS) return std::nullopt;
  const std::string json = R"({"v":)" + std::string{simdjson::minify(value)} + "}";
  JsonReader parser;
  if (parser.open(json)) return std::nullopt;
  std::optional<std::string> text;
  parser.each_member(parser.root(), [&](JsonKey&, JsonValue& member) {
    Arena arena;
    std::vector<Loss> losses;
    Reading reading{parser, arena, modes, placeholder, losses};
    if (member.is_null()) return true;
    const auto cell = reader.reader->read(reader, member, reading);
    if (cell && !cell->is_null() && !cell->is_unchanged()) text = cell->view();
    return true;
  });
  return text;
}

}  // namespace

void declare(Column& column, simdjson::dom::object field, const ColumnReader& reader) {
  const ConnectType type = connect_type(field);
  column.declared = declared_type(type, field);
  simdjson::dom::object parameters;
  if (field["parameters"].get(parameters) == simdjson::SUCCESS) {
    const auto number = [&](std::string_view key) -> std::optional<std::int32_t> {
      return integer_of<std::int32_t>(string_at(parameters, key));
    };
    const bool is_told = !type.source_type.empty();
    column.length =
        number(is_told ? "__debezium.source.column.length"
                       : (type.precision.empty() ? "length" : "connect.decimal.precision"));
    column.scale = number(is_told ? "__debezium.source.column.scale" : "scale");
  }
  bool optional = false;
  if (field["optional"].get(optional) == simdjson::SUCCESS) column.optional = optional;
  ColumnReader of_this = reader;
  of_this.column = &column;
  column.default_value = default_of(field, of_this);
}

}  // namespace lockstep::debezium
