#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "lockstep/config/error.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::config {

/// What ${NAME} in the configuration stands for, and what the tools take their defaults from.
struct Environment {
  /// A variable's value, which may be empty; nullopt: it is not set.
  std::function<std::optional<std::string>(const std::string& name)> find;
  bool has_file = false;  ///< an .env was read, too
};

/// The process's environment and, for what is not set there, `file`, which need not exist. It is
/// read as Docker Compose reads it: lines NAME=value, blank ones and # comments; the value may be
/// in quotes, and a comment may follow it. What Compose would expand in a value ($, and \ in double
/// quotes) is refused, so that nobody reads it in two ways.
/// Errors: each line that is none of these, as "FILE:LINE: …" and without its text, which may be a
/// secret; or that the file can't be read.
Result<Environment, Errors> read_environment(const std::filesystem::path& file = ".env");

}  // namespace lockstep::config
