#pragma once

#include <chrono>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <vector>

namespace lockstep::postgres {

// What differs between libpqxx 6 (Debian 12) and 7 (Debian 13) is in this header and session.cpp.
// `query` runs one statement, never several in one text.
#if PQXX_VERSION_MAJOR >= 7

template <class... Args>
pqxx::result query(pqxx::transaction_base& tx, const std::string& sql, const Args&... args) {
  return tx.exec(sql, pqxx::params{args...});
}

template <class... Args>
pqxx::result run_prepared(pqxx::transaction_base& tx, const std::string& name,
                          const Args&... args) {
  return tx.exec(pqxx::prepped{name}, pqxx::params{args...});
}

#else

template <class... Args>
pqxx::result query(pqxx::transaction_base& tx, const std::string& sql, const Args&... args) {
  return tx.exec_params(sql, args...);
}

template <class... Args>
pqxx::result run_prepared(pqxx::transaction_base& tx, const std::string& name,
                          const Args&... args) {
  return tx.exec_prepared(name, args...);
}

#endif

/// Runs a prepared statement whose parameters are all in PostgreSQL's binary form.
pqxx::result run_prepared_binary(pqxx::transaction_base& tx, const std::string& name,
                                 const std::vector<std::string>& params);

/// Defaults: the URL and libpq's environment variables can say otherwise.
struct SessionOptions {
  std::string application_name = "lockstep";
  std::chrono::seconds statement_timeout{600};  ///< always
};

/// One connection on which text means the same whatever the server, the database or the role has
/// set: UTF-8, UTC, ISO dates, pg_catalog's types and operators before all others. It can't hang:
/// it is connected within 5 s, and a dead peer is noticed after 30 s.
/// Dead once a pqxx::broken_connection came out of it. Throws pqxx's exceptions.
class Session {
 public:
  explicit Session(const std::string& url, const SessionOptions& options = {});

  pqxx::connection& connection() { return *connection_; }

  /// From now on the server's errors come with all their fields, and their position in its source.
  void make_errors_verbose();

 private:
  std::unique_ptr<pqxx::connection> connection_;
};

}  // namespace lockstep::postgres
