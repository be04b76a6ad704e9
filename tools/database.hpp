#pragma once

#include <exception>
#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "lockstep/config/config.hpp"
#include "lockstep/model/result.hpp"

/// What the command-line tools share: which database the configuration means, and a connection to
/// it that can't hang.
namespace lockstep::tools {

/// Exit codes, the daemon's own.
enum Exit : int { ok = 0, failed = 1, usage = 2 };

/// The pipeline `name` of a configuration file; "": its first. Errors: each a line for people.
Result<config::Pipeline, config::Errors> read_pipeline(const std::string& file,
                                                       const std::string& name);

/// Connects within 5 s; times are UTC, a statement has 30 s. Throws pqxx's exceptions.
std::unique_ptr<pqxx::connection> connect(const std::string& url);

/// "host:port/database" that it is connected to.
std::string describe(pqxx::connection& connection);

/// The first line of a server's or libpq's message, without its ERROR: in front.
std::string one_line(const std::exception& error);

/// One statement, never several in one text. (What differs between libpqxx 6 and 7.)
#if PQXX_VERSION_MAJOR >= 7
template <class... Args>
pqxx::result query(pqxx::transaction_base& tx, const std::string& sql, const Args&... args) {
  return tx.exec(sql, pqxx::params{args...});
}
#else
template <class... Args>
pqxx::result query(pqxx::transaction_base& tx, const std::string& sql, const Args&... args) {
  return tx.exec_params(sql, args...);
}
#endif

}  // namespace lockstep::tools
