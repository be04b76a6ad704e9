#include "text_table.hpp"

#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <utility>

#include "lockstep/model/printable.hpp"
#include "terminal.hpp"

namespace lockstep::tools {
namespace {

/// The first character of `text` (not empty) in bytes; an invalid byte is a character of its own.
std::size_t character_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t size = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= text.size() || (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 1;
  }
  return size;
}

std::size_t character_width(std::string_view character) {
  if (character.size() == 1) return 1;
  constexpr std::array<unsigned, 5> first_byte_mask{0, 0, 0x1F, 0x0F, 0x07};
  auto code = static_cast<unsigned char>(character[0]) & first_byte_mask[character.size()];
  for (const char c : character.substr(1)) {
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3FU);
  }
  const int width = ::wcwidth(static_cast<wchar_t>(code));  // needs a UTF-8 locale, else -1
  return width < 0 ? 1 : static_cast<std::size_t>(width);
}

}  // namespace

std::size_t display_width(std::string_view utf8) {
  std::size_t width = 0;
  while (!utf8.empty()) {
    const std::size_t size = character_size(utf8);
    width += character_width(utf8.substr(0, size));
    utf8.remove_prefix(size);
  }
  return width;
}

TextTable::TextTable(std::vector<Column> columns)
    : TextTable{std::move(columns), ::isatty(STDOUT_FILENO) != 0 ? 40U : 0U} {}

std::string TextTable::cell(std::string_view text) const {
  std::string shown;
  std::size_t width = 0;
  std::size_t fits = 0;  // bytes of `shown` that leave room for the …
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const auto character = text.substr(0, size);
    const std::string piece = printable(character);
    width += display_width(piece);
    if (widest_cell_ != 0 && width > widest_cell_) return shown.substr(0, fits) + "…";
    shown += piece;
    if (width < widest_cell_) fits = shown.size();
    text.remove_prefix(size);
  }
  return shown;
}

void TextTable::add(const Row& row) {
  std::vector<std::string> cells;
  for (const auto& value : row) {
    if (!value) has_null_ = true;
    cells.push_back(value ? cell(*value) : "∅");
  }
  rows_.push_back(std::move(cells));
}

void TextTable::print(std::ostream& out) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
  }
  const auto print_line = [&](const auto& text_of, const auto& manner) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& text = text_of(i);
      const std::string padding(widths[i] - display_width(text), ' ');
      line += (i == 0 ? "" : "  ") + (columns_[i].right ? padding + text : text + padding);
    }
    out << manner(line.substr(0, line.find_last_not_of(' ') + 1)) << '\n';
  };
  print_line([&](std::size_t i) -> const std::string& { return columns_[i].title; }, bold);
  std::vector<std::string> rules;
  for (const std::size_t width : widths) {
    std::string rule;
    for (std::size_t i = 0; i < width; ++i) rule += "─";
    rules.push_back(std::move(rule));
  }
  print_line([&](std::size_t i) -> const std::string& { return rules[i]; }, dim);
  for (const auto& row : rows_) {
    print_line([&](std::size_t i) -> const std::string& { return row[i]; },
               [](const std::string& line) { return line; });
  }
}

}  // namespace lockstep::tools
