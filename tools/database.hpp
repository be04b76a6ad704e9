#pragma once

#include <exception>
#include <pqxx/pqxx>
#include <string>

#include "lockstep/config/config.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/postgres/session.hpp"

/// What the command-line tools share: which database the configuration means, and a connection to
/// it that can't hang.
namespace lockstep::tools {

/// Exit codes, the daemon's own.
enum Exit : int { ok = 0, failed = 1, usage = 2 };

/// The pipeline `name` of a configuration file; "": its first. Errors: each a line for people.
Result<config::Pipeline, config::Errors> read_pipeline(const std::string& file,
                                                       const std::string& name);

/// As "lockstep-tools", unless the URL or PGAPPNAME says otherwise; a statement has 30 s. Throws
/// pqxx's exceptions.
postgres::Session connect(const std::string& url);
using postgres::query;

/// "host:port/database" that it is connected to.
std::string describe(pqxx::connection& connection);

/// The first line of a server's or libpq's message, without its ERROR: in front.
std::string one_line(const std::exception& error);

}  // namespace lockstep::tools
