#include "lockstep/postgres/catalog.hpp"

#include "lockstep/postgres/session.hpp"

namespace lockstep::postgres {

namespace {

// pg_type: a domain (typtype d) stands on typbasetype, which can be a domain again; an array has
// elements (typelem), whose type can be a domain, too. pg_attribute: attgenerated s is stored,
// attidentity a is ALWAYS. pg_trigger: tgtype has 1 for each row, 2 before, 4 insert; such a
// trigger may fill a column. PostgreSQL documentation, System Catalogs.
constexpr auto columns_query = R"(
WITH RECURSIVE base(attnum, oid, modifier, array_oid, is_last) AS (
    SELECT a.attnum, t.oid, a.atttypmod, NULL::oid,
           t.typtype <> 'd' AND NOT (t.typelem <> 0 AND t.typlen = -1)
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT base.attnum, next.oid,
           CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE base.modifier END,
           CASE t.typtype WHEN 'd' THEN base.array_oid ELSE t.oid END,
           next.typtype <> 'd' AND NOT (next.typelem <> 0 AND next.typlen = -1)
      FROM base
      JOIN pg_catalog.pg_type t ON t.oid = base.oid
      JOIN pg_catalog.pg_type next
        ON next.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END
     WHERE NOT base.is_last)
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typname,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
       t.typtype,
       coalesce(pg_catalog.quote_ident(wn.nspname) || '.' || pg_catalog.quote_ident(w.typname), ''),
       a.attgenerated <> '', a.attidentity = 'a',
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_trigger g
            WHERE g.tgrelid = a.attrelid AND g.tgenabled IN ('O', 'A') AND g.tgtype & 7 = 7),
       base.modifier
  FROM base
  JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::oid AND a.attnum = base.attnum
  JOIN pg_catalog.pg_type t ON t.oid = base.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_type w ON w.oid = base.array_oid
  LEFT JOIN pg_catalog.pg_namespace wn ON wn.oid = w.typnamespace
 WHERE base.is_last
 ORDER BY a.attnum)";

constexpr auto table_query = R"(
SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p'))";

constexpr auto primary_key_query = R"(
SELECT a.attname
  FROM pg_catalog.pg_index i
  CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::oid AND i.indisprimary
 ORDER BY k.position)";

}  // namespace

std::string quote_name(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string quoted_name(const Relation& table) {
  return quote_name(table.schema) + "." + quote_name(table.table);
}

std::optional<TargetTable> read_table(pqxx::transaction_base& tx, const Relation& name) {
  const auto found = query(tx, table_query, name.schema, name.table);
  if (found.empty()) return std::nullopt;
  const auto oid = found[0][0].as<std::string>();

  TargetTable table{name, {}, {}};
  for (const auto& row : query(tx, columns_query, oid)) {
    table.columns.push_back(
        {row[0].as<std::string>(), row[1].as<std::string>(), row[2].as<std::string>(),
         row[3].as<std::string>(), row[4].as<std::string>().at(0), row[5].as<std::string>(),
         row[6].as<bool>(), row[7].as<bool>(), row[8].as<bool>(), row[9].as<int>()});
  }
  for (const auto& row : query(tx, primary_key_query, oid)) {
    table.primary_key.push_back(row[0].as<std::string>());
  }
  return table;
}

std::string lacking_rights(pqxx::transaction_base& tx, const Relation& name,
                           const std::string& rights) {
  const auto lacking = query(
      tx,
      "SELECT coalesce(pg_catalog.string_agg(p, ', '), '') "
      "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, "
      "pg_catalog.regexp_split_to_table($3, ', ') p WHERE n.nspname = $1 AND c.relname = $2 AND "
      "NOT "
      "(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND "
      "pg_catalog.has_table_privilege(c.oid, p))",
      name.schema, name.table, rights);
  return lacking[0][0].c_str();
}

}  // namespace lockstep::postgres
