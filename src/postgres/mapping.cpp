#include "lockstep/postgres/mapping.hpp"

#include <algorithm>

#include "lockstep/postgres/catalog.hpp"

namespace lockstep::postgres {

namespace {

constexpr std::size_t longest_name = 63;  // bytes; PostgreSQL cuts what is longer

/// `text` with its * replaced.
std::string filled(std::string text, const std::string& star) {
  if (const auto at = text.find('*'); at != std::string::npos) text.replace(at, 1, star);
  return text;
}

bool is_excluded(const TableRule* rule, const std::string& column) {
  return rule != nullptr &&
         std::find(rule->exclude.begin(), rule->exclude.end(), column) != rule->exclude.end();
}

bool has_column(const Layout& layout, const std::string& name) {
  return std::any_of(layout.columns.begin(), layout.columns.end(),
                     [&](const Column& column) { return column.name == name; });
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text, std::string* star) {
  std::size_t p = 0;
  while (p < pattern.size() && pattern[p] != '*') {
    if (p >= text.size() || (pattern[p] != '?' && pattern[p] != text[p])) return false;
    ++p;
  }
  if (p == pattern.size()) return p == text.size();
  for (std::size_t end = p; end <= text.size(); ++end) {
    if (!matches(pattern.substr(p + 1), text.substr(end))) continue;
    if (star != nullptr) *star = text.substr(p, end - p);
    return true;
  }
  return false;
}

const TableRule* Mapping::rule_of(const Relation& source) const {
  const std::string name = to_string(source);
  const auto found = std::find_if(rules_.begin(), rules_.end(),
                                  [&](const TableRule& rule) { return matches(rule.match, name); });
  return found == rules_.end() ? nullptr : &*found;
}

Relation Mapping::target_of(const Relation& source) const {
  Relation target{schema_.empty() ? source.schema : schema_, source.table};
  const TableRule* const rule = rule_of(source);
  if (rule == nullptr || rule->to.empty()) return target;
  std::string star;
  matches(rule->match, to_string(source), &star);
  const auto dot = rule->to.find('.');
  if (dot != std::string::npos) target.schema = filled(rule->to.substr(0, dot), star);
  target.table = filled(dot == std::string::npos ? rule->to : rule->to.substr(dot + 1), star);
  return target;
}

std::string Mapping::name_of(const Relation& source, const std::string& column) const {
  const TableRule* const rule = rule_of(source);
  if (rule == nullptr) return column;
  const auto to = rule->rename.find(column);
  return to == rule->rename.end() ? column : to->second;
}

MappedLayout Mapping::columns_of(const Relation& source, const Layout& layout) const {
  const TableRule* const rule = rule_of(source);
  MappedLayout mapped;
  for (std::size_t i = 0; i < layout.columns.size(); ++i) {
    Column column = layout.columns[i];
    if (is_excluded(rule, column.name)) continue;
    column.name = name_of(source, column.name);
    mapped.layout.columns.push_back(std::move(column));
    mapped.cells.push_back(i);
  }
  return mapped;
}

std::vector<std::string> Mapping::problems(const Relation& source, const Layout& row,
                                           const Layout* key, const std::string& synced_at) const {
  std::vector<std::string> found;
  const TableRule* const rule = rule_of(source);
  const Relation target = target_of(source);
  if (target.schema.size() > longest_name || target.table.size() > longest_name) {
    found.emplace_back(
        "has a name of more than 63 bytes, PostgreSQL's limit: change the rule in "
        "tables");
  }
  for (const auto& column : key == nullptr ? std::vector<Column>{} : key->columns) {
    if (!is_excluded(rule, column.name)) continue;
    found.push_back("would lack column " + quote_name(column.name) +
                    " of the key, which tables excludes: take it out of columns.exclude");
  }
  const auto mapped = columns_of(source, row).layout;
  for (std::size_t i = 0; i < mapped.columns.size(); ++i) {
    const std::string& name = mapped.columns[i].name;
    const auto is_same = [&](const Column& other) { return other.name == name; };
    if (!synced_at.empty() && name == synced_at) {
      found.push_back("would have the source's column " + quote_name(name) +
                      " overwritten by the time that synced_at stamps: rename it in tables, or set "
                      "another synced_at");
    }
    const auto begin = mapped.columns.begin();
    if (std::any_of(begin, begin + static_cast<std::ptrdiff_t>(i), is_same)) {
      found.push_back("would have two columns " + quote_name(name) +
                      ": change columns.rename in tables");
    }
  }
  return found;
}

std::vector<std::string> Mapping::unknown_columns(const Relation& source, const Layout& row) const {
  std::vector<std::string> unknown;
  const TableRule* const rule = rule_of(source);
  // One for many tables names columns of any of them.
  if (rule == nullptr || rule->match.find_first_of("*?") != std::string::npos) return unknown;
  for (const auto& name : rule->exclude) {
    if (!has_column(row, name)) unknown.push_back(name);
  }
  for (const auto& [name, to] : rule->rename) {
    if (!has_column(row, name)) unknown.push_back(name);
  }
  return unknown;
}

}  // namespace lockstep::postgres
