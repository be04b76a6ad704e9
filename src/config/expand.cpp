#include "expand.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

namespace lockstep::config {
namespace {

constexpr std::string_view file_prefix = "file:";
constexpr std::size_t max_file_bytes = 64 * 1024;  // a secret or a setting; ends reads of /dev/zero

bool is_name(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  constexpr std::string_view others = "0123456789";
  if (text.empty() || letters.find(text.front()) == letters.npos) return false;
  for (const char c : text) {
    if (letters.find(c) == letters.npos && others.find(c) == others.npos) return false;
  }
  return true;
}

Result<std::string, Error> read_secret(const std::string& path) {
  if (!path.starts_with('/')) {
    return Error{"${file:" + path + "}: the path must be absolute, begin it with /"};
  }
  const auto unreadable = [&](const std::string& why) {
    return Error{"${file:" + path + "} can't be read: " + why};
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return unreadable("it is a directory");
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  if (!file) return unreadable(std::generic_category().message(errno));
  std::string content(max_file_bytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) return unreadable(std::generic_category().message(errno));
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > max_file_bytes) return unreadable("it is larger than 64 KiB");
  if (content.ends_with('\n')) content.pop_back();
  if (content.ends_with('\r')) content.pop_back();
  return content;
}

/// `reference` is what stands between ${ and }.
Result<std::string, Error> resolve(std::string_view reference, const Environment& environment) {
  if (reference.starts_with(file_prefix)) {
    return read_secret(std::string{reference.substr(file_prefix.size())});
  }
  const std::size_t dash = reference.find(":-");
  const std::string name{reference.substr(0, dash)};
  const bool has_default = dash != reference.npos;
  const std::string_view fallback = has_default ? reference.substr(dash + 2) : "";
  if (!is_name(name) || fallback.find("${") != fallback.npos) {
    return Error{
        "a ${ that does not begin ${NAME}, ${NAME:-default} or ${file:/path}; "
        "a default can't hold another ${"};
  }
  auto value = environment(name);
  if (has_default && (!value || value->empty())) return std::string{fallback};
  if (value) return std::move(*value);
  return Error{"the environment variable " + name + " is not set; set it or write ${" + name +
               ":-default}"};
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>{value};
}

Result<std::string, Errors> expand(std::string_view raw, const Environment& environment) {
  std::string expanded;
  Errors errors;
  while (!raw.empty()) {
    const std::size_t begin = raw.find("${");
    expanded += raw.substr(0, begin);
    if (begin == raw.npos) break;
    const std::size_t end = raw.find('}', begin);
    if (end == raw.npos) {
      errors.push_back({"a ${ without its }"});
      break;
    }
    auto value = resolve(raw.substr(begin + 2, end - begin - 2), environment);
    if (value) {
      expanded += *value;
    } else {
      errors.push_back(std::move(value).error());
    }
    raw.remove_prefix(end + 1);
  }
  if (!errors.empty()) return errors;
  return expanded;
}

}  // namespace lockstep::config
