#include "expand.hpp"

#include <filesystem>
#include <utility>

#include "file.hpp"
#include "values.hpp"

namespace lockstep::config {
namespace {

constexpr std::string_view file_prefix = "file:";
constexpr std::size_t max_file_bytes = 64 * 1024;  // a secret or a setting

Result<std::string, Error> read_secret(const std::string& path) {
  if (!path.starts_with('/')) {
    return Error{"${file:" + path + "}: the path must be absolute, begin it with /"};
  }
  auto content = read_file(path, max_file_bytes);
  if (!content) return Error{"${file:" + path + "} can't be read: " + content.error().message};
  if (content->ends_with('\n')) content->pop_back();
  if (content->ends_with('\r')) content->pop_back();
  return std::move(*content);
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
  if (!is_variable_name(name) || fallback.find("${") != fallback.npos) {
    return Error{
        "a ${ that does not begin ${NAME}, ${NAME:-default} or ${file:/path}; "
        "a default can't hold another ${"};
  }
  auto value = environment.find(name);
  if (has_default && (!value || value->empty())) return std::string{fallback};
  if (value) return std::move(*value);
  return Error{"the environment variable " + name + " is not set" +
               (environment.has_file ? ", nor is it in .env" : "") + "; set it or write ${" + name +
               ":-default}"};
}

}  // namespace

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
