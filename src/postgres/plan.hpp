#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "array.hpp"
#include "fit.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/postgres/catalog.hpp"

namespace lockstep::postgres {

/// How the cells of one source column become one array parameter.
struct ParameterPlan {
  std::size_t cell = 0;  ///< index into the row or key
  Element element = Element::text;
  Fit fit{};           ///< what its values must be like
  std::string column;  ///< for messages
};

/// One statement for any number of rows: an array parameter per column.
struct StatementPlan {
  std::string sql;
  std::vector<ParameterPlan> parameters{};  ///< $1, $2, …
  /// To run before, with the same parameters; empty: nothing. Takes out the rows in which an
  /// identity column is to change: PostgreSQL inserts values into those, but updates them only to
  /// their default.
  std::string before{};
};

/// How parameters are sent. Binary where BinaryArray knows the type's binary form, which spares the
/// target most of the reading; text for rows that hold a value it does not translate (infinity,
/// years BC).
enum class Wire : std::uint8_t { binary, text };

/// Why rows of this form can't be written to this table, and what to do; for the operator. Goes on
/// from the table's name: "has no column …: add it".
struct PlanError {
  std::string message;
};
using PlanErrors = std::vector<PlanError>;  ///< all there are, never empty where they are an error

/// What is wrong with the table whatever the rows are. `key`: of the records, nullptr if not known.
PlanErrors check_table(const TargetTable& table, const Layout* key, const std::string& synced_at);

/// INSERT … SELECT FROM unnest(…) ON CONFLICT (primary key) DO UPDATE: rows become what the cells
/// say, whether they were there or not. Target columns that the source does not have keep their
/// value or take their default; generated ones are left to the target.
/// `synced_at`: column set to now(), the transaction's time; empty: none.
Result<StatementPlan, PlanErrors> plan_upsert(const TargetTable& table, const Layout& row,
                                              const Layout& key, const std::string& synced_at,
                                              Wire wire, const ConnectorModes& modes = {});

/// DELETE … USING unnest(…): by primary key; a key that is not there is no error.
Result<StatementPlan, PlanErrors> plan_remove(const TargetTable& table, const Layout& key,
                                              Wire wire, const ConnectorModes& modes = {});

}  // namespace lockstep::postgres
