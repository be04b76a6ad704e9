#include "lockstep/postgres/session.hpp"

#include <libpq-fe.h>

#include <cstdlib>
#include <map>

#include "lockstep/model/result.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "lockstep/postgres/sink.hpp"
#include "url.hpp"

namespace lockstep::postgres {

namespace {

using ConnectionOptions = std::map<std::string, std::string>;

/// Errors: libpq's text on what is wrong with the string.
Result<ConnectionOptions, std::string> parse_url(const std::string& url) {
  char* reason = nullptr;
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parsed{
      PQconninfoParse(url.c_str(), &reason), PQconninfoFree};
  if (!parsed) {
    std::string text = reason == nullptr ? "not a connection string" : reason;
    PQfreemem(reason);
    return text;
  }
  ConnectionOptions options;
  for (const auto* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) options[option->keyword] = option->val;
  }
  return options;
}

/// pg_catalog comes before the search path, unless it is in it: then what comes before it there can
/// give our operators and types another meaning. The rest of the path stays, for the target's
/// triggers and defaults.
void put_pg_catalog_first(pqxx::transaction_base& tx) {
  const auto path =
      tx.exec("SELECT s FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) AS s");
  std::string others;
  bool hidden = false;
  for (const auto& row : path) {
    const std::string schema = row[0].c_str();
    if (schema == "pg_catalog") {
      hidden = !others.empty();
    } else {
      others += (others.empty() ? "" : ", ") + quote_name(schema);
    }
  }
  if (hidden) tx.exec("SET search_path = " + others);
}

}  // namespace

std::string with_defaults(const std::string& url, const std::string& application_name) {
  auto options = parse_url(url);
  if (!options) return url;  // connecting with it says what is wrong
  if (std::getenv("PGAPPNAME") == nullptr) options->insert({"application_name", application_name});
  if (std::getenv("PGCONNECT_TIMEOUT") == nullptr) options->insert({"connect_timeout", "5"});
  options->insert({{"keepalives_idle", "10"},
                   {"keepalives_interval", "5"},
                   {"keepalives_count", "3"},
                   {"tcp_user_timeout", "30000"}});
  std::string text;
  for (const auto& [key, value] : *options) {
    text += key + "='";
    for (const char c : value) {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
    text += "' ";
  }
  return text;
}

#if PQXX_VERSION_MAJOR >= 7

pqxx::result run_prepared_binary(pqxx::transaction_base& tx, const std::string& name,
                                 const std::vector<std::string>& params) {
  pqxx::params all;
  for (const auto& param : params) {
    all.append(pqxx::bytes_view{reinterpret_cast<const std::byte*>(param.data()), param.size()});
  }
  return tx.exec(pqxx::prepped{name}, all);
}

#else

pqxx::result run_prepared_binary(pqxx::transaction_base& tx, const std::string& name,
                                 const std::vector<std::string>& params) {
  std::vector<pqxx::binarystring> all;
  all.reserve(params.size());
  for (const auto& param : params) all.emplace_back(param.data(), param.size());
  return tx.exec_prepared(name, pqxx::prepare::make_dynamic_params(all));
}

#endif

Session::Session(const std::string& url, const SessionOptions& options)
    : connection_{
          std::make_unique<pqxx::connection>(with_defaults(url, options.application_name))} {
#if PQXX_VERSION_MAJOR < 7
  // libpqxx 6 would connect anew behind our back, and drop what we know of the old session. It
  // calls the switch deprecated because 7 has no such habit any more.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection_->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
  pqxx::nontransaction tx{*connection_};
  // All that a database or a role can have set of its own and that changes what a text means.
  tx.exec(
      "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;"
      "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';"
      "SET bytea_output = 'hex'; SET xmloption = content;"
      "SET client_min_messages = warning;"
      "SET statement_timeout = '" +
      std::to_string(options.statement_timeout.count()) + "s'");
  put_pg_catalog_first(tx);
}

void Session::make_errors_verbose() {
#if PQXX_VERSION_MAJOR >= 7
  connection_->set_verbosity(pqxx::error_verbosity::verbose);
#else
  connection_->set_verbosity(pqxx::connection::verbose);
#endif
}

std::string describe(const std::string& url) {
  const auto options = parse_url(url);
  if (!options) return "(malformed connection string)";
  const auto get = [&](const char* key, const char* otherwise) {
    const auto at = options->find(key);
    return at == options->end() ? std::string{otherwise} : at->second;
  };
  return get("host", "localhost") + ":" + get("port", "5432") + "/" + get("dbname", "");
}

}  // namespace lockstep::postgres
