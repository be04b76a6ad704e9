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

/// The parameters of a statement: what unnest(…) makes u(c1, c2, …) of.
struct Parameters {
  std::vector<ParameterPlan> plans;

  /// u.c1
  std::string add(ParameterPlan plan) {
    plans.push_back(std::move(plan));
    return "u.c" + std::to_string(plans.size());
  }
  /// ROWS FROM (unnest($1::text[]), unnest($2::bytea[])) AS u(c1, c2); `numbered`: and u.n, the
  /// row's number.
  std::string unnest(bool numbered = false) const {
    std::vector<std::string> arrays;
    std::vector<std::string> aliases;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      arrays.push_back("pg_catalog.unnest($" + std::to_string(i + 1) + "::pg_catalog." +
                       std::string{type_name(plans[i].element)} + "[])");
      aliases.push_back("c" + std::to_string(i + 1));
    }
    if (numbered) aliases.emplace_back("n");
    return "ROWS FROM (" + join(arrays, ", ") + ")" + (numbered ? " WITH ORDINALITY" : "") +
           " AS u(" + join(aliases, ", ") + ")";
  }
};

/// Some columns of the target, and what the statement's parameters say of them.
struct Columns {
  std::vector<const TargetColumn*> targets;
  std::vector<std::string> names;        ///< "id"
  std::vector<std::string> expressions;  ///< u.c1::pg_catalog.int8

  void add(const TargetColumn* target, std::string name, std::string expression) {
    targets.push_back(target);
    names.push_back(std::move(name));
    expressions.push_back(std::move(expression));
  }
  bool contain(const std::string& column) const {
    return std::any_of(targets.begin(), targets.end(),
                       [&](const TargetColumn* target) { return target->name == column; });
  }
  /// t."id" = u.c1::pg_catalog.int8 AND …
  std::string are_equal(const std::string& alias) const {
    std::vector<std::string> conditions;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      conditions.push_back(alias + "." + names[i] + std::string{equals(*targets[i])} +
                           expressions[i]);
    }
    return join(conditions, " AND ");
  }
};

/// What does not fit goes into `errors`. Rows leave generated columns to the target; keys don't.
Columns plan_columns(const TargetTable& table, const SentRow& sent, From from, Wire wire,
                     Parameters& parameters, PlanErrors& errors) {
  Columns columns;
  for (std::size_t i = 0; i < sent.layout.columns.size(); ++i) {
    if (!sent.unchanged.empty() && sent.unchanged[i]) continue;
    const Column& source = sent.layout.columns[i];
    const TargetColumn* const target = table.find(source.name);
    if (target == nullptr) {
      errors.push_back({"has no column " + quote_name(source.name) + " (" + source.described +
                        " at the source): add it"});
      continue;
    }
    if (target->generated && from == From::row) continue;
    auto how = conversion(source, *target);
    if (!how) {
      errors.push_back({"has column " + quote_name(source.name) + " (" + target->type +
                        "), which can't take the source's " + source.described + ": " +
                        advice(source, *target)});
      continue;
    }
    if (wire == Wire::binary) how = in_binary(std::move(*how), source, *target);
    const std::string parameter =
        parameters.add({i, how->element, how->refuses_bare_numbers, source.name, from});
    columns.add(target, quote_name(source.name), parameter + how->cast);
  }
  return columns;
}

const std::vector<bool> all_are_sent;

Columns plan_columns(const TargetTable& table, const Layout& layout, From from, Wire wire,
                     Parameters& parameters, PlanErrors& errors) {
  return plan_columns(table, {layout, all_are_sent}, from, wire, parameters, errors);
}

void add_synced_at(const TargetTable& table, const std::string& synced_at, Columns& columns) {
  if (synced_at.empty()) return;
  const TargetColumn* const target = table.find(synced_at);
  if (target != nullptr) columns.add(target, quote_name(synced_at), "pg_catalog.now()");
}

/// Whatever their order.
bool is_key(const Layout& key, std::vector<std::string> columns) {
  std::vector<std::string> names;
  for (const auto& column : key.columns) names.push_back(column.name);
  std::sort(names.begin(), names.end());
  std::sort(columns.begin(), columns.end());
  return names == columns;
}

/// Rows are found by a key of the target's and folded by the record's key: they must agree.
void check_key(const TargetTable& table, const Layout& key, PlanErrors& errors) {
  const std::string wanted = "(" + names_of(key) + ")";
  bool fits = is_key(key, table.primary_key);
  for (const auto& unique : table.unique_keys) {
    if (!is_key(key, unique.columns)) continue;
    if (unique.deferrable) {
      errors.push_back({"has a DEFERRABLE key on " + wanted +
                        ", by which rows can't be found: ALTER TABLE " + quoted_name(table.name) +
                        " DROP CONSTRAINT " + quote_name(unique.name) + ", ADD PRIMARY KEY (" +
                        join(quoted(unique.columns), ", ") + ")"});
      return;
    }
    fits = fits || unique.not_null;
  }
  if (fits) return;
  if (table.primary_key.empty()) {
    errors.push_back({"has no primary key: add one on " + wanted});
  } else {
    errors.push_back({"has primary key (" + join(table.primary_key, ", ") +
                      ") but the records' key is " + wanted +
                      ": make it the same, or set message.key.columns on the connector; a unique "
                      "index on " +
                      wanted + " will do, too, if all its columns are NOT NULL"});
  }
}

void check_synced_at(const TargetTable& table, const std::string& synced_at, PlanErrors& errors) {
  if (synced_at.empty() || table.find(synced_at) != nullptr) return;
  errors.push_back({"has no column " + quote_name(synced_at) +
                    ": set synced_at: \"\" in the pipeline's sink, or add it (timestamptz)"});
}

/// The target would refuse every row: nothing gives these columns a value.
void check_filled(const TargetTable& table, const Columns& given, PlanErrors& errors) {
  for (const auto& column : table.columns) {
    if (!column.wants_value || given.contain(column.name)) continue;
    errors.push_back({"has column " + quote_name(column.name) + " (" + column.type +
                      "), NOT NULL without a default, which the source does not send: give it a "
                      "default, or drop NOT NULL"});
  }
}

/// Equal values of such a type can have texts that differ.
bool is_loose(const Column& source, const TargetColumn& target) {
  return target.has_loose_text || target.is_array || target.kind == 'c' || target.kind == 'r' ||
         target.kind == 'm' || is_one_of(target.base_type, {"citext", "interval", "jsonb"}) ||
         ((source.type == ValueType::untyped || source.type == ValueType::text) &&
          is_one_of(target.base_type, {"numeric", "float4", "float8"}));
}

/// Equal values whose texts differ are of one row: then its key is written, too.
bool can_look_different(const TargetTable& table, const TargetColumn& column, const Layout& key) {
  return is_one_of(column.base_type, {"numeric", "float4", "float8"}) || has_loose_keys(table, key);
}

bool is_in(const Layout& key, const std::string& column) {
  return std::any_of(key.columns.begin(), key.columns.end(),
                     [&](const Column& c) { return c.name == column; });
}

std::string insert(const TargetTable& table, const Columns& columns, const Parameters& parameters) {
  const bool overriding = std::any_of(columns.targets.begin(), columns.targets.end(),
                                      [](const auto* column) { return column->identity_always; });
  return "INSERT INTO " + quoted_name(table.name) + " (" + join(columns.names, ", ") + ")" +
         (overriding ? " OVERRIDING SYSTEM VALUE" : "") + " SELECT " +
         join(columns.expressions, ", ") + " FROM " + parameters.unnest();
}

/// "v" = u.c2, but for a key that stays as it is. An identity that is GENERATED ALWAYS takes no
/// value in an UPDATE.
std::vector<std::string> assignments(const TargetTable& table, const Columns& columns,
                                     const Layout& key, bool key_stays, PlanErrors& errors) {
  std::vector<std::string> list;
  for (std::size_t i = 0; i < columns.targets.size(); ++i) {
    const TargetColumn& column = *columns.targets[i];
    if (key_stays && is_in(key, column.name) && !can_look_different(table, column, key)) continue;
    if (column.identity_always) {
      errors.push_back({"has identity column " + columns.names[i] +
                        ", which can't be given another value: ALTER TABLE " +
                        quoted_name(table.name) + " ALTER " + columns.names[i] +
                        " SET GENERATED BY DEFAULT"});
    }
    list.push_back(columns.names[i] + " = " + columns.expressions[i]);
  }
  return list;
}

/// UPDATE wants something to set: what does not matter.
std::string nothing_to_set(const TargetTable& table, const Layout& row) {
  for (const auto& column : row.columns) {
    const auto* const target = table.find(column.name);
    if (target == nullptr || target->generated || target->identity_always) continue;
    return quote_name(column.name) + " = t." + quote_name(column.name);
  }
  return "";
}

}  // namespace

bool can_take(const Column& source, const TargetColumn& target) {
  return conversion(source, target).has_value();
}

bool has_loose_keys(const TargetTable& table, const Layout& key) {
  return std::any_of(key.columns.begin(), key.columns.end(), [&](const Column& source) {
    const auto* const target = table.find(source.name);
    return target != nullptr && is_loose(source, *target);
  });
}

PlanErrors check_table(const TargetTable& table, const Layout* key, const std::string& synced_at) {
  PlanErrors errors;
  if (key != nullptr) {
    check_key(table, *key, errors);
  } else if (table.primary_key.empty()) {
    errors.push_back({"has no primary key: add one on the source's key"});
  }
  check_synced_at(table, synced_at, errors);
  return errors;
}

Result<StatementPlan, PlanErrors> plan_upsert(const TargetTable& table, const Layout& row,
                                              const Layout& key, const std::string& synced_at,
                                              Wire wire) {
  auto errors = check_table(table, &key, synced_at);
  Parameters parameters;
  auto columns = plan_columns(table, row, From::row, wire, parameters, errors);
  add_synced_at(table, synced_at, columns);
  check_filled(table, columns, errors);
  if (!errors.empty()) return errors;

  std::vector<std::string> updates;
  for (const auto& column : table.columns) {
    if (!columns.contain(column.name)) continue;
    if (is_in(key, column.name) && !can_look_different(table, column, key)) continue;
    const std::string name = quote_name(column.name);
    updates.push_back(name + " = excluded." + name);
  }
  std::vector<std::string> arbiter;
  for (const auto& column : key.columns) arbiter.push_back(quote_name(column.name));
  std::string sql =
      insert(table, columns, parameters) + " ON CONFLICT (" + join(arbiter, ", ") + ") DO ";
  sql += updates.empty() ? "NOTHING" : "UPDATE SET " + join(updates, ", ");
  return StatementPlan{std::move(sql), std::move(parameters.plans), false};
}

Result<StatementPlan, PlanErrors> plan_remove(const TargetTable& table, const Layout& key,
                                              Wire wire) {
  auto errors = check_table(table, &key, "");
  Parameters parameters;
  const auto columns = plan_columns(table, key, From::key, wire, parameters, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"DELETE FROM " + quoted_name(table.name) + " AS t USING " +
                           parameters.unnest() + " WHERE " + columns.are_equal("t"),
                       std::move(parameters.plans), false};
}

Result<StatementPlan, PlanErrors> plan_update(const TargetTable& table, const SentRow& row,
                                              const Layout& key, From where,
                                              const std::string& synced_at, Wire wire) {
  auto errors = check_table(table, &key, synced_at);
  Parameters parameters;
  auto columns = plan_columns(table, row, From::row, wire, parameters, errors);
  const auto by_key = plan_columns(table, key, where, wire, parameters, errors);
  add_synced_at(table, synced_at, columns);
  const auto set = assignments(table, columns, key, where == From::key, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"UPDATE " + quoted_name(table.name) + " AS t SET " +
                           (set.empty() ? nothing_to_set(table, row.layout) : join(set, ", ")) +
                           " FROM " + parameters.unnest(true) + " WHERE " + by_key.are_equal("t") +
                           " RETURNING u.n",
                       std::move(parameters.plans), false};
}

Result<StatementPlan, PlanErrors> plan_rotation(const TargetTable& table, const SentRow& row,
                                                const Layout& key, const std::string& synced_at,
                                                Wire wire) {
  auto errors = check_table(table, &key, synced_at);
  Parameters parameters;
  auto columns = plan_columns(table, row.layout, From::row, wire, parameters, errors);
  for (std::size_t i = 0; i < columns.targets.size(); ++i) {
    const ParameterPlan value = parameters.plans[i];
    if (row.unchanged.empty() || !row.unchanged[value.cell]) continue;
    parameters.plans[i].may_be_unchanged = true;
    const std::string is_sent =
        parameters.add({value.cell, Element::text, false, value.column, From::sent});
    columns.expressions[i] = "CASE WHEN " + is_sent + "::pg_catalog.bool THEN " +
                             columns.expressions[i] + " ELSE o." + columns.names[i] + " END";
  }
  const auto old_key = plan_columns(table, key, From::old_key, wire, parameters, errors);
  const auto new_key = plan_columns(table, key, From::key, wire, parameters, errors);
  add_synced_at(table, synced_at, columns);
  for (const auto& column : table.columns) {
    if (column.generated || is_in(key, column.name) || columns.contain(column.name)) continue;
    columns.add(&column, quote_name(column.name), "o." + quote_name(column.name));
  }
  const auto set = assignments(table, columns, key, true, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"UPDATE " + quoted_name(table.name) + " AS t SET " +
                           (set.empty() ? nothing_to_set(table, row.layout) : join(set, ", ")) +
                           " FROM " + parameters.unnest(true) + " JOIN " + quoted_name(table.name) +
                           " AS o ON " + old_key.are_equal("o") + " WHERE " +
                           new_key.are_equal("t") + " RETURNING u.n",
                       std::move(parameters.plans), true};
}

Result<StatementPlan, PlanErrors> plan_find(const TargetTable& table, const Layout& key,
                                            Wire wire) {
  auto errors = check_table(table, &key, "");
  Parameters parameters;
  const auto columns = plan_columns(table, key, From::key, wire, parameters, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"SELECT u.n FROM " + parameters.unnest(true) + " JOIN " +
                           quoted_name(table.name) + " AS t ON " + columns.are_equal("t"),
                       std::move(parameters.plans), false};
}

Result<StatementPlan, PlanErrors> plan_insert(const TargetTable& table, const Layout& row,
                                              const std::string& synced_at, Wire wire) {
  PlanErrors errors;
  check_synced_at(table, synced_at, errors);
  Parameters parameters;
  auto columns = plan_columns(table, row, From::row, wire, parameters, errors);
  add_synced_at(table, synced_at, columns);
  check_filled(table, columns, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{insert(table, columns, parameters), std::move(parameters.plans), false};
}

Result<StatementPlan, PlanErrors> plan_remove_equal(const TargetTable& table, const Layout& row,
                                                    Wire wire) {
  PlanErrors errors;
  Parameters parameters;
  const auto columns = plan_columns(table, row, From::key, wire, parameters, errors);
  if (!errors.empty()) return errors;
  const std::string count = parameters.add({0, Element::int8, false, "", From::count});
  // As the column would store it: numeric(10,2) has its own text for 1.5.
  std::vector<std::string> want;
  std::vector<std::string> have;
  for (std::size_t i = 0; i < columns.targets.size(); ++i) {
    want.push_back("(" + columns.expressions[i] + ")::" + columns.targets[i]->type +
                   "::pg_catalog.text");
    have.push_back("t." + columns.names[i] + "::pg_catalog.text");
  }
  const auto as_one = [](const std::vector<std::string>& texts) {
    return "ARRAY[" + join(texts, ", ") + "] COLLATE \"C\"";
  };
  const std::string name = quoted_name(table.name);
  return StatementPlan{
      "WITH want AS MATERIALIZED (SELECT u.n, " + count + " AS many, " + as_one(want) +
          " AS row FROM " + parameters.unnest(true) +
          "), found AS (SELECT t.tableoid AS part, t.ctid AS place, want.n, want.many, "
          "pg_catalog.row_number() OVER (PARTITION BY want.n) AS nth FROM " +
          name + " AS t JOIN want ON " + as_one(have) +
          " OPERATOR(pg_catalog.=) want.row) DELETE FROM " + name +
          " AS t USING found WHERE t.tableoid OPERATOR(pg_catalog.=) found.part AND t.ctid "
          "OPERATOR(pg_catalog.=) found.place AND found.nth OPERATOR(pg_catalog.<=) found.many "
          "RETURNING found.n",
      std::move(parameters.plans), false};
}

}  // namespace lockstep::postgres
