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

/// Where a parameter's values stand in a change.
enum class From : std::uint8_t {
  row,
  key,
  old_key,  ///< Change::other_key
  sent,     ///< whether the row's value is
  count     ///< RowGroup::counts
};

/// How the cells of one source column become one array parameter.
struct ParameterPlan {
  std::size_t cell = 0;  ///< index into the row or key
  Element element = Element::text;
  std::vector<Fit> fits{};  ///< what its values must be like
  std::string column;       ///< for messages
  From from = From::row;
  bool may_be_unchanged = false;  ///< then what is sent does not matter
};

/// One statement for any number of rows: an array parameter per column.
struct StatementPlan {
  std::string sql;
  std::vector<ParameterPlan> parameters{};  ///< $1, $2, …
  /// To run before, with the same parameters; empty: nothing. Takes out the rows in which an
  /// identity column is to change: PostgreSQL inserts values into those, but updates them only to
  /// their default.
  std::string before{};
  bool takes_all = false;  ///< its rows can't be split into several statements
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

/// Whether cells of the source column can be written to the target column.
bool can_take(const Column& source, const TargetColumn& target, const ConnectorModes& modes);

/// What is wrong with the table whatever the rows are. `key`: of the records, nullptr if not known.
PlanErrors check_table(const TargetTable& table, const Layout* key, const std::string& synced_at);

/// Whether two keys of this form can be equal at the target although their texts differ.
bool has_loose_keys(const TargetTable& table, const Layout& key);

/// INSERT … SELECT FROM unnest(…) ON CONFLICT (key) DO UPDATE: rows become what the cells
/// say, whether they were there or not. Target columns that the source does not have keep their
/// value or take their default; generated ones are left to the target.
/// `synced_at`: column set to now(), the transaction's time; empty: none.
Result<StatementPlan, PlanErrors> plan_upsert(const TargetTable& table, const Layout& row,
                                              const Layout& key, const std::string& synced_at,
                                              Wire wire, const ConnectorModes& modes = {});

/// DELETE … USING unnest(…): by key; a key that is not there is no error.
Result<StatementPlan, PlanErrors> plan_remove(const TargetTable& table, const Layout& key,
                                              Wire wire, const ConnectorModes& modes = {});

/// The rows' columns but for those that were not sent.
struct SentRow {
  const Layout& layout;
  const std::vector<bool>& unchanged;  ///< empty: all are sent
};

// The statements below return the number, from 1 on, of each row of the parameters that they found.

/// UPDATE … FROM unnest(…): rows that are there become what the cells say. `where`: key, or old_key
/// for rows that get another key.
Result<StatementPlan, PlanErrors> plan_update(const TargetTable& table, const SentRow& row,
                                              const Layout& key, From where,
                                              const std::string& synced_at, Wire wire,
                                              const ConnectorModes& modes = {});

/// The same for rows that pass their keys round: as no key is ever free, it is all the rest that
/// moves. Of the columns that are `unchanged` some rows send theirs.
Result<StatementPlan, PlanErrors> plan_rotation(const TargetTable& table, const SentRow& row,
                                                const Layout& key, const std::string& synced_at,
                                                Wire wire, const ConnectorModes& modes = {});

/// SELECT: whether keys are there.
Result<StatementPlan, PlanErrors> plan_find(const TargetTable& table, const Layout& key, Wire wire,
                                            const ConnectorModes& modes = {});

/// INSERT, for tables without a key.
Result<StatementPlan, PlanErrors> plan_insert(const TargetTable& table, const Layout& row,
                                              const std::string& synced_at, Wire wire,
                                              const ConnectorModes& modes = {});

/// DELETE of as many rows with all these values as there are to be less, in one scan of the table.
/// Values are compared by their text, and NULL equals NULL.
Result<StatementPlan, PlanErrors> plan_remove_equal(const TargetTable& table, const Layout& row,
                                                    Wire wire, const ConnectorModes& modes = {});

}  // namespace lockstep::postgres
