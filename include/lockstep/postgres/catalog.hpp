#pragma once

#include <cstdint>
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
  bool not_null = false;
  bool is_domain = false;
  int modifier = -1;                  ///< pg_attribute.atttypmod, or a domain's; −1: none
  bool has_loose_text = false;        ///< its collation takes different texts for equal
  std::vector<std::string> labels{};  ///< of an enum, in its order

  bool is_array() const { return !array_type.empty(); }
};

/// A unique constraint or index over whole columns and all rows.
struct UniqueKey {
  std::string name;
  std::vector<std::string> columns;
  bool deferrable = false;
  bool not_null = true;  ///< all columns are
};

struct TargetTable {
  Relation name;
  std::vector<TargetColumn> columns;     ///< in the table's order
  std::vector<std::string> primary_key;  ///< column names; empty: none
  std::vector<UniqueKey> unique_keys{};  ///< the primary key, too
  std::vector<Relation> references{};    ///< tables that its foreign keys point to, not itself
  bool is_referenced = false;            ///< by another table's foreign key
  bool has_deferrable = false;           ///< a constraint of it, or on it, can be checked at COMMIT

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

/// The one type of the target that a source's type is called like, whatever the case of its letters
/// (Debezium tells upper case): "MOOD", "\"OTHER\".\"MOOD\"". `schema`: preferred. PostgreSQL's own
/// are not looked for. A column without name; its `type` is quoted. nullopt: there is none, or more
/// than one.
std::optional<TargetColumn> find_type(pqxx::transaction_base& tx, const std::string& name,
                                      const std::string& schema);

/// `type`: an enum, as SQL.
bool has_label(pqxx::transaction_base& tx, const std::string& type, const std::string& label);

bool has_rows(pqxx::transaction_base& tx, const Relation& name);
bool has_schema(pqxx::transaction_base& tx, const std::string& name);
/// Whether this session's role may make a table there; where there is no such schema, the schema.
bool may_create_in(pqxx::transaction_base& tx, const std::string& schema);
/// Whether it may alter the table.
bool owns(pqxx::transaction_base& tx, const Relation& name);
struct ForeignKey {
  Relation child;
  Relation parent;
};
/// A foreign key of a table, by its name; nullopt: it has none such.
std::optional<ForeignKey> read_foreign_key(pqxx::transaction_base& tx, const Relation& table,
                                           const std::string& constraint);

/// Which of `rights` ("SELECT", "INSERT" …) this session's role lacks on a table that is there:
/// "INSERT, DELETE"; "": none. All of them where it may not use the table's schema.
std::string lacking_rights(pqxx::transaction_base& tx, const Relation& name,
                           const std::string& rights);

}  // namespace lockstep::postgres
