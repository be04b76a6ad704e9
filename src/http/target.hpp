#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::http {

/// A request's target, taken apart and decoded (RFC 3986).
struct Target {
  std::vector<std::string> segments;         ///< of the path: /a/b%2Fc/ is a, b/c
  std::map<std::string, std::string> query;  ///< of a name that comes twice the last
};

/// nullopt: not an absolute path, a % without two digits, or a control character.
std::optional<Target> parse_target(std::string_view target);

/// What stands for the {…} of `path`; nullopt: it is another path.
std::optional<std::vector<std::string>> match_path(std::string_view path,
                                                   const std::vector<std::string>& segments);

}  // namespace lockstep::http
