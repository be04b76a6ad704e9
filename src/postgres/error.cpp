#include "error.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <pqxx/pqxx>
#include <system_error>
#include <vector>

#include "lockstep/model/text.hpp"

namespace lockstep::postgres {

namespace {

using Kind = SinkError::Kind;

bool is_of(std::string_view sqlstate, std::initializer_list<std::string_view> classes) {
  return std::any_of(classes.begin(), classes.end(),
                     [&](std::string_view prefix) { return sqlstate.starts_with(prefix); });
}

/// Of the longest prefix of `sqlstate` that is listed; for errors whose message can hold a value.
std::string_view condition(std::string_view sqlstate) {
  struct Condition {
    std::string_view sqlstate;
    std::string_view words;
  };
  // PostgreSQL documentation, appendix A. The more special first.
  constexpr Condition conditions[] = {
      {"22001", "value too long"},
      {"22003", "number out of range"},
      {"22004", "null value not allowed"},
      {"22007", "invalid date or time"},
      {"22008", "date or time out of range"},
      {"22012", "division by zero"},
      {"22015", "interval out of range"},
      {"22021", "invalid byte sequence"},
      {"22023", "invalid parameter value"},
      {"22026", "bit string of another length"},
      {"2200M", "invalid XML document"},
      {"2200N", "invalid XML content"},
      {"22P02", "invalid input value"},
      {"22P03", "invalid binary form"},
      {"22P05", "a character that the encoding of the target's database lacks"},
      {"22", "invalid value"},
      {"40001", "serialization failure"},
      {"40P01", "deadlock detected"},
      {"42601", "syntax error in the value"},
      {"44", "violates the check option of a view"},
      {"55006", "object in use"},
      {"55P03", "a lock was not to be had in time"},
      {"57014", "statement took too long, or was cancelled"},
      {"P0", "raised by a trigger or function of the target"},
  };
  for (const auto& known : conditions) {
    if (sqlstate.starts_with(known.sqlstate)) return known.words;
  }
  return "the server's words are left out, they may hold values";
}

std::string quoted(const std::string& name) {
  return "\"" + name + "\"";
}

/// Class 23, integrity constraint violation.
std::string violation(std::string_view sqlstate, const ErrorFields& fields) {
  const std::string named = fields.constraint.empty() ? "" : " " + quoted(fields.constraint);
  const std::string of_type =
      fields.type.empty() ? "" : " of domain " + fields.schema + "." + fields.type;
  if (sqlstate == "23502") {
    return fields.column.empty() ? "null value" + of_type
                                 : "null value in column " + quoted(fields.column);
  }
  if (sqlstate == "23503") {
    return "violates foreign key constraint" + named +
           (fields.table.empty() ? "" : " of table " + fields.schema + "." + fields.table);
  }
  if (sqlstate == "23505") return "violates unique constraint" + named;
  if (sqlstate == "23514") return "violates check constraint" + named + of_type;
  if (sqlstate == "23P01") return "violates exclusion constraint" + named;
  return "violates a constraint" + named;
}

/// The first line, without what stands before its words: "ERROR:  42P01: ". What follows are
/// DETAIL and the like, which hold values.
std::string first_line(std::string_view text, std::string_view sqlstate = "") {
  constexpr std::size_t longest = 300;
  while (!text.empty() && (text.front() == '\n' || text.front() == ' ')) text.remove_prefix(1);
  text = text.substr(0, text.find('\n'));
  for (const std::string_view severity : {"ERROR:", "FATAL:"}) {
    if (text.starts_with(severity)) text.remove_prefix(severity.size());
  }
  const std::string code = std::string{sqlstate} + ": ";
  constexpr std::size_t longest_severity = 20;  // in any language
  const auto at = text.find(code);
  if (!sqlstate.empty() && at < longest_severity) text.remove_prefix(at + code.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  return std::string{beginning_of(text, longest)};
}

SinkError server_error(const std::string& sqlstate, const char* what) {
  std::string words = words_of(sqlstate, what);
  if (!sqlstate.empty()) words += " (SQLSTATE " + sqlstate + ")";
  SinkError error{kind_of(sqlstate), std::move(words), sqlstate};
  if (is_of(sqlstate, {"23"})) {
    const auto fields = fields_of(what);
    error.constraint = fields.constraint;
    error.constrained = {fields.schema, fields.table};
  }
  return error;
}

}  // namespace

SinkError::Kind kind_of(std::string_view sqlstate) {
  if (sqlstate.empty()) return Kind::unavailable;  // libpq's own: it has lost the server
  if (is_of(sqlstate, {"55P03",                    // lock_not_available: lock_timeout
                       "55006",                    // object_in_use
                       "40P01",                    // deadlock_detected
                       "40001",                    // serialization_failure
                       "57014"}))  // query_canceled: statement_timeout, or an administrator
  {
    return Kind::busy;
  }
  if (is_of(sqlstate, {"08",       // connection exception
                       "40",       // transaction rollback, but for the above: completion unknown
                       "53",       // insufficient resources: disk full, memory, connections
                       "57",       // operator intervention: shutdown, cannot connect now
                       "58",       // system error: I/O
                       "28",       // invalid authorization: a password that is being changed
                       "25P03",    // idle_in_transaction_session_timeout: we had stalled
                       "25P04",    // transaction_timeout, which ends the session
                       "25006"}))  // read_only_sql_transaction: a standby not promoted yet
  {
    return Kind::unavailable;
  }
  return Kind::refused;
}

SinkError with_rights(SinkError error) {
  if (error.sqlstate == "42501") error.message += std::string{"; "} + see_rights;
  return error;
}

ErrorFields fields_of(std::string_view what) {
  std::vector<std::string_view> lines;
  while (!what.empty()) {
    const auto end = std::min(what.find('\n'), what.size());
    if (end > 0) lines.push_back(what.substr(0, end));
    what.remove_prefix(std::min(end + 1, what.size()));
  }
  // libpq's order, pqBuildErrorMessage3: whatever has a table, column, type or constraint has a
  // schema, and nothing of the server's own stands between it and LOCATION.
  ErrorFields fields;
  const std::pair<std::string_view, std::string*> from_the_end[] = {
      {"LOCATION:  ", nullptr},           {"CONSTRAINT NAME:  ", &fields.constraint},
      {"DATATYPE NAME:  ", &fields.type}, {"COLUMN NAME:  ", &fields.column},
      {"TABLE NAME:  ", &fields.table},   {"SCHEMA NAME:  ", &fields.schema},
  };
  auto line = lines.rbegin();
  for (const auto& [title, field] : from_the_end) {
    const bool there = line != lines.rend() && line->starts_with(title);
    if (field == nullptr && !there) return {};
    if (!there) continue;
    if (field != nullptr) *field = line->substr(title.size());
    ++line;
  }
  return fields.schema.empty() ? ErrorFields{} : fields;
}

std::string words_of(std::string_view sqlstate, std::string_view what) {
  if (is_of(sqlstate, {"23"})) return violation(sqlstate, fields_of(what));
  // Triggers and functions of the target can raise any SQLSTATE with any text. Then a context says
  // where; one that a value makes up costs no more than the words.
  const bool is_servers_own = what.find("\nCONTEXT:") == std::string_view::npos;
  // Our own statements are made by plan.cpp: a syntax error (42601) is in a tsvector or jsonpath.
  const bool names_only =
      sqlstate.empty() || (is_of(sqlstate, {"08", "0A", "25", "26", "28", "3D", "3F", "40", "42",
                                            "53", "54", "55", "57", "58"}) &&
                           sqlstate != "42601");
  if (names_only && is_servers_own) return first_line(what, sqlstate);
  return std::string{condition(sqlstate)};
}

// Of libpqxx's classes some derive from sql_error in version 7 and not in 6: they come first.
Result<Done, SinkError> translating_errors(const std::function<void()>& body) {
  try {
    body();
    return done;
  } catch (const pqxx::broken_connection& e) {  // nothing was committed, or we read it in progress
    return SinkError{Kind::unavailable, first_line(e.what())};
  } catch (const pqxx::in_doubt_error&) {  // the next try reads in lockstep.progress what happened
    return SinkError{Kind::unavailable, "connection lost while committing"};
  } catch (const pqxx::deadlock_detected& e) {
    return server_error("40P01", e.what());
  } catch (const pqxx::serialization_failure& e) {
    return server_error("40001", e.what());
  } catch (const pqxx::transaction_rollback& e) {  // statement_completion_unknown
    return server_error("40003", e.what());
  } catch (const pqxx::insufficient_privilege& e) {  // libpqxx 6 loses its SQLSTATE
    return server_error("42501", e.what());
  } catch (const pqxx::sql_error& e) {
    return server_error(e.sqlstate(), e.what());
  } catch (const pqxx::failure& e) {  // libpqxx could not talk to the server in some other way
    return SinkError{Kind::unavailable, first_line(e.what())};
  } catch (const std::bad_alloc&) {
    return SinkError{Kind::unavailable, "out of memory"};
  } catch (const std::system_error& e) {
    return SinkError{Kind::unavailable, first_line(e.what())};
  } catch (const std::exception& e) {  // a bug, here or in libpqxx: only this batch's table stops
    return SinkError{Kind::refused, "unexpected: " + first_line(e.what())};
  }
}

}  // namespace lockstep::postgres
