#include "schema.hpp"

#include <charconv>

#include "convert.hpp"
#include "declared.hpp"
#include "json.hpp"
#include "lockstep/model/text.hpp"

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
  bool is_optional = true;
  if (field["optional"].get(is_optional) == simdjson::SUCCESS) type.is_optional = is_optional;
  simdjson::dom::object parameters;
  if (field["parameters"].get(parameters) == simdjson::SUCCESS) {
    type.scale = string_at(parameters, "scale");
    type.length = string_at(parameters, "length");
    type.source_type = string_at(parameters, "__debezium.source.column.type");
    type.precision = string_at(parameters, "connect.decimal.precision");
    type.source_scale = string_at(parameters, "__debezium.source.column.scale");
  }
  return type;
}

namespace {
/// Of an array: the type of its elements, with what is said of the column's type at the source
/// ("_INT4": an array of INT4).
ConnectType element_type(simdjson::dom::object field, const ConnectType& array) {
  simdjson::dom::object items;
  if (field["items"].get(items) != simdjson::SUCCESS) return {};
  ConnectType type = connect_type(items);
  type.source_type = array.source_type;
  if (type.source_type.starts_with('_')) type.source_type.remove_prefix(1);
  type.source_scale = array.source_scale;
  return type;
}

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
    bytes += column.is_array ? 'a' : 's';
  }
  return bytes;
}

}  // namespace

const Problem too_many_layouts = of_setup(
    "more than 10000 different lists of columns so far: the topic is not what it should be, or "
    "restart the daemon");

const Problem nul_in_name{
    "the name or type of a column holds a NUL character: PostgreSQL can't have it"};

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
    return of_setup("its schema is no struct");
  }
  std::vector<Column> columns;
  std::vector<std::string_view> unseen;
  RowSchema row;
  for (const simdjson::dom::element element : fields) {
    simdjson::dom::object field;
    std::string_view name;
    if (element.get(field) != simdjson::SUCCESS || field["field"].get(name) != simdjson::SUCCESS) {
      return of_setup("its schema has a field without a name");
    }
    const ConnectType type = connect_type(field);
    if (holds_nul(name) || holds_nul(type.source_type)) return nul_in_name;
    const bool is_array = type.name.empty() && type.type == "array";
    const ConnectType scalar = is_array ? element_type(field, type) : type;
    const std::string description = is_array ? "array of " + described(scalar) : described(scalar);
    const Reader& reader = is_array ? element_reader_of(scalar) : reader_of(scalar);
    const bool has_no_length =
        reader.value_type == ValueType::unsupported || reader.value_type == ValueType::varbits;
    const std::optional<std::int64_t> parameter = has_no_length ? 0 : parameter_of(scalar);
    if (!parameter) {
      return of_setup("column \"" + std::string{name} + "\" (" + description +
                      "): the schema lacks the type's scale or length");
    }
    row.columns.push_back({.key = json_key(name),
                           .reader = is_array ? &array_reader : &reader,
                           .parameter = *parameter,
                           .element = is_array ? &reader : nullptr,
                           .shows_dimensions = is_array && shows_dimensions(scalar),
                           .has_no_placeholder = has_no_placeholder(scalar, is_array)});
    Column column{.name = std::string{name},
                  .type = reader.value_type,
                  .described = description,
                  .source_type = std::string{type.source_type},
                  .is_array = is_array};
    declare(column, field, row.columns.back());
    columns.push_back(std::move(column));
    unseen.push_back(unseen_loss(scalar, is_array));
  }
  row.layout = layouts.intern(std::move(columns));
  if (row.layout == nullptr) return too_many_layouts;
  for (std::size_t i = 0; i < row.columns.size(); ++i) {
    row.columns[i].column = &row.layout->columns[i];
    if (!unseen[i].empty()) row.losses.push_back({row.layout->columns[i].name, unseen[i], false});
  }
  return row;
}

}  // namespace lockstep::debezium
