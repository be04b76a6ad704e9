#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ddl.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "plan.hpp"

/// What has to be altered so that a target table takes rows of a layout. Pure.
namespace lockstep::postgres {

/// Names of columns, in their order.
using ColumnNames = std::vector<std::string>;
ColumnNames column_names(const Layout& layout);

/// What is known when rows with new columns come.
struct Evolving {
  const TargetTable& table;
  const Layout& row;                     ///< under the target's names
  const std::vector<ColumnType>& types;  ///< of the row's columns
  /// The columns of the rows before, whatever else the table has; nullopt: not known.
  const std::optional<ColumnNames>& before;
  bool has_rows = false;  ///< the table
  /// Who does not own the table can't alter it, and goes on with it as long as its rows fit.
  bool is_owned = true;
  const std::string& synced_at;
  const ConnectorModes& modes;
};

struct Evolution {
  std::vector<std::string> statements;  ///< in this order; empty: the table fits
  std::vector<std::string> warnings;    ///< what the rows that are there will lack
  PlanErrors errors;                    ///< what has to be decided by the operator
};

Evolution evolve(const Evolving& evolving);

/// A column that has another name than before.
struct Rename {
  std::string from;
  std::string to;
  bool operator==(const Rename&) const = default;
};

/// What became of columns whose names the table lacks.
struct NewColumns {
  std::vector<Rename> renamed;
  ColumnNames added;
  ColumnNames unclear;  ///< may be either: `gone` may be their old names
  ColumnNames gone;
};

/// ADD COLUMN puts a column behind all others, and a renamed one keeps its place: so a new name in
/// front of a known one is a renamed column. At the end it can be either, if a column that stood
/// there is gone. `table`: without columns that are only the target's, where `before` tells them.
NewColumns explain_new_columns(const ColumnNames& table, const std::optional<ColumnNames>& before,
                               const ColumnNames& row);

/// What the rows that are there get for a new column.
enum class DefaultTrust : std::uint8_t {
  value,    ///< Debezium tells a constant
  perhaps,  ///< it tells what it also sends in place of a function's result
  none,     ///< it tells nothing, or what hardly anybody has as a constant
};
DefaultTrust trust_of_default(const Column& column);

}  // namespace lockstep::postgres
