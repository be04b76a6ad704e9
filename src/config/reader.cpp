#include "reader.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "expand.hpp"
#include "lockstep/config/nearest.hpp"

namespace lockstep::config {
namespace {

int line_of(const YAML::Node& node, int otherwise) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? otherwise : mark.line + 1;
}

/// A message is one line, whatever the file holds.
std::string without_controls(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      result += c;
    } else {
      std::array<char, 5> escape{};
      std::snprintf(escape.data(), escape.size(), "\\x%02x", byte);
      result += escape.data();
    }
  }
  return result;
}

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const auto& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 60;
  if (text.size() <= longest) return "\"" + std::string{text} + "\"";
  std::size_t end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // inside UTF-8
  return "\"" + std::string{text.substr(0, end)} + "…\"";
}

void Report::add(int line, std::string_view path, std::string_view problem) {
  std::string message{file_name_};
  message += ":" + std::to_string(line) + ": ";
  if (!path.empty()) message += std::string{path} + ": ";
  message += problem;
  found_.push_back({line, Error{without_controls(message)}});
}

Errors Report::take() {
  std::stable_sort(found_.begin(), found_.end(),
                   [](const Found& a, const Found& b) { return a.line < b.line; });
  Errors errors;
  for (auto& found : found_) {
    if (std::find(errors.begin(), errors.end(), found.error) == errors.end()) {
      errors.push_back(std::move(found.error));
    }
  }
  return errors;
}

void Report::note_known(std::string path) {
  for (auto at = path.find('['); at != path.npos; at = path.find('[', at + 1)) {
    path.erase(at + 1, path.find(']', at) - at - 1);
  }
  known_.insert(std::move(path));
}

Mapping::Mapping(Report& report, const YAML::Node& node, std::string path, int line)
    : report_{report}, path_{std::move(path)}, line_{line} {
  for (const auto& item : node) {
    const int key_line = line_of(item.first, line);
    if (!item.first.IsScalar()) {
      report_.add(key_line, path_, "a key that is not plain text");
      continue;
    }
    const std::string key = item.first.Scalar();
    const auto same = std::find_if(entries_.begin(), entries_.end(),
                                   [&](const Entry& entry) { return entry.key == key; });
    if (same == entries_.end()) {
      entries_.push_back({key, item.second, key_line});
    } else {
      report_.add(key_line, path_of(key),
                  "given twice, first on line " + std::to_string(same->line) + "; keep one");
    }
  }
}

bool Mapping::has(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.key == key; });
}

bool Mapping::is_empty_list(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.key == key && entry.value.IsSequence() && entry.value.size() == 0;
  });
}

std::optional<Scalar> Mapping::scalar(std::string_view key) {
  const Entry* const entry = find(key);
  if (entry == nullptr) return std::nullopt;
  return read_scalar(entry->value, key, path_of(key), entry->line);
}

std::vector<Scalar> Mapping::list(std::string_view key) {
  const Entry* const entry = find(key);
  if (entry == nullptr) return {};
  const std::string path = path_of(key);
  if (!entry->value.IsSequence()) {
    report_.add(entry->line, path, "expected a list, such as [one, two]");
    return {};
  }
  std::vector<Scalar> items;
  for (std::size_t i = 0; i < entry->value.size(); ++i) {
    const YAML::Node item = entry->value[i];
    const int item_line = line_of(item, entry->line);
    auto read = read_scalar(item, "", path + "[" + std::to_string(i) + "]", item_line);
    if (read) items.push_back(std::move(*read));
  }
  return items;
}

std::optional<Mapping> Mapping::mapping(std::string_view key) {
  const Entry* const entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (!entry->value.IsMap() && !entry->value.IsNull()) {
    report_.add(entry->line, path_of(key), "expected a map of keys and values");
    return std::nullopt;
  }
  return Mapping{report_, entry->value, path_of(key), entry->line};
}

std::vector<Mapping> Mapping::mappings(std::string_view key) {
  const Entry* const entry = find(key);
  if (entry == nullptr) return {};
  const std::string path = path_of(key);
  if (!entry->value.IsSequence()) {
    report_.add(entry->line, path, "expected a list of maps, each begun with -");
    return {};
  }
  std::vector<Mapping> items;
  for (std::size_t i = 0; i < entry->value.size(); ++i) {
    const YAML::Node item = entry->value[i];
    const std::string item_path = path + "[" + std::to_string(i) + "]";
    const int item_line = line_of(item, entry->line);
    if (item.IsMap()) {
      items.emplace_back(report_, item, item_path, item_line);
    } else {
      report_.add(item_line, item_path, "expected a map of keys and values");
    }
  }
  return items;
}

std::vector<Scalar> Mapping::scalars() {
  std::vector<Scalar> result;
  for (const auto& entry : entries_) {
    auto read = read_scalar(entry.value, entry.key, path_of(entry.key), entry.line);
    if (read) result.push_back(std::move(*read));
  }
  return result;
}

void Mapping::require(std::string_view key, std::string_view expected) {
  if (find(key) != nullptr) return;
  report_.add(line_, path_of(key), "missing; expected " + std::string{expected});
}

void Mapping::refuse(std::string_view key, std::string_view why) {
  if (find(key) != nullptr) problem(key, why);
}

void Mapping::problem(std::string_view key, std::string_view problem) {
  const Entry* const entry = find(key);
  report_.add(entry == nullptr ? line_ : entry->line, path_of(key), problem);
}

void Mapping::reject_unknown() {
  for (const auto& entry : entries_) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const auto meant = nearest(entry.key, known_);
    report_.add(entry.line, path_of(entry.key),
                meant.empty() ? "unknown key; expected one of " + joined(known_)
                              : "unknown key; did you mean " + meant.front() + "?");
  }
}

std::string Mapping::path_of(std::string_view key) const {
  return path_.empty() ? std::string{key} : path_ + "." + std::string{key};
}

const Mapping::Entry* Mapping::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
    known_.emplace_back(key);
    report_.note_known(path_of(key));
  }
  for (const auto& entry : entries_) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::optional<Scalar> Mapping::read_scalar(const YAML::Node& node, std::string_view key,
                                           std::string path, int line) {
  if (node.IsNull()) {
    report_.add(line, path, "has no value; write \"\" for an empty one");
    return std::nullopt;
  }
  if (!node.IsScalar()) {
    report_.add(line, path, "expected a plain value, not a list or a map");
    return std::nullopt;
  }
  auto expanded = expand(node.Scalar(), report_.environment());
  if (!expanded) {
    for (const auto& error : expanded.error()) report_.add(line, path, error.message);
    return std::nullopt;
  }
  return Scalar{std::string{key}, std::move(path), node.Scalar(), std::move(*expanded), line};
}

}  // namespace lockstep::config
