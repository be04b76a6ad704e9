#include "lockstep/postgres/ask.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <memory>

#include "lockstep/model/destroy.hpp"
#include "url.hpp"

namespace lockstep::postgres {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

using Connection = std::unique_ptr<PGconn, Destroy<&PQfinish>>;
using Answer = std::unique_ptr<PGresult, Destroy<&PQclear>>;

/// In one line, without what libpq puts around it.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

AskError failed(const Connection& connection) {
  return {one_line(PQerrorMessage(connection.get())), ""};
}

/// False: the deadline has passed.
bool await(const Connection& connection, short events, Clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
  pollfd waits{PQsocket(connection.get()), events, 0};
  return left.count() > 0 && ::poll(&waits, 1, static_cast<int>(left.count())) > 0;
}

Result<Connection, AskError> connect(const std::string& url, Clock::time_point until) {
  Connection connection{PQconnectStart(with_defaults(url, "lockstep").c_str())};
  if (!connection) return AskError{"out of memory", ""};
  if (PQstatus(connection.get()) == CONNECTION_BAD) return failed(connection);
  short events = POLLOUT;
  for (;;) {
    if (!await(connection, events, until)) return AskError{"no connection in time", ""};
    switch (PQconnectPoll(connection.get())) {
      case PGRES_POLLING_OK:
        return connection;
      case PGRES_POLLING_READING:
        events = POLLIN;
        break;
      case PGRES_POLLING_WRITING:
        events = POLLOUT;
        break;
      default:
        return failed(connection);
    }
  }
}

Result<TextRows, AskError> run(const Connection& connection, const std::string& sql,
                               const std::vector<std::string>& params, Clock::time_point until) {
  std::vector<const char*> values;
  for (const auto& param : params) values.push_back(param.c_str());
  if (PQsendQueryParams(connection.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) == 0) {
    return failed(connection);
  }
  TextRows rows;
  for (;;) {
    while (PQisBusy(connection.get()) != 0) {
      if (!await(connection, POLLIN, until)) return AskError{"no answer in time", ""};
      if (PQconsumeInput(connection.get()) == 0) return failed(connection);
    }
    const Answer answer{PQgetResult(connection.get())};
    if (!answer) return rows;
    const auto status = PQresultStatus(answer.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      const auto field = [&](int code) {
        const char* const text = PQresultErrorField(answer.get(), code);
        return std::string{text == nullptr ? "" : text};
      };
      const auto message = field(PG_DIAG_MESSAGE_PRIMARY);
      return AskError{one_line(message.empty() ? PQerrorMessage(connection.get()) : message),
                      field(PG_DIAG_SQLSTATE)};
    }
    for (int row = 0; row < PQntuples(answer.get()); ++row) {
      auto& columns = rows.emplace_back();
      for (int column = 0; column < PQnfields(answer.get()); ++column) {
        columns.emplace_back(PQgetvalue(answer.get(), row, column));
      }
    }
  }
}

}  // namespace

Result<TextRows, AskError> ask(const std::string& url, const std::string& sql,
                               const std::vector<std::string>& params, milliseconds deadline) {
  const auto until = Clock::now() + deadline;
  const auto connection = connect(url, until);
  if (!connection) return connection.error();
  const auto limited = run(*connection,
                           "SELECT pg_catalog.set_config('statement_timeout', $1, false), "
                           "pg_catalog.set_config('client_encoding', 'UTF8', false)",
                           {std::to_string(deadline.count())}, until);
  if (!limited) return limited;
  return run(*connection, sql, params, until);
}

}  // namespace lockstep::postgres
