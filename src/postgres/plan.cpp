#include "plan.hpp"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "conversion.hpp"

namespace lockstep::postgres {

namespace {

bool is_any_type(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Of a column and a value of its type. pg_catalog's own types have theirs there, and a search path
/// with another, say for varchar, must not come between; citext and the like bring their own along.
std::string_view equals(const TargetColumn& column) {
  const bool own = column.kind == 'b' && !column.cast_type.starts_with("pg_catalog.");
  return own ? " = " : " OPERATOR(pg_catalog.=) ";
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

/// A parameter that is no column's value.
ParameterPlan from_elsewhere(std::size_t cell, Element element, std::string column, From from) {
  ParameterPlan plan;
  plan.cell = cell;
  plan.element = element;
  plan.column = std::move(column);
  plan.from = from;
  return plan;
}

/// What an operator reads of a value that does not fit.
std::string misfit(const Fit& fit, const TargetTable& table, const TargetColumn& column) {
  const auto alter = [&](const std::string& type) {
    return ": ALTER TABLE " + quoted_name(table.name) + " ALTER COLUMN " + quote_name(column.name) +
           " TYPE " + type + (column.is_array() ? "[]" : "");
  };
  switch (fit.rule) {
    case Fit::Rule::text:
      return "a schemaless message does not say what its number counts; set "
             "value.converter.schemas.enable=true, or a time.precision.mode with one unit, and say "
             "connector: {time.precision.mode: …} in the pipeline's configuration";
    case Fit::Rule::sure_decimal:
      return "a schemaless text of digits may be a number or base64; set "
             "decimal.handling.mode=string on the connector and say connector: "
             "{decimal.handling.mode: string} in the pipeline's configuration";
    case Fit::Rule::decimals:
      return "a number has more digits after the point than " + column.type + " keeps" +
             alter("numeric");
    case Fit::Rule::multiple:
    case Fit::Rule::second_decimals:
      return "a time has more digits after the second's point than " + column.type + " keeps" +
             alter(column.base_type);
    case Fit::Rule::interval_field:
      return "an interval has more fields than " + column.type + " keeps" + alter("interval");
    case Fit::Rule::day_micros:
      return "a schemaless number of a day or more does not tell months and days from hours; set "
             "interval.handling.mode=string on the connector";
    case Fit::Rule::bytes:
      return column.type + " would cut a text off after " + std::to_string(fit.limit) +
             (fit.limit == 1 ? " byte" : " bytes") + alter("text");
    case Fit::Rule::characters:
      return column.type + " would cut blanks off the end of a text" + alter("text");
    case Fit::Rule::single_precision:
      return "a number has more digits than real keeps" + alter("double precision");
    case Fit::Rule::label:
      return "enum type " + column.cast_type + " lacks a label of the source's: ALTER TYPE " +
             column.cast_type + " ADD VALUE";
  }
  return {};
}

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
  const std::string& expression_of(const std::string& column) const {
    const auto at = std::find_if(targets.begin(), targets.end(), [&](const TargetColumn* target) {
      return target->name == column;
    });
    return expressions[static_cast<std::size_t>(at - targets.begin())];
  }
  /// Those of the key.
  Columns of(const Layout& key) const {
    Columns some;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const auto is_it = [&](const Column& column) { return column.name == targets[i]->name; };
      if (std::any_of(key.columns.begin(), key.columns.end(), is_it)) {
        some.add(targets[i], names[i], expressions[i]);
      }
    }
    return some;
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
                     const ConnectorModes& modes, Parameters& parameters, PlanErrors& errors) {
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
    const std::string operand = "u.c" + std::to_string(parameters.plans.size() + 1);
    auto how = conversion(source, *target, operand, modes);
    if (!how) {
      errors.push_back({"has column " + quote_name(source.name) + " (" + target->type +
                        "), which can't take the source's " + source.described + ": " +
                        advice(source, *target)});
      continue;
    }
    if (wire == Wire::binary) how = in_binary(std::move(*how), source, *target, operand);
    for (auto& fit : how->fits) fit.advice = misfit(fit, table, *target);
    parameters.add({i, how->element, std::move(how->fits), source.name, from});
    columns.add(target, quote_name(source.name), std::move(how->expression));
  }
  return columns;
}

const std::vector<bool> all_are_sent;

Columns plan_columns(const TargetTable& table, const Layout& layout, From from, Wire wire,
                     const ConnectorModes& modes, Parameters& parameters, PlanErrors& errors) {
  return plan_columns(table, {layout, all_are_sent}, from, wire, modes, parameters, errors);
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

/// ALTER TABLE … DROP CONSTRAINT …, ADD PRIMARY KEY (…)
std::string replace_key(const TargetTable& table, const Layout& key) {
  std::string sql = "ALTER TABLE " + quoted_name(table.name);
  for (const auto& unique : table.unique_keys) {
    if (unique.columns != table.primary_key) continue;
    sql += " DROP CONSTRAINT " + quote_name(unique.name) + ",";  // the primary key comes first
    break;
  }
  std::vector<std::string> columns;
  for (const auto& column : key.columns) columns.push_back(quote_name(column.name));
  return sql + " ADD PRIMARY KEY (" + join(columns, ", ") + ")";
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
                      ") but the records' key is " + wanted + ": " + replace_key(table, key) +
                      ", or set message.key.columns on the connector; a unique index on " + wanted +
                      " will do, too, if all its columns are NOT NULL"});
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
  return target.has_loose_text || target.is_array() || target.kind == 'c' || target.kind == 'r' ||
         target.kind == 'm' || is_any_type(target.base_type, {"citext", "interval", "jsonb"}) ||
         ((source.type == ValueType::untyped || source.type == ValueType::text) &&
          is_any_type(target.base_type, {"numeric", "float4", "float8"}));
}

/// Equal values whose texts differ are of one row: then its key is written, too.
bool can_look_different(const TargetTable& table, const TargetColumn& column, const Layout& key) {
  return is_any_type(column.base_type, {"numeric", "float4", "float8"}) ||
         has_loose_keys(table, key);
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

bool can_take(const Column& source, const TargetColumn& target, const ConnectorModes& modes) {
  return conversion(source, target, "v", modes).has_value();
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
                                              Wire wire, const ConnectorModes& modes) {
  auto errors = check_table(table, &key, synced_at);
  Parameters parameters;
  auto columns = plan_columns(table, row, From::row, wire, modes, parameters, errors);
  add_synced_at(table, synced_at, columns);
  check_filled(table, columns, errors);
  if (!errors.empty()) return errors;

  std::vector<std::string> updates;
  std::vector<std::string> identities;  // "id" and the value that it shall have
  for (const auto& column : table.columns) {
    if (!columns.contain(column.name)) continue;
    if (is_in(key, column.name) && !can_look_different(table, column, key)) continue;
    const std::string name = quote_name(column.name);
    if (column.identity_always) {
      identities.push_back("t." + name + " <> " + columns.expression_of(column.name));
    } else {
      updates.push_back(name + " = excluded." + name);
    }
  }
  std::vector<std::string> arbiter;
  for (const auto& column : key.columns) arbiter.push_back(quote_name(column.name));
  std::string sql =
      insert(table, columns, parameters) + " ON CONFLICT (" + join(arbiter, ", ") + ") DO ";
  sql += updates.empty() ? "NOTHING" : "UPDATE SET " + join(updates, ", ");
  StatementPlan plan{.sql = std::move(sql)};
  if (!identities.empty()) {
    plan.before = "DELETE FROM " + quoted_name(table.name) + " AS t USING " + parameters.unnest() +
                  " WHERE " + columns.of(key).are_equal("t") + " AND (" + join(identities, " OR ") +
                  ")";
  }
  plan.parameters = std::move(parameters.plans);
  return plan;
}

Result<StatementPlan, PlanErrors> plan_remove(const TargetTable& table, const Layout& key,
                                              Wire wire, const ConnectorModes& modes) {
  auto errors = check_table(table, &key, "");
  Parameters parameters;
  const auto columns = plan_columns(table, key, From::key, wire, modes, parameters, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"DELETE FROM " + quoted_name(table.name) + " AS t USING " +
                           parameters.unnest() + " WHERE " + columns.are_equal("t"),
                       std::move(parameters.plans)};
}

Result<StatementPlan, PlanErrors> plan_update(const TargetTable& table, const SentRow& row,
                                              const Layout& key, From where,
                                              const std::string& synced_at, Wire wire,
                                              const ConnectorModes& modes) {
  auto errors = check_table(table, &key, synced_at);
  Parameters parameters;
  auto columns = plan_columns(table, row, From::row, wire, modes, parameters, errors);
  const auto by_key = plan_columns(table, key, where, wire, modes, parameters, errors);
  add_synced_at(table, synced_at, columns);
  const auto set = assignments(table, columns, key, where == From::key, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"UPDATE " + quoted_name(table.name) + " AS t SET " +
                           (set.empty() ? nothing_to_set(table, row.layout) : join(set, ", ")) +
                           " FROM " + parameters.unnest(true) + " WHERE " + by_key.are_equal("t") +
                           " RETURNING u.n",
                       std::move(parameters.plans)};
}

Result<StatementPlan, PlanErrors> plan_rotation(const TargetTable& table, const SentRow& row,
                                                const Layout& key, const std::string& synced_at,
                                                Wire wire, const ConnectorModes& modes) {
  auto errors = check_table(table, &key, synced_at);
  Parameters parameters;
  auto columns = plan_columns(table, row.layout, From::row, wire, modes, parameters, errors);
  for (std::size_t i = 0; i < columns.targets.size(); ++i) {
    const ParameterPlan value = parameters.plans[i];
    if (row.unchanged.empty() || !row.unchanged[value.cell]) continue;
    parameters.plans[i].may_be_unchanged = true;
    const std::string is_sent =
        parameters.add(from_elsewhere(value.cell, Element::text, value.column, From::sent));
    columns.expressions[i] = "CASE WHEN " + is_sent + "::pg_catalog.bool THEN " +
                             columns.expressions[i] + " ELSE o." + columns.names[i] + " END";
  }
  const auto old_key = plan_columns(table, key, From::old_key, wire, modes, parameters, errors);
  const auto new_key = plan_columns(table, key, From::key, wire, modes, parameters, errors);
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
                       std::move(parameters.plans),
                       {},
                       true};
}

Result<StatementPlan, PlanErrors> plan_find(const TargetTable& table, const Layout& key, Wire wire,
                                            const ConnectorModes& modes) {
  auto errors = check_table(table, &key, "");
  Parameters parameters;
  const auto columns = plan_columns(table, key, From::key, wire, modes, parameters, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{"SELECT u.n FROM " + parameters.unnest(true) + " JOIN " +
                           quoted_name(table.name) + " AS t ON " + columns.are_equal("t"),
                       std::move(parameters.plans)};
}

Result<StatementPlan, PlanErrors> plan_insert(const TargetTable& table, const Layout& row,
                                              const std::string& synced_at, Wire wire,
                                              const ConnectorModes& modes) {
  PlanErrors errors;
  check_synced_at(table, synced_at, errors);
  Parameters parameters;
  auto columns = plan_columns(table, row, From::row, wire, modes, parameters, errors);
  add_synced_at(table, synced_at, columns);
  check_filled(table, columns, errors);
  if (!errors.empty()) return errors;
  return StatementPlan{insert(table, columns, parameters), std::move(parameters.plans)};
}

Result<StatementPlan, PlanErrors> plan_remove_equal(const TargetTable& table, const Layout& row,
                                                    Wire wire, const ConnectorModes& modes) {
  PlanErrors errors;
  Parameters parameters;
  const auto columns = plan_columns(table, row, From::key, wire, modes, parameters, errors);
  if (!errors.empty()) return errors;
  const std::string count = parameters.add(from_elsewhere(0, Element::int8, "", From::count));
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
      std::move(parameters.plans)};
}

}  // namespace lockstep::postgres
