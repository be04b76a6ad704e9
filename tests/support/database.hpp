#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::test {

using Row = std::vector<std::optional<std::string>>;  ///< nullopt: NULL
using Rows = std::vector<Row>;

/// A connection of the test's own, times in UTC. One that was lost is opened anew and
/// the statement sent again.
/// Every error is a std::exception with the server's text.
class Database {
 public:
  explicit Database(std::string url);
  ~Database();
  Database(Database&&) noexcept;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// One or more statements; BEGIN opens a transaction that stays open over calls.
  Rows exec(const std::string& sql);
  /// The only column of the only row; NULL is "NULL".
  std::string text(const std::string& sql);
  long long number(const std::string& sql);

 private:
  class Connection;
  const std::string url_;
  std::unique_ptr<Connection> connection_;
};

/// The first few rows that differ, as text; empty if the tables are equal. All columns of the
/// source are compared as text, row by row in the order of the source's primary key.
std::string difference(Database& source, Database& target, const std::string& table);

/// Waits until the target's table equals the source's as it is now, then compares row by row.
void await_equal(Database& source, Database& target, const std::string& table, int seconds = 60);

}  // namespace lockstep::test
