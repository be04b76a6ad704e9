#pragma once

#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "lockstep/postgres/session.hpp"

/// What the tools do with the source and the target. They throw pqxx's exceptions.
namespace lockstep::tools {

using postgres::query;

/// "host:port/database" that it is connected to.
std::string describe(pqxx::connection& connection);

/// One statement in a transaction of its own.
pqxx::result execute(pqxx::connection& connection, const std::string& sql);

/// Throws a Failure unless it has these tables in schema public and publishes their changes: none
/// must be made in an application's database that happens to have such tables.
void check_publishes(pqxx::connection& source, const std::vector<std::string>& tables);

/// Throws a Failure if both are one database, through whatever address, alias or pooler.
void check_differ(pqxx::connection& source, pqxx::connection& target);

}  // namespace lockstep::tools
