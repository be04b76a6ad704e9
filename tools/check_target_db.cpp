// Prints what the target database holds: its tables, or the rows of one of them.

#include <cstdint>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "database.hpp"
#include "lockstep/config/nearest.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "lockstep/postgres/mapping.hpp"
#include "program.hpp"
#include "terminal.hpp"
#include "text_table.hpp"

namespace lockstep::tools {
namespace {

struct Options {
  std::string table;
  std::string where;
  std::int64_t limit = 20;
  std::int64_t offset = 0;
  bool json = false;
};

struct Table {
  std::string schema;
  std::string name;
  bool in_search_path = false;
  bool has_synced_at = false;

  std::string qualified() const { return schema + "." + name; }
  std::string sql() const { return postgres::quoted_name({schema, name}); }
};

std::optional<std::string> text(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return std::string{field.c_str(), field.size()};
}

/// Every table, view and catalog that can be read, or only those of users.
std::vector<Table> find_tables(pqxx::transaction_base& tx, const std::string& synced_at,
                               bool of_users_only) {
  std::string sql = R"(
      SELECT n.nspname, c.relname, pg_table_is_visible(c.oid),
             EXISTS (SELECT FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attname = $1 AND NOT a.attisdropped)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT pg_is_other_temp_schema(n.oid) AND )";
  sql += of_users_only
             ? R"(c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND n.nspname !~ '^pg_'
                            AND n.nspname NOT IN ('information_schema', 'lockstep'))"
             : "c.relkind IN ('r', 'p', 'f', 'v', 'm')";
  std::vector<Table> tables;
  for (const auto& row : query(tx, sql + " ORDER BY 1, 2", synced_at)) {
    tables.push_back({row[0].c_str(), row[1].c_str(), row[2].as<bool>(), row[3].as<bool>()});
  }
  return tables;
}

/// Where the rows of a source table go that is called so.
Relation target_of(const std::string& source, const config::PostgresSink& sink) {
  const auto dot = source.find('.');
  const postgres::Mapping mapping{sink.schema, sink.tables};
  if (dot == source.npos) return mapping.target_of({"public", source});
  return mapping.target_of({source.substr(0, dot), source.substr(dot + 1)});
}

/// The table that `wanted` names, with its schema or without; or that the source's table of this
/// name is written to.
Table find_table(pqxx::transaction_base& tx, const std::string& wanted,
                 const config::PostgresSink& sink) {
  const std::string& schema = sink.schema;
  std::vector<Table> same_name;
  const Relation target = target_of(wanted, sink);
  std::optional<Table> mapped;
  for (auto& table : find_tables(tx, "", false)) {
    if (table.qualified() == wanted) return table;
    if (Relation{table.schema, table.name} == target) mapped = table;
    if (table.name == wanted) same_name.push_back(std::move(table));
  }
  for (const auto& table : same_name) {
    if (schema.empty() ? table.in_search_path : table.schema == schema) return table;
  }
  if (mapped) return *mapped;
  if (same_name.size() == 1) return same_name.front();
  std::vector<std::string> candidates;
  for (const auto& table : same_name) candidates.push_back(table.qualified());
  if (candidates.empty()) {
    const bool qualified = wanted.find('.') != wanted.npos;
    std::vector<std::string> names;
    std::map<std::string, std::vector<std::string>> tables;  // of each name
    for (const auto& table : find_tables(tx, "", true)) {
      const auto name = qualified ? table.qualified() : table.name;
      if (tables[name].empty()) names.push_back(name);
      tables[name].push_back(table.qualified());
    }
    for (const auto& name : config::nearest(wanted, names, 3)) {  // the nearest first
      candidates.insert(candidates.end(), tables[name].begin(), tables[name].end());
    }
  }
  std::string message = "no table \"" + wanted + "\"";
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    message += (i == 0 ? "; did you mean " : " or ") + candidates[i];
  }
  throw Failure{message + (candidates.empty() ? "; without a name, all tables are listed" : "?")};
}

/// The exact count, or the planner's guess with a ~ in front where counting takes too long.
std::string count_rows(pqxx::connection& connection, const Table& table) {
  try {
    pqxx::read_transaction tx{connection};
    return query(tx, "SELECT count(*) FROM " + table.sql())[0][0].c_str();
  } catch (const pqxx::sql_error& error) {
    constexpr std::string_view query_canceled = "57014";
    if (error.sqlstate() != query_canceled) throw;
  }
  pqxx::read_transaction tx{connection};
  const auto guess =
      query(tx, "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::regclass", table.sql());
  return "~" + std::string{guess[0][0].c_str()};
}

std::optional<std::string> newest(pqxx::connection& connection, const Table& table,
                                  const std::string& synced_at) {
  if (!table.has_synced_at) return std::nullopt;
  pqxx::read_transaction tx{connection};
  return text(query(tx, "SELECT max(" + tx.quote_name(synced_at) + ") FROM " + table.sql())[0][0]);
}

/// True if it could read all of them.
bool print_tables(pqxx::connection& connection, const config::PostgresSink& sink, bool json) {
  std::vector<Table> tables;
  {
    pqxx::read_transaction tx{connection};
    tables = find_tables(tx, sink.synced_at, true);
  }
  const std::string newest_title =
      "newest " + (sink.synced_at.empty() ? "synced_at" : sink.synced_at);
  TextTable shown{{{"table"}, {"rows", true}, {newest_title}}};
  using Json = nlohmann::ordered_json;
  auto array = Json::array();
  bool complete = true;
  for (const auto& table : tables) {
    std::optional<std::string> rows;
    std::optional<std::string> time;
    try {
      rows = count_rows(connection, table);
      time = newest(connection, table, sink.synced_at);
    } catch (const pqxx::sql_error& error) {  // no permission, a lock: the other tables are shown
      std::cerr << error_mark() << table.qualified() << ": " << one_line(error) << '\n';
      complete = false;
    }
    shown.add({table.qualified(), rows.value_or("?"), time.value_or("-")});
    const bool exact = rows && !rows->starts_with('~');
    array.push_back({{"table", table.qualified()},
                     {"rows", exact ? Json(std::stoll(*rows)) : Json{}},
                     {"newest_synced_at", time ? Json(*time) : Json{}}});
  }
  if (json) {
    std::cout << array.dump(2) << '\n';
  } else if (tables.empty()) {
    std::cout << "no tables in " << describe(connection) << '\n';
  } else {
    shown.print(std::cout);
  }
  return complete;
}

std::string order_by_key(pqxx::transaction_base& tx, const Table& table) {
  const auto found = postgres::read_table(tx, {table.schema, table.name});
  std::string order;
  if (!found) return order;  // a view
  for (const auto& column : found->primary_key) {
    order += (order.empty() ? " ORDER BY " : ", ") + postgres::quote_name(column);
  }
  return order;
}

bool is_number(pqxx::oid type) {
  constexpr pqxx::oid int8 = 20, int2 = 21, int4 = 23, float4 = 700, float8 = 701, numeric = 1700;
  return type == int8 || type == int2 || type == int4 || type == float4 || type == float8 ||
         type == numeric;
}

void print_aligned(const pqxx::result& rows) {
  std::vector<TextTable::Column> columns;
  for (pqxx::row::size_type i = 0; i < rows.columns(); ++i) {
    columns.push_back({rows.column_name(i), is_number(rows.column_type(i))});
  }
  TextTable table{std::move(columns)};
  for (const auto& row : rows) {
    TextTable::Row cells;
    for (const auto& field : row) cells.push_back(text(field));
    table.add(cells);
  }
  table.print(std::cout);
  if (table.has_null()) std::cout << "(∅ is NULL)\n";
}

/// "20 rows of 153; --offset 20 shows the next"
std::string footer(pqxx::transaction_base& tx, const std::string& from, std::int64_t shown,
                   const Options& options) {
  const std::string rows = std::to_string(shown) + (shown == 1 ? " row" : " rows");
  std::int64_t total = 0;
  try {
    total = query(tx, "SELECT count(*)" + from)[0][0].as<std::int64_t>();
  } catch (const pqxx::sql_error& error) {
    return rows + "; counting all failed: " + one_line(error);
  }
  const std::int64_t next = options.offset + shown;
  if (shown == total) return rows;
  return rows + " of " + std::to_string(total) +
         (next < total && shown > 0 ? "; --offset " + std::to_string(next) + " shows the next"
                                    : "");
}

void print_rows(pqxx::connection& connection, const Options& options,
                const config::PostgresSink& sink) {
  pqxx::read_transaction tx{connection};
  const Table table = find_table(tx, options.table, sink);
  // The newline ends a -- comment in the condition.
  const std::string from =
      " FROM " + table.sql() + (options.where.empty() ? "" : " WHERE (" + options.where + "\n)");
  const std::string page = from + order_by_key(tx, table) + " LIMIT " +
                           std::to_string(options.limit) + " OFFSET " +
                           std::to_string(options.offset);
  if (options.json) {
    const auto rows = query(tx, "SELECT row_to_json(page) FROM (SELECT *" + page + ") page");
    std::cout << '[';
    const char* separator = "\n  ";
    for (const auto& row : rows) {
      std::cout << separator << row[0].c_str();
      separator = ",\n  ";
    }
    std::cout << "\n]\n";
    return;
  }
  const auto rows = query(tx, "SELECT *" + page);
  print_aligned(rows);
  std::cout << footer(tx, from, static_cast<std::int64_t>(rows.size()), options) << '\n';
}

int run(int argc, char** argv) {
  Options options;
  Program program{
      "Prints what the target database holds: without a TABLE its tables with their row counts "
      "and\n"
      "newest synced_at, with one its rows in the order of the primary key. It only reads.",
      "check_target_db\n"
      "check_target_db users --limit 5\n"
      "check_target_db orders --where \"status = 'paid'\" --json"};
  auto& app = program.options();
  app.add_option("table", options.table, "a table, with its schema or without")->type_name("TABLE");
  app.add_option(
         "--where", options.where,
         "only rows that meet this condition, for example \"id=3\". It is SQL, goes to the "
         "database as\nit is, and may call whatever the account may: READ ONLY, as the transaction "
         "is, does not stop\npg_terminate_backend() or dblink(). What strangers write does not "
         "belong "
         "here, unless --config\nnames an account that may only read")
      ->type_name("SQL")
      ->needs("table");
  app.add_option("--limit", options.limit, "at most so many rows")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--offset", options.offset, "skip so many rows first")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  program.with_json("print a JSON array of objects");
  program.with_pipeline();
  return program.run(argc, argv, [&] {
    options.json = program.json();
    auto session = program.target();
    const auto& sink = program.sink();
    if (options.table.empty()) return print_tables(session.connection(), sink, options.json);
    print_rows(session.connection(), options, sink);
    return true;
  });
}

}  // namespace
}  // namespace lockstep::tools

int main(int argc, char** argv) {
  return lockstep::tools::run(argc, argv);
}
