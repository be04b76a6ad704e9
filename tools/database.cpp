#include "database.hpp"

#include <random>

#include "program.hpp"

namespace lockstep::tools {
namespace {

[[noreturn]] void refuse(pqxx::connection& source, const std::string& why) {
  throw Failure{"source " + describe(source) + " " + why +
                "; nothing was written. Say where the pipeline's source is: SOURCE_HOST and "
                "SOURCE_PORT, or SOURCE_URL, also in .env"};
}

}  // namespace

std::string describe(pqxx::connection& connection) {
  const auto text = [](const char* value) { return std::string{value == nullptr ? "" : value}; };
  return text(connection.hostname()) + ":" + text(connection.port()) + "/" +
         text(connection.dbname());
}

pqxx::result execute(pqxx::connection& connection, const std::string& sql) {
  pqxx::work tx{connection};
  auto result = query(tx, sql);
  tx.commit();
  return result;
}

void check_publishes(pqxx::connection& source, const std::vector<std::string>& tables) {
  pqxx::read_transaction tx{source};
  for (const auto& table : tables) {
    const auto found = query(tx,
                             "SELECT to_regclass('public.' || quote_ident($1)) IS NOT NULL,"
                             " EXISTS (SELECT FROM pg_publication_tables"
                             "         WHERE schemaname = 'public' AND tablename = $1)",
                             table);
    const std::string name = "public." + table;
    if (!found[0][0].as<bool>()) refuse(source, "has no table " + name);
    if (!found[0][1].as<bool>()) {
      refuse(source, "publishes no changes of " + name + " (no publication has it)");
    }
  }
}

void check_differ(pqxx::connection& source, pqxx::connection& target) {
  // A lock that is held here is held there, too, if there is here.
  const std::string lock = std::to_string(std::random_device{}());
  pqxx::work tx{source};
  query(tx, "SELECT pg_advisory_xact_lock(" + lock + ")");
  const auto free = execute(target, "SELECT pg_try_advisory_xact_lock(" + lock + ")");
  if (!free[0][0].as<bool>()) refuse(source, "is the same database as the target");
}

}  // namespace lockstep::tools
