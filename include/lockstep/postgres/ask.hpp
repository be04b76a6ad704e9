#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "lockstep/model/result.hpp"

namespace lockstep::postgres {

struct AskError {
  std::string message;   ///< the server's own words, or libpq's: no value of the statement
  std::string sqlstate;  ///< empty: the server has not answered
};
using TextRows = std::vector<std::vector<std::string>>;  ///< NULL is ""

/// Runs one statement, with $1… for `params`, on a connection of its own. Unlike a Session it ends
/// by the deadline whatever the server does (looking up its name aside): a server that stands still
/// keeps its connections, and no timeout of the network's notices that. Past the deadline the
/// server is told nothing; it cancels the statement by itself (statement_timeout).
/// Threads: any.
Result<TextRows, AskError> ask(const std::string& url, const std::string& sql,
                               const std::vector<std::string>& params,
                               std::chrono::milliseconds deadline);

}  // namespace lockstep::postgres
