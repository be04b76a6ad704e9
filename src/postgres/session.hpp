#pragma once

#include <functional>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "lockstep/model/result.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep::postgres {

// What differs between libpqxx 6 (Debian 12) and 7 (Debian 13) is in this header and session.cpp.
#if PQXX_VERSION_MAJOR >= 7

template <class... Args>
pqxx::result query(pqxx::transaction_base& tx, const char* sql, const Args&... args) {
  return tx.exec(sql, pqxx::params{args...});
}

template <class... Args>
pqxx::result run_prepared(pqxx::transaction_base& tx, const std::string& name,
                          const Args&... args) {
  return tx.exec(pqxx::prepped{name}, pqxx::params{args...});
}

#else

template <class... Args>
pqxx::result query(pqxx::transaction_base& tx, const char* sql, const Args&... args) {
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

/// One connection to the target, set up for applying: UTC, ISO dates, bounded waits, statements
/// prepared under names. Dead once a pqxx::broken_connection came out of it.
class Session {
 public:
  /// Connects within 5 s. Throws pqxx's exceptions.
  explicit Session(const std::string& url);

  pqxx::connection& connection() { return *connection_; }

 private:
  std::unique_ptr<pqxx::connection> connection_;
};

/// Runs `body`, turning the exceptions of libpqxx and the server's SQLSTATE into what the caller
/// can do about them.
Result<Done, SinkError> translating_errors(const std::function<void()>& body);

}  // namespace lockstep::postgres
