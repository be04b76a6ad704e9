#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "lockstep/model/result.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep::postgres {

/// What a caller can do about an answer of the server's.
SinkError::Kind kind_of(std::string_view sqlstate);

/// What a server's error says, in one line and without a row's value: its primary message where
/// that names nothing but columns, tables and constraints; otherwise our own words for the SQLSTATE
/// and the names that stand in fields of their own. `what`: the text of an exception, with fields
/// if the session's errors are verbose.
std::string words_of(std::string_view sqlstate, std::string_view what);

inline constexpr auto see_rights = "docs/operation.md, Rights on the target";

/// The same, with where it is told what the role needs, if it lacks a right.
SinkError with_rights(SinkError error);

/// The fields of a verbose error. They stand last: a value that looks like one is before them.
/// All empty where the error has none.
struct ErrorFields {
  std::string schema;
  std::string table;
  std::string column;
  std::string type;
  std::string constraint;
};
ErrorFields fields_of(std::string_view what);

/// Runs `body`, turning what it throws into what the caller can do about it. Only what is no
/// std::exception passes through.
Result<Done, SinkError> translating_errors(const std::function<void()>& body);

}  // namespace lockstep::postgres
