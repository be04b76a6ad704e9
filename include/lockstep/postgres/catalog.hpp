#pragma once

#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "lockstep/model/change.hpp"

namespace lockstep::postgres {

/// A column of a target table, as the target's catalog says.
struct TargetColumn {
  std::string name;
  std::string type;  ///< as people write it: "numeric(10,2)", "mood", "posint"
  /// pg_type.typname, behind any domains: "numeric", "mood", "int4"; of an array its elements'.
  std::string base_type;
  std::string cast_type;         ///< the base type, schema-qualified and quoted, without length
  char kind = 'b';               ///< pg_type.typtype of the base type: b, c, e, r, m
  std::string array_type{};      ///< the array, as cast_type; empty: none
  bool generated = false;        ///< GENERATED ALWAYS AS (…) STORED: can't be written
  bool identity_always = false;  ///< GENERATED ALWAYS AS IDENTITY: written with OVERRIDING
  bool wants_value = false;      ///< NOT NULL, and neither a default nor a trigger gives a value
  int modifier = -1;             ///< pg_attribute.atttypmod, or a domain's; −1: none

  bool is_array() const { return !array_type.empty(); }
};

struct TargetTable {
  Relation name;
  std::vector<TargetColumn> columns;     ///< in the table's order
  std::vector<std::string> primary_key;  ///< column names; empty: none

  const TargetColumn* find(const std::string& column) const {
    for (const auto& c : columns) {
      if (c.name == column) return &c;
    }
    return nullptr;
  }
};

/// "\"a b\"" for a b; doubles quotes within.
std::string quote_name(const std::string& name);
/// "schema"."table"
std::string quoted_name(const Relation& table);

/// The table as it is now; nullopt if there is none of that name. Throws pqxx's exceptions.
std::optional<TargetTable> read_table(pqxx::transaction_base& tx, const Relation& name);

/// Which of `rights` ("SELECT", "INSERT" …) this session's role lacks on a table that is there:
/// "INSERT, DELETE"; "": none. All of them where it may not use the table's schema.
std::string lacking_rights(pqxx::transaction_base& tx, const Relation& name,
                           const std::string& rights);

}  // namespace lockstep::postgres
