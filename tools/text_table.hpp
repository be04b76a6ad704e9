#pragma once

#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::tools {

/// Rows of text as aligned columns, control characters as printable() shows them.
class TextTable {
 public:
  struct Column {
    std::string title;
    bool right = false;  ///< aligned to the right: numbers
  };
  using Row = std::vector<std::optional<std::string>>;  ///< nullopt: NULL, shown as ∅

  /// Longer cells are cut and end with …; 0: no limit. Without it: 40 columns on a terminal.
  TextTable(std::vector<Column> columns, std::size_t widest_cell)
      : columns_{std::move(columns)}, widest_cell_{widest_cell} {}
  explicit TextTable(std::vector<Column> columns);

  void add(const Row& row);
  void print(std::ostream& out) const;  ///< standard output, or what has no colours
  bool has_null() const noexcept { return has_null_; }

 private:
  std::string cell(std::string_view text) const;

  std::vector<Column> columns_;
  std::size_t widest_cell_;
  std::vector<std::vector<std::string>> rows_;
  bool has_null_ = false;
};

/// Columns that a terminal gives it; about, since fonts differ.
std::size_t display_width(std::string_view utf8);

}  // namespace lockstep::tools
