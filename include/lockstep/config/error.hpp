#pragma once

#include <string>
#include <vector>

namespace lockstep::config {

/// One mistake, one line: "FILE:LINE: key.path: what is wrong, what was expected". Holds the file's
/// own text, never what a ${…} in it expanded to.
struct Error {
  std::string message;
  bool operator==(const Error&) const = default;
};
using Errors = std::vector<Error>;  ///< in the file's order, never empty

/// One line each, with a newline between them.
std::string to_string(const Errors& errors);

}  // namespace lockstep::config
