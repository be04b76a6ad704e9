#include "schema.hpp"

#include <charconv>

#include "convert.hpp"
#include "declared.hpp"
#include "json.hpp"

namespace lockstep::debezium {
namespace {

constexpr std::size_t most_layouts = 10'000;

}  // namespace

std::string_view string_at(simdjson::dom::object object, std::string_view key) {
  std::string_view text;
  if (object.at_key(key).get(text) != simdjson::SUCCESS) return {};
  return text;
}

ConnectType connect_type(simdjson::dom::object field) {
  ConnectType type;
  type.type = string_at(field, "type");
  type.name = string_at(field, "name");
  simdjson::dom::object parameters;
  if (field["parameters"].get(parameters) == simdjson::SUCCESS) {
    type.scale = string_at(parameters, "scale");
    type.length = string_at(parameters, "length");
    type.source_type = string_at(parameters, "__debezium.source.column.type");
    type.precision = string_at(parameters, "connect.decimal.precision");
  }
  return type;
}

namespace {

std::string described(const ConnectType& type) {
  if (type.name.empty()) return std::string{type.type};
  return std::string{type.name} + " (" + std::string{type.type} + ")";
}

/// What ColumnReader::parameter says; nullopt: the schema does not tell it.
std::optional<std::int64_t> parameter_of(const ConnectType& type) {
  constexpr std::int32_t longest_bit_string = 83'886'080;  // PostgreSQL's limit
  std::string_view text = "0";
  if (type.name == "org.apache.kafka.connect.data.Decimal") text = type.scale;
  if (type.name == "io.debezium.data.Bits") text = type.length;
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  const bool is_length = type.name == "io.debezium.data.Bits";
  if (is_length && (number < 1 || number > longest_bit_string)) return std::nullopt;
  return number;
}

/// A list of columns as a key: equal if and only if the lists are.
std::string fingerprint(const std::vector<Column>& columns) {
  std::string bytes;
  const auto put = [&](std::string_view text) {
    bytes += std::to_string(text.size());
    bytes += ':';
    bytes += text;
  };
  for (const Column& column : columns) {
    put(column.name);
    put(column.described);
    put(column.source_type);
    put(column.declared);
    put(std::to_string(column.length.value_or(-1)) + "," +
        std::to_string(column.scale.value_or(-1)));
    put(column.default_value ? "=" + *column.default_value : "");
    bytes += static_cast<char>(column.type);
    bytes += column.optional ? '?' : '!';
  }
  return bytes;
}

}  // namespace

const Problem too_many_layouts{
    "more than 10000 different lists of columns so far: the topic is not what it should be, or "
    "restart the daemon"};

const Layout* Layouts::intern(std::vector<Column> columns) {
  std::string key = fingerprint(columns);
  if (const auto known = layouts_.find(key); known != layouts_.end()) return known->second.get();
  if (layouts_.size() >= most_layouts) return nullptr;
  auto layout = std::make_unique<const Layout>(Layout{std::move(columns)});
  return layouts_.emplace(std::move(key), std::move(layout)).first->second.get();
}

Result<RowSchema, Problem> row_schema(simdjson::dom::object schema, Layouts& layouts) {
  simdjson::dom::array fields;
  if (string_at(schema, "type") != "struct" || schema["fields"].get(fields) != simdjson::SUCCESS) {
    return Problem{"its schema is no struct"};
  }
  std::vector<Column> columns;
  RowSchema row;
  for (const simdjson::dom::element element : fields) {
    simdjson::dom::object field;
    std::string_view name;
    if (element.get(field) != simdjson::SUCCESS || field["field"].get(name) != simdjson::SUCCESS) {
      return Problem{"its schema has a field without a name"};
    }
    const ConnectType type = connect_type(field);
    const Reader& reader = reader_of(type);
    const std::optional<std::int64_t> parameter =
        reader.value_type == ValueType::unsupported ? 0 : parameter_of(type);
    if (!parameter) {
      return Problem{"column \"" + std::string{name} + "\" (" + described(type) +
                     "): the schema lacks the type's scale or length"};
    }
    row.columns.push_back({.key = json_key(name), .reader = &reader, .parameter = *parameter});
    Column column{.name = std::string{name},
                  .type = reader.value_type,
                  .described = described(type),
                  .source_type = std::string{type.source_type}};
    declare(column, field, row.columns.back());
    columns.push_back(std::move(column));
  }
  row.layout = layouts.intern(std::move(columns));
  if (row.layout == nullptr) return too_many_layouts;
  return row;
}

}  // namespace lockstep::debezium
