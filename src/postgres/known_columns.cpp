#include "known_columns.hpp"

namespace lockstep::postgres {

namespace {

// As in docs/operation.md, "Rights on the target".
constexpr auto create_columns =
    "CREATE TABLE IF NOT EXISTS lockstep.columns ("
    " pipeline text, target_schema text, target_table text,"
    " columns text[] NOT NULL,"
    " PRIMARY KEY (pipeline, target_schema, target_table));"
    "COMMENT ON TABLE lockstep.columns IS "
    "'The columns of the newest rows: what tells a renamed column from a new one'";

constexpr auto read_columns =
    "SELECT pg_catalog.unnest(columns) FROM lockstep.columns "
    "WHERE pipeline = $1 AND target_schema = $2 AND target_table = $3";
constexpr auto write_columns =
    "INSERT INTO lockstep.columns VALUES ($1, $2, $3, $4::text[]) "
    "ON CONFLICT (pipeline, target_schema, target_table) DO UPDATE SET columns = excluded.columns";

/// Whether the session's role may read and write the table.
bool is_usable(pqxx::transaction_base& tx) {
  return tx
      .exec(
          "SELECT coalesce((SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND "
          "pg_catalog.has_table_privilege(c.oid, 'SELECT') AND "
          "pg_catalog.has_table_privilege(c.oid, 'INSERT') AND "
          "pg_catalog.has_table_privilege(c.oid, 'UPDATE') "
          "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
          "WHERE n.nspname = 'lockstep' AND c.relname = 'columns'), false)")[0][0]
      .as<bool>();
}

bool may_create(pqxx::transaction_base& tx) {
  return tx
      .exec(
          "SELECT coalesce(bool_or(pg_catalog.has_schema_privilege(oid, 'CREATE') AND NOT EXISTS "
          "(SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = 'columns')), "
          "false) FROM pg_catalog.pg_namespace n WHERE nspname = 'lockstep'")[0][0]
      .as<bool>();
}

std::optional<ColumnNames> read_rows(pqxx::transaction_base& tx, const std::string& pipeline,
                                     const Relation& target) {
  ColumnNames names;
  for (const auto& row : query(tx, read_columns, pipeline, target.schema, target.table)) {
    names.emplace_back(row[0].c_str());
  }
  if (names.empty()) return std::nullopt;
  return names;
}

/// An array's text form.
std::string array_of(const ColumnNames& names) {
  std::string array = "{";
  for (const auto& name : names) {
    array += array.size() > 1 ? ",\"" : "\"";
    for (const char c : name) {
      if (c == '"' || c == '\\') array += '\\';
      array += c;
    }
    array += '"';
  }
  return array + "}";
}

}  // namespace

KnownColumns::KnownColumns(Session& session, std::string pipeline)
    : pipeline_{std::move(pipeline)} {
  pqxx::work tx{session.connection()};
  if (may_create(tx)) {
    lock_name(tx, "lockstep.columns");
    tx.exec(create_columns);
  }
  available_ = is_usable(tx);
  tx.commit();
}

std::optional<ColumnNames> KnownColumns::read(pqxx::transaction_base& tx,
                                              const Relation& target) const {
  if (!available_) return std::nullopt;
  return read_rows(tx, pipeline_, target);
}

void KnownColumns::write(pqxx::transaction_base& tx, const Relation& target,
                         const ColumnNames& columns) const {
  if (!available_) return;
  query(tx, write_columns, pipeline_, target.schema, target.table, array_of(columns));
}

std::optional<ColumnNames> read_known_columns(pqxx::transaction_base& tx,
                                              const std::string& pipeline, const Relation& target) {
  if (!is_usable(tx)) return std::nullopt;
  return read_rows(tx, pipeline, target);
}

void lock_name(pqxx::transaction_base& tx, const std::string& name) {
  // Apart from the locks of others: "lockstep" as a number.
  query(tx,
        "SELECT pg_catalog.pg_advisory_xact_lock("
        "pg_catalog.hashtextextended($1, 7813573191660758384))",
        name);
}

}  // namespace lockstep::postgres
