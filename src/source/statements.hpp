#pragma once

#include <string>
#include <vector>

#include "lockstep/http/message.hpp"
#include "lockstep/model/result.hpp"

/// What is run at the source. Each waits for it for 3 s at most. Errors: the answer to who has
/// asked.
namespace lockstep::source {

/// 32 hexadecimal digits that nobody has had before.
std::string unique_id();

/// Writes the marker in a transaction of its own.
Result<Done, http::Response> emit_marker(const std::string& url, const std::string& marker);

/// Asks the connector that listens to the table `signals` for a snapshot of the table that `topic`
/// is of, among the changes that come. The tables that it will read: more than one only if their
/// names can't be told apart in a topic's.
Result<std::vector<std::string>, http::Response> ask_for_snapshot(const std::string& url,
                                                                  const std::string& signals,
                                                                  const std::string& topic,
                                                                  const std::string& id);

}  // namespace lockstep::source
