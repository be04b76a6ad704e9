#include "session.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "lockstep/postgres/sink.hpp"

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

std::string with_bounded_waits(const std::string& url) {
  auto options = parse_url(url);
  if (!options) return url;  // connecting with it says what is wrong
  options->insert({{"application_name", "lockstep"},
                   {"connect_timeout", "5"},
                   {"keepalives_idle", "10"},
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

std::string first_line(std::string_view text) {
  // The lines after it are the statement and DETAIL, which holds row values: not for the log.
  while (!text.empty() && (text.front() == '\n' || text.front() == ' ')) text.remove_prefix(1);
  if (text.starts_with("ERROR:"))
    text.remove_prefix(std::min(text.find_first_not_of(' ', 6), text.size()));
  return std::string{text.substr(0, text.find('\n'))};
}

/// What a caller can do about an answer of the server's. PostgreSQL documentation, appendix A.
SinkError::Kind kind_of(std::string_view sqlstate) {
  using Kind = SinkError::Kind;
  constexpr std::string_view of_the_table[] = {
      "55P03",  // lock_not_available: lock_timeout
      "55006",  // object_in_use
      "40P01",  // deadlock_detected
      "40001",  // serialization_failure
      "57014",  // query_canceled: statement_timeout, or an administrator
  };
  if (std::ranges::find(of_the_table, sqlstate) != std::end(of_the_table)) return Kind::busy;
  constexpr std::string_view of_the_server[] = {
      "08",     // connection exception
      "40",     // transaction rollback, other than the above: completion unknown
      "53",     // insufficient resources: disk full, out of memory, too many connections
      "57",     // operator intervention: shutdown, cannot connect now, database dropped
      "58",     // system error: I/O
      "28",     // invalid authorization: a password that is being changed
      "25P03",  // idle_in_transaction_session_timeout: we had stalled
      "25006",  // read_only_sql_transaction: a standby not promoted yet
  };
  for (const auto prefix : of_the_server) {
    if (sqlstate.starts_with(prefix)) return Kind::unavailable;
  }
  return Kind::refused;
}

}  // namespace

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

Session::Session(const std::string& url)
    : connection_{std::make_unique<pqxx::connection>(with_bounded_waits(url))} {
#if PQXX_VERSION_MAJOR < 7
  // libpqxx 6 would connect anew behind our back, and drop what we know of the old session. It
  // calls the switch deprecated because 7 has no such habit any more.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection_->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
  pqxx::nontransaction tx{*connection_};
  tx.exec(
      "SET client_min_messages = warning;"
      "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';"
      "SET lock_timeout = '30s'; SET statement_timeout = '10min';"
      // A daemon that stalls in a transaction must not hold its locks against the one that takes
      // over. Between two statements a living one is silent for milliseconds.
      "SET idle_in_transaction_session_timeout = '10s';"
      // Each key is looked up in the primary key's index, whatever the statistics say: a plan made
      // while the table was small must not scan it once it is large.
      "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;"
      "SET jit = off");  // the statements run for milliseconds
}

Result<Done, SinkError> translating_errors(const std::function<void()>& body) {
  using Kind = SinkError::Kind;
  try {
    body();
    return done;
  } catch (const pqxx::broken_connection& e) {  // nothing was committed, or we read it in progress
    return SinkError{Kind::unavailable, first_line(e.what())};
  } catch (const pqxx::in_doubt_error&) {  // the next try reads in lockstep.progress what happened
    return SinkError{Kind::unavailable, "connection lost while committing"};
  } catch (const pqxx::sql_error& e) {
    return SinkError{kind_of(e.sqlstate()),
                     first_line(e.what()) + " (SQLSTATE " + e.sqlstate() + ")", e.sqlstate()};
  } catch (const pqxx::failure& e) {  // libpqxx could not talk to the server in some other way
    return SinkError{Kind::unavailable, first_line(e.what())};
  }
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
