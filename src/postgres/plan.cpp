#include "plan.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace lockstep::postgres {

namespace {

using Names = std::initializer_list<std::string_view>;

bool is_one_of(std::string_view name, Names names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool holds_text(const TargetColumn& column) {
  return is_one_of(column.base_type, {"text", "varchar", "bpchar", "name", "char", "citext"});
}

bool is_whole_number(const TargetColumn& column) {
  return is_one_of(column.base_type, {"int2", "int4", "int8", "oid"});
}

/// Types whose values Debezium sends as their PostgreSQL text, in a string.
bool sent_as_string(const TargetColumn& column) {
  return column.kind == 'e' || column.kind == 'r' || holds_text(column) ||
         is_one_of(column.base_type, {"uuid", "json", "jsonb", "xml", "inet", "cidr", "macaddr",
                                      "macaddr8", "ltree", "tsvector", "numeric"});
}

/// Of a column and a value of its type. pg_catalog's own types have theirs there, and a search path
/// with another, say for varchar, must not come between; citext and the like bring their own along.
std::string_view equals(const TargetColumn& column) {
  const bool own = column.kind == 'b' && !column.cast_type.starts_with("pg_catalog.");
  return own ? " = " : " OPERATOR(pg_catalog.=) ";
}

/// Types that Debezium has no converter for and sends as the bytes of their PostgreSQL text.
bool sent_as_bytes_of_text(const TargetColumn& column) {
  return column.kind == 'm' || column.kind == 'c' ||
         is_one_of(column.base_type, {"box", "line", "lseg", "path", "polygon", "circle", "pg_lsn",
                                      "xid8", "jsonpath"});
}

/// Whether it is known that these bytes are a text: they come of a type that has no converter.
bool holds_bytes_of_text(const Column& source) {
  return !source.source_type.empty() && source.source_type != "BYTEA";
}

struct Conversion {
  Element element = Element::text;
  std::string cast;  ///< appended to the element's expression
  bool refuses_bare_numbers = false;
};

Conversion as_text(const TargetColumn& column) {
  // money reads text by the server's lc_monetary; numeric does not.
  if (column.base_type == "money") return {Element::text, "::pg_catalog.numeric::pg_catalog.money"};
  // Without its length: a cast to varchar(3) would cut, the assignment to the column refuses.
  return {Element::text, "::" + column.cast_type};
}

/// How values of the source column get into the target column; nullopt: they don't.
std::optional<Conversion> conversion(const Column& source, const TargetColumn& target) {
  if (target.is_array) return std::nullopt;
  const auto if_target_is = [&](Names names) -> std::optional<Conversion> {
    if (!holds_text(target) && !is_one_of(target.base_type, names)) return std::nullopt;
    return as_text(target);
  };
  switch (source.type) {
    case ValueType::boolean:
      if (target.base_type == "bit") {  // Debezium sends bit(1) as a boolean
        return Conversion{Element::text, "::pg_catalog.bool::pg_catalog.int4::bit(1)"};
      }
      return if_target_is({"bool"});
    case ValueType::integer:
      return if_target_is({"int2", "int4", "int8", "oid", "numeric"});
    case ValueType::floating:
      return if_target_is({"float4", "float8"});
    case ValueType::numeric:
      return if_target_is({"numeric", "money"});
    case ValueType::text:
      if (!sent_as_string(target)) return std::nullopt;
      return as_text(target);
    case ValueType::bytes:
      if (target.base_type == "bytea") return Conversion{Element::bytea, ""};
      if (!sent_as_bytes_of_text(target) && !(holds_text(target) && holds_bytes_of_text(source))) {
        return std::nullopt;
      }
      return as_text(target);
    case ValueType::bits:
      return if_target_is({"bit"});  // of a varbit Debezium loses the length
    case ValueType::date:
      return if_target_is({"date"});
    case ValueType::time:
      return if_target_is({"time"});
    case ValueType::timetz:
      return if_target_is({"timetz"});
    case ValueType::timestamp:
      return if_target_is({"timestamp"});
    case ValueType::timestamptz:
      return if_target_is({"timestamptz"});
    case ValueType::interval:
      return if_target_is({"interval"});
    case ValueType::point:
      return if_target_is({"point"});
    case ValueType::untyped: {
      if (target.base_type == "bool" || target.base_type == "money" || is_whole_number(target) ||
          is_one_of(target.base_type, {"float4", "float8"}) || sent_as_string(target)) {
        return as_text(target);
      }
      if (is_one_of(target.base_type,
                    {"date", "time", "timetz", "timestamp", "timestamptz", "interval"})) {
        auto strings_only = as_text(target);
        strings_only.refuses_bare_numbers = true;
        return strings_only;
      }
      return std::nullopt;
    }
    case ValueType::unsupported:  // the decoder lets nothing but NULL through
      return as_text(target);
  }
  return std::nullopt;
}

/// The same in binary, where the type has a form that we write.
Conversion in_binary(Conversion conversion, const Column& source, const TargetColumn& target) {
  for (const auto element :
       {Element::int2, Element::int4, Element::int8, Element::timestamp, Element::timestamptz}) {
    if (target.base_type != type_name(element)) continue;
    if (source.type == ValueType::integer || source.type == ValueType::timestamp ||
        source.type == ValueType::timestamptz) {
      return {element, ""};
    }
  }
  return conversion;
}

/// A type that takes all values of the source column; text takes them, too.
std::string_view fitting_type(ValueType type) {
  switch (type) {
    case ValueType::boolean:
      return "boolean";
    case ValueType::integer:
      return "bigint";
    case ValueType::floating:
      return "double precision";
    case ValueType::numeric:
      return "numeric";
    case ValueType::bytes:
      return "bytea";
    case ValueType::bits:
      return "bit(n)";
    case ValueType::date:
      return "date";
    case ValueType::time:
      return "time";
    case ValueType::timetz:
      return "timetz";
    case ValueType::timestamp:
      return "timestamp";
    case ValueType::timestamptz:
      return "timestamptz";
    case ValueType::interval:
      return "interval";
    case ValueType::point:
      return "point";
    case ValueType::text:
    case ValueType::untyped:
    case ValueType::unsupported:
      return "text";
  }
  return "text";
}

std::string advice(const Column& source, const TargetColumn& target) {
  if (source.type == ValueType::untyped) {
    return "a schemaless message does not say how its bytes are written; set "
           "value.converter.schemas.enable=true";
  }
  if (source.type == ValueType::floating && target.base_type == "numeric") {
    return "digits may be lost already; set decimal.handling.mode=string on the connector";
  }
  if (source.type == ValueType::text && target.base_type == "bytea") {
    return "hex and base64 can't be told apart; make it text, or set binary.handling.mode=bytes on "
           "the connector";
  }
  return "make it " + std::string{fitting_type(source.type)};
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const auto& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

std::vector<std::string> quoted(const std::vector<std::string>& names) {
  std::vector<std::string> result;
  for (const auto& name : names) result.push_back(quote_name(name));
  return result;
}

std::string names_of(const Layout& layout) {
  std::vector<std::string> names;
  for (const auto& column : layout.columns) names.push_back(column.name);
  return join(names, ", ");
}

/// The parameters of a statement and the SQL that names them, column by column.
struct Parameters {
  std::vector<ParameterPlan> plans;
  std::vector<std::string> columns;      ///< "id"
  std::vector<std::string> expressions;  ///< u.c1::pg_catalog.int8
  std::vector<std::string> conditions;   ///< t."id" = u.c1::pg_catalog.int8

  /// ROWS FROM (unnest($1::text[]), unnest($2::bytea[])) AS u(c1, c2)
  std::string unnest() const {
    std::vector<std::string> arrays;
    std::vector<std::string> aliases;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      arrays.push_back("pg_catalog.unnest($" + std::to_string(i + 1) + "::pg_catalog." +
                       std::string{type_name(plans[i].element)} + "[])");
      aliases.push_back("c" + std::to_string(i + 1));
    }
    return "ROWS FROM (" + join(arrays, ", ") + ") AS u(" + join(aliases, ", ") + ")";
  }
};

/// What does not fit goes into `errors`.
Parameters plan_parameters(const TargetTable& table, const Layout& layout, Wire wire,
                           PlanErrors& errors) {
  Parameters parameters;
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    const Column& source = layout.columns[i];
    const TargetColumn* const target = table.find(source.name);
    if (target == nullptr) {
      errors.push_back({"has no column " + quote_name(source.name) + " (" + source.described +
                        " at the source): add it"});
      continue;
    }
    if (target->generated) continue;
    auto how = conversion(source, *target);
    if (!how) {
      errors.push_back({"has column " + quote_name(source.name) + " (" + target->type +
                        "), which can't take the source's " + source.described + ": " +
                        advice(source, *target)});
      continue;
    }
    if (wire == Wire::binary) how = in_binary(std::move(*how), source, *target);
    parameters.plans.push_back({i, how->element, how->refuses_bare_numbers, source.name});
    parameters.columns.push_back(quote_name(source.name));
    parameters.expressions.push_back("u.c" + std::to_string(parameters.plans.size()) + how->cast);
    parameters.conditions.push_back("t." + parameters.columns.back() +
                                    std::string{equals(*target)} + parameters.expressions.back());
  }
  return parameters;
}

/// Whatever their order.
bool is_key(const Layout& key, std::vector<std::string> primary_key) {
  std::vector<std::string> names;
  for (const auto& column : key.columns) names.push_back(column.name);
  std::sort(names.begin(), names.end());
  std::sort(primary_key.begin(), primary_key.end());
  return names == primary_key;
}

/// The target would refuse every row: nothing gives these columns a value.
void check_filled(const TargetTable& table, const std::vector<std::string>& given,
                  PlanErrors& errors) {
  for (const auto& column : table.columns) {
    const bool is_given =
        std::find(given.begin(), given.end(), quote_name(column.name)) != given.end();
    if (is_given || !column.wants_value) continue;
    errors.push_back({"has column " + quote_name(column.name) + " (" + column.type +
                      "), NOT NULL without a default, which the source does not send: give it a "
                      "default, or drop NOT NULL"});
  }
}

}  // namespace

bool can_take(const Column& source, const TargetColumn& target) {
  return conversion(source, target).has_value();
}

PlanErrors check_table(const TargetTable& table, const Layout* key, const std::string& synced_at) {
  PlanErrors errors;
  // Rows are found by the target's primary key and folded by the record's key: they must agree.
  const std::string wanted = key == nullptr ? "the source's key" : "(" + names_of(*key) + ")";
  if (table.primary_key.empty()) {
    errors.push_back({"has no primary key: add one on " + wanted});
  } else if (key != nullptr && !is_key(*key, table.primary_key)) {
    errors.push_back({"has primary key (" + join(table.primary_key, ", ") +
                      ") but the records' key is " + wanted +
                      ": make it the same, or set message.key.columns on the connector"});
  }
  if (!synced_at.empty() && table.find(synced_at) == nullptr) {
    errors.push_back({"has no column " + quote_name(synced_at) +
                      ": set synced_at: \"\" in the pipeline's sink, or add it (timestamptz)"});
  }
  return errors;
}

Result<StatementPlan, PlanErrors> plan_upsert(const TargetTable& table, const Layout& row,
                                              const Layout& key, const std::string& synced_at,
                                              Wire wire) {
  auto errors = check_table(table, &key, synced_at);
  auto parameters = plan_parameters(table, row, wire, errors);
  if (!synced_at.empty()) {
    parameters.columns.push_back(quote_name(synced_at));
    parameters.expressions.emplace_back("pg_catalog.now()");
  }
  check_filled(table, parameters.columns, errors);
  if (!errors.empty()) return errors;
  bool overriding = false;
  std::vector<std::string> updates;
  for (const auto& column : table.columns) {
    const std::string name = quote_name(column.name);
    const auto& columns = parameters.columns;
    if (std::find(columns.begin(), columns.end(), name) == columns.end()) continue;
    overriding = overriding || column.identity_always;
    const auto& pk = table.primary_key;
    if (std::find(pk.begin(), pk.end(), column.name) != pk.end()) continue;
    updates.push_back(name + " = excluded." + name);
  }
  std::string sql = "INSERT INTO " + quoted_name(table.name) + " (" +
                    join(parameters.columns, ", ") + ")" +
                    (overriding ? " OVERRIDING SYSTEM VALUE" : "") + " SELECT " +
                    join(parameters.expressions, ", ") + " FROM " + parameters.unnest() +
                    " ON CONFLICT (" + join(quoted(table.primary_key), ", ") + ") DO ";
  sql += updates.empty() ? "NOTHING" : "UPDATE SET " + join(updates, ", ");
  return StatementPlan{std::move(sql), std::move(parameters.plans)};
}

Result<StatementPlan, PlanErrors> plan_remove(const TargetTable& table, const Layout& key,
                                              Wire wire) {
  auto errors = check_table(table, &key, "");
  auto parameters = plan_parameters(table, key, wire, errors);
  if (!errors.empty()) return errors;

  return StatementPlan{"DELETE FROM " + quoted_name(table.name) + " AS t USING " +
                           parameters.unnest() + " WHERE " + join(parameters.conditions, " AND "),
                       std::move(parameters.plans)};
}

}  // namespace lockstep::postgres
