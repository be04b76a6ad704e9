#include "plan.hpp"

#include <algorithm>
#include <string_view>

#include "conversion.hpp"

namespace lockstep::postgres {

namespace {

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

/// What an operator reads of a value that does not fit.
std::string misfit(const Fit& fit, const TargetTable& table, const TargetColumn& column) {
  const auto alter = [&](const std::string& type) {
    return ": ALTER TABLE " + quoted_name(table.name) + " ALTER COLUMN " + quote_name(column.name) +
           " TYPE " + type + (column.is_array() ? "[]" : "");
  };
  switch (fit.rule) {
    case Fit::Rule::any:
      return {};
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
    case Fit::Rule::characters:
      return column.type + " would cut blanks off the end of a text" + alter("text");
    case Fit::Rule::single_precision:
      return "a number has more digits than real keeps" + alter("double precision");
  }
  return {};
}

/// What does not fit goes into `errors`.
Parameters plan_parameters(const TargetTable& table, const Layout& layout, Wire wire,
                           const ConnectorModes& modes, PlanErrors& errors) {
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
    const std::string operand = "u.c" + std::to_string(parameters.plans.size() + 1);
    auto how = conversion(source, *target, operand, modes);
    if (!how) {
      errors.push_back({"has column " + quote_name(source.name) + " (" + target->type +
                        "), which can't take the source's " + source.described + ": " +
                        advice(source, *target)});
      continue;
    }
    if (wire == Wire::binary) how = in_binary(std::move(*how), source, *target, operand);
    how->fit.advice = misfit(how->fit, table, *target);
    parameters.plans.push_back({i, how->element, std::move(how->fit), source.name});
    parameters.columns.push_back(quote_name(source.name));
    parameters.expressions.push_back(std::move(how->expression));
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
                                              Wire wire, const ConnectorModes& modes) {
  auto errors = check_table(table, &key, synced_at);
  auto parameters = plan_parameters(table, row, wire, modes, errors);
  if (!synced_at.empty()) {
    parameters.columns.push_back(quote_name(synced_at));
    parameters.expressions.emplace_back("pg_catalog.now()");
  }
  check_filled(table, parameters.columns, errors);
  if (!errors.empty()) return errors;
  bool overriding = false;
  std::vector<std::string> updates;
  std::vector<std::string> identities;  // "id" and the value that it shall have
  for (const auto& column : table.columns) {
    const std::string name = quote_name(column.name);
    const auto& columns = parameters.columns;
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found == columns.end()) continue;
    overriding = overriding || column.identity_always;
    const auto& pk = table.primary_key;
    if (std::find(pk.begin(), pk.end(), column.name) != pk.end()) continue;
    if (column.identity_always) {
      const auto at = static_cast<std::size_t>(found - columns.begin());
      identities.push_back("t." + name + " <> " + parameters.expressions[at]);
    } else {
      updates.push_back(name + " = excluded." + name);
    }
  }
  std::string sql = "INSERT INTO " + quoted_name(table.name) + " (" +
                    join(parameters.columns, ", ") + ")" +
                    (overriding ? " OVERRIDING SYSTEM VALUE" : "") + " SELECT " +
                    join(parameters.expressions, ", ") + " FROM " + parameters.unnest() +
                    " ON CONFLICT (" + join(quoted(table.primary_key), ", ") + ") DO ";
  sql += updates.empty() ? "NOTHING" : "UPDATE SET " + join(updates, ", ");
  StatementPlan plan{.sql = std::move(sql)};
  if (!identities.empty()) {
    std::vector<std::string> of_key;
    for (std::size_t i = 0; i < parameters.conditions.size(); ++i) {
      const auto is_of_key = [&](const std::string& column) {
        return quote_name(column) == parameters.columns[i];
      };
      const auto& pk = table.primary_key;
      if (std::any_of(pk.begin(), pk.end(), is_of_key)) of_key.push_back(parameters.conditions[i]);
    }
    plan.before = "DELETE FROM " + quoted_name(table.name) + " AS t USING " + parameters.unnest() +
                  " WHERE " + join(of_key, " AND ") + " AND (" + join(identities, " OR ") + ")";
  }
  plan.parameters = std::move(parameters.plans);
  return plan;
}

Result<StatementPlan, PlanErrors> plan_remove(const TargetTable& table, const Layout& key,
                                              Wire wire, const ConnectorModes& modes) {
  auto errors = check_table(table, &key, "");
  auto parameters = plan_parameters(table, key, wire, modes, errors);
  if (!errors.empty()) return errors;

  return StatementPlan{"DELETE FROM " + quoted_name(table.name) + " AS t USING " +
                           parameters.unnest() + " WHERE " + join(parameters.conditions, " AND "),
                       std::move(parameters.plans)};
}

}  // namespace lockstep::postgres
