#include "lockstep/config/environment.hpp"

#include <cstdlib>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "file.hpp"
#include "values.hpp"

namespace lockstep::config {
namespace {

using Variables = std::map<std::string, std::string>;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const auto begin = text.find_first_not_of(blanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

/// What stands behind the =.
Result<std::string, Error> value_of(std::string_view text) {
  const char quote = text.starts_with('\'') || text.starts_with('"') ? text.front() : '\0';
  std::string_view value = trimmed(text.substr(0, text.find(" #")));
  if (quote != '\0') {
    const auto end = text.find(quote, 1);
    if (end == text.npos) return Error{"a quote that does not end on its line"};
    const auto rest = trimmed(text.substr(end + 1));
    if (!rest.empty() && !rest.starts_with('#')) return Error{"text behind the closing quote"};
    value = text.substr(1, end - 1);
  } else if (value.starts_with('#')) {
    return Error{"a value that begins with #; write it in quotes"};
  }
  if ((quote != '\'' && value.find('$') != value.npos) ||
      (quote == '"' && value.find('\\') != value.npos)) {
    return Error{"Docker Compose would expand the $ or \\ in it; write the value in single quotes"};
  }
  return std::string{value};
}

Result<Variables, Errors> parse_lines(std::string_view text, const std::string& file_name) {
  Variables variables;
  Errors errors;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    const auto line = trimmed(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::string at = file_name + ":" + std::to_string(number) + ": ";
    const auto equals = line.find('=');
    const std::string name{trimmed(line.substr(0, equals))};
    if (equals == line.npos || !is_variable_name(name)) {
      errors.push_back({at + "not NAME=value; expected that, a blank line or a # comment"});
      continue;
    }
    auto value = value_of(trimmed(line.substr(equals + 1)));
    if (value) {
      variables[name] = std::move(*value);
    } else {
      errors.push_back({at + name + ": " + value.error().message});
    }
  }
  if (!errors.empty()) return errors;
  return variables;
}

}  // namespace

Result<Environment, Errors> read_environment(const std::filesystem::path& file) {
  constexpr std::size_t max_bytes = 64 * 1024;
  Variables variables;
  std::error_code ignored;
  const bool has_file =
      std::filesystem::exists(file, ignored) && !std::filesystem::is_directory(file, ignored);
  if (has_file) {
    const auto text = read_file(file, max_bytes);
    if (!text) return Errors{{file.string() + ": can't be read: " + text.error().message}};
    auto parsed = parse_lines(*text, file.string());
    if (!parsed) return std::move(parsed).error();
    variables = std::move(*parsed);
  }
  const auto find = [variables](const std::string& name) -> std::optional<std::string> {
    if (const char* const value = std::getenv(name.c_str())) return value;
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  return Environment{find, has_file};
}

}  // namespace lockstep::config
