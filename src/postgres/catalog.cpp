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
       a.attnotnull,
       EXISTS (SELECT FROM pg_catalog.pg_type d WHERE d.oid = a.atttypid AND d.typtype = 'd'),
       base.modifier,
       EXISTS (SELECT FROM pg_catalog.pg_collation l
                WHERE l.oid = a.attcollation AND NOT l.collisdeterministic)
  FROM base
  JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::oid AND a.attnum = base.attnum
  JOIN pg_catalog.pg_type t ON t.oid = base.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_type w ON w.oid = base.array_oid
  LEFT JOIN pg_catalog.pg_namespace wn ON wn.oid = w.typnamespace
 WHERE base.is_last
 ORDER BY a.attnum)";

constexpr auto labels_query = R"(
SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = $1::pg_catalog.regtype
 ORDER BY enumsortorder)";

constexpr auto table_query = R"(
SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p'))";

// Behind indnkeyatts come the columns that an index only includes.
constexpr auto unique_keys_query = R"(
SELECT c.relname, k.position = 1, i.indisprimary, NOT i.indimmediate, a.attnotnull, a.attname
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k(attnum, position)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
   AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
 ORDER BY i.indisprimary DESC, i.indexrelid, k.position)";

// A partition's foreign keys are those of its parent.
constexpr auto foreign_keys_query = R"(
SELECT f.conrelid = $1::oid, n.nspname, c.relname, f.conrelid = f.confrelid
  FROM pg_catalog.pg_constraint f
  JOIN pg_catalog.pg_class c ON c.oid = f.confrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE f.contype = 'f' AND (f.conrelid = $1::oid OR f.confrelid = $1::oid))";

constexpr auto deferrable_query = R"(
SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint
                WHERE condeferrable AND (conrelid = $1::oid OR confrelid = $1::oid)))";

// The nearest by schema and search path first, with how near it is.
constexpr auto type_query = R"(
WITH RECURSIVE named AS (
    SELECT t.oid, n.nspname, t.typname, t.typtype, t.typbasetype,
           CASE WHEN n.nspname = $3 THEN 0 WHEN pg_catalog.pg_type_is_visible(t.oid) THEN 1 ELSE 2 END AS far
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
     WHERE pg_catalog.upper(t.typname) = pg_catalog.upper($2)
       AND ($1 = '' OR pg_catalog.upper(n.nspname) = pg_catalog.upper($1))
       AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
       AND t.typtype <> 'p' AND (c.relkind IS NULL OR c.relkind = 'c')),
  base AS (
    SELECT oid AS named, oid, typtype, typbasetype FROM named
    UNION ALL
    SELECT base.named, t.oid, t.typtype, t.typbasetype
      FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd')
SELECT pg_catalog.quote_ident(named.nspname) || '.' || pg_catalog.quote_ident(named.typname),
       t.typname,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
       t.typtype, t.typelem <> 0 AND t.typlen = -1, named.typtype = 'd', named.far
  FROM named JOIN base ON base.named = named.oid AND base.typtype <> 'd'
  JOIN pg_catalog.pg_type t ON t.oid = base.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 ORDER BY named.far)";

/// "\"OTHER\".\"MOOD\"" is schema OTHER and type MOOD; anything else is a type.
Relation split_type(const std::string& name) {
  const auto between = name.find("\".\"");
  if (between == std::string::npos || name.front() != '"' || name.back() != '"') return {"", name};
  return {name.substr(1, between - 1), name.substr(between + 3, name.size() - between - 4)};
}

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

  TargetTable table;
  table.name = name;
  for (const auto& row : query(tx, columns_query, oid)) {
    table.columns.push_back(
        {row[0].as<std::string>(), row[1].as<std::string>(), row[2].as<std::string>(),
         row[3].as<std::string>(), row[4].as<std::string>().at(0), row[5].as<std::string>(),
         row[6].as<bool>(), row[7].as<bool>(), row[8].as<bool>(), row[9].as<bool>(),
         row[10].as<bool>(), row[11].as<int>(), row[12].as<bool>()});
    TargetColumn& column = table.columns.back();
    if (column.kind != 'e') continue;
    for (const auto& label : query(tx, labels_query, column.cast_type)) {
      column.labels.emplace_back(label[0].c_str());
    }
  }
  for (const auto& row : query(tx, unique_keys_query, oid)) {
    if (row[1].as<bool>()) {
      table.unique_keys.push_back({row[0].as<std::string>(), {}, row[3].as<bool>()});
    }
    UniqueKey& key = table.unique_keys.back();
    key.not_null = key.not_null && row[4].as<bool>();
    key.columns.push_back(row[5].as<std::string>());
    if (row[2].as<bool>()) table.primary_key = key.columns;
  }
  for (const auto& row : query(tx, foreign_keys_query, oid)) {
    if (row[3].as<bool>()) continue;
    if (row[0].as<bool>()) {
      table.references.push_back({row[1].as<std::string>(), row[2].as<std::string>()});
    } else {
      table.is_referenced = true;
    }
  }
  table.has_deferrable = query(tx, deferrable_query, oid)[0][0].as<bool>();
  return table;
}

std::optional<TargetColumn> find_type(pqxx::transaction_base& tx, const std::string& name,
                                      const std::string& schema) {
  const Relation wanted = split_type(name);
  const auto found = query(tx, type_query, wanted.schema, wanted.table, schema);
  if (found.empty()) return std::nullopt;
  const bool is_one = found.size() == 1 || found[0][6].as<int>() != found[1][6].as<int>();
  const bool is_array = found[0][4].as<bool>();  // a domain over one
  if (!is_one || is_array) return std::nullopt;
  TargetColumn type;
  type.type = found[0][0].c_str();
  type.base_type = found[0][1].c_str();
  type.cast_type = found[0][2].c_str();
  type.kind = *found[0][3].c_str();
  type.is_domain = found[0][5].as<bool>();
  return type;
}

bool has_label(pqxx::transaction_base& tx, const std::string& type, const std::string& label) {
  return !query(tx,
                "SELECT 1 FROM pg_catalog.pg_enum WHERE enumtypid = $1::pg_catalog.regtype AND "
                "enumlabel = $2",
                type, label)
              .empty();
}

bool has_rows(pqxx::transaction_base& tx, const Relation& name) {
  return tx.exec("SELECT EXISTS (SELECT FROM " + quoted_name(name) + ")")[0][0].as<bool>();
}

bool has_schema(pqxx::transaction_base& tx, const std::string& name) {
  return !query(tx, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", name).empty();
}

bool may_create_in(pqxx::transaction_base& tx, const std::string& schema) {
  return query(tx,
               "SELECT coalesce((SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') "
               "FROM pg_catalog.pg_namespace WHERE nspname = $1), "
               "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'))",
               schema)[0][0]
      .as<bool>();
}

bool owns(pqxx::transaction_base& tx, const Relation& name) {
  const auto found = query(tx,
                           "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') "
                           "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                           "ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                           name.schema, name.table);
  return !found.empty() && found[0][0].as<bool>();
}

std::optional<ForeignKey> read_foreign_key(pqxx::transaction_base& tx, const Relation& table,
                                           const std::string& constraint) {
  const auto found =
      query(tx,
            "SELECT pn.nspname, p.relname FROM pg_catalog.pg_constraint f "
            "JOIN pg_catalog.pg_class c ON c.oid = f.conrelid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_catalog.pg_class p ON p.oid = f.confrelid "
            "JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace "
            "WHERE f.contype = 'f' AND n.nspname = $1 AND c.relname = $2 AND f.conname = $3",
            table.schema, table.table, constraint);
  if (found.empty()) return std::nullopt;
  return ForeignKey{table, {found[0][0].as<std::string>(), found[0][1].as<std::string>()}};
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
