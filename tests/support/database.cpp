#include "database.hpp"

#include <chrono>
#include <pqxx/pqxx>

#include "catch.hpp"
#include "eventually.hpp"

namespace lockstep::test {

class Database::Connection {
 public:
  explicit Connection(const std::string& url) : session{url} {
    pqxx::nontransaction tx{session};
    tx.exec("SET timezone = 'UTC'");
    tx.exec("SET client_min_messages = warning");
  }

  Rows exec(const std::string& sql) {
    pqxx::nontransaction tx{session};
    Rows rows;
    for (const auto& from : tx.exec(sql)) {
      Row& row = rows.emplace_back();
      for (const auto& field : from) {
        row.push_back(field.is_null() ? std::nullopt : std::optional<std::string>{field.c_str()});
      }
    }
    return rows;
  }

  pqxx::connection session;
};

Database::Database(std::string url) : url_{std::move(url)} {}
Database::~Database() = default;
Database::Database(Database&&) noexcept = default;

Rows Database::exec(const std::string& sql) {
  const bool fresh = !connection_;
  try {
    if (fresh) connection_ = std::make_unique<Connection>(url_);
    return connection_->exec(sql);
  } catch (const std::exception&) {
    if (!connection_ || connection_->session.is_open()) throw;
    connection_.reset();
    if (fresh) throw;
  }
  return exec(sql);  // the connection was lost since the last statement
}

std::string Database::text(const std::string& sql) {
  const Rows rows = exec(sql);
  if (rows.size() != 1 || rows[0].size() != 1) {
    throw std::runtime_error{"not one row with one column: " + sql};
  }
  return rows[0][0].value_or("NULL");
}

long long Database::number(const std::string& sql) {
  return std::stoll(text(sql));
}

namespace {

std::string list(Database& database, const std::string& sql) {
  std::string list;
  for (const auto& row : database.exec(sql)) list += (list.empty() ? "" : ", ") + *row[0];
  return list;
}

/// id::text, name::text …
std::string columns_of(Database& database, const std::string& table) {
  return list(database,
              "SELECT quote_ident(attname) || '::text' FROM pg_attribute WHERE attrelid = '" +
                  table + "'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum");
}

std::string key_of(Database& database, const std::string& table) {
  return list(database,
              "SELECT quote_ident(a.attname) FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) "
              "WITH ORDINALITY AS k(attnum, at) JOIN pg_attribute a ON a.attrelid = i.indrelid "
              "AND a.attnum = k.attnum WHERE i.indisprimary AND i.indrelid = '" +
                  table + "'::regclass ORDER BY k.at");
}

std::string shown(const Row& row) {
  std::string text;
  for (const auto& value : row) {
    text += (text.empty() ? "" : " | ") + value.value_or("NULL").substr(0, 80);
  }
  return text;
}

}  // namespace

std::string difference(Database& source, Database& target, const std::string& table) {
  const std::string sql = "SELECT " + columns_of(source, table) + " FROM " + table + " ORDER BY " +
                          key_of(source, table);
  const Rows want = source.exec(sql);
  const Rows have = target.exec(sql);
  std::string text;
  int told = 0;
  for (std::size_t i = 0; i < std::max(want.size(), have.size()) && told < 5; ++i) {
    if (i < want.size() && i < have.size() && want[i] == have[i]) continue;
    ++told;
    text += "row " + std::to_string(i + 1) + "\n  source: ";
    text += i < want.size() ? shown(want[i]) : "(none)";
    text += "\n  target: ";
    text += i < have.size() ? shown(have[i]) : "(none)";
    text += "\n";
  }
  if (told == 0) return "";
  return table + ": " + std::to_string(want.size()) + " rows in the source, " +
         std::to_string(have.size()) + " in the target; the first differences:\n" + text;
}

void await_equal(Database& source, Database& target, const std::string& table, int seconds) {
  const std::string digest =
      "SELECT count(*) || ' rows, digest ' || coalesce(sum(hashtextextended(row(" +
      columns_of(source, table) + ")::text, 0)), 0) FROM " + table;
  const std::string want = source.text(digest);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{seconds};
  eventually(std::chrono::seconds{seconds}, table + " has " + want, [&]() -> std::string {
    auto have = target.text(digest);
    if (have == want) return "";
    if (std::chrono::steady_clock::now() < end) return have;
    return have + "\n" + difference(source, target, table);
  });
  INFO(difference(source, target, table));
  REQUIRE(difference(source, target, table).empty());
}

}  // namespace lockstep::test
