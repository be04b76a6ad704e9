#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/model/change.hpp"
#include "lockstep/model/tables.hpp"

namespace lockstep::postgres {

/// The columns of a source's row or key that are written, under their names at the target.
struct MappedLayout {
  Layout layout;
  std::vector<std::size_t> cells;  ///< which of the row's, by column of `layout`
};

/// Where a source's tables and columns go. Pure.
class Mapping {
 public:
  /// `schema`: for tables whose rule names none; empty: the source's own.
  Mapping(std::string schema, std::vector<TableRule> rules)
      : schema_{std::move(schema)}, rules_{std::move(rules)} {}

  /// The first rule that matches; nullptr: none does.
  const TableRule* rule_of(const Relation& source) const;
  Relation target_of(const Relation& source) const;

  /// A column's name at the target.
  std::string name_of(const Relation& source, const std::string& column) const;
  MappedLayout columns_of(const Relation& source, const Layout& layout) const;

  /// Why a table's rows can't go where its rule sends them, and what to do; goes on from the target
  /// table's name. `key`: nullptr if there is none or it is not known.
  std::vector<std::string> problems(const Relation& source, const Layout& row, const Layout* key,
                                    const std::string& synced_at) const;
  /// Columns that a rule for this one table names and its rows don't have.
  std::vector<std::string> unknown_columns(const Relation& source, const Layout& row) const;

 private:
  std::string schema_;
  std::vector<TableRule> rules_;
};

/// `text` with * for any characters and ? for one. `star`, if not null, takes what the first *
/// stands for.
bool matches(std::string_view pattern, std::string_view text, std::string* star = nullptr);

}  // namespace lockstep::postgres
