#include "forms.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace lockstep::fuzz {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes what `rest` begins with off it.
bool take(std::string_view& rest, std::string_view prefix) {
  if (!rest.starts_with(prefix)) return false;
  rest.remove_prefix(prefix.size());
  return true;
}

/// The digits that `rest` begins with.
std::string_view take_digits(std::string_view& rest) {
  const auto count =
      static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_digit) - rest.begin());
  const auto digits = rest.substr(0, count);
  rest.remove_prefix(count);
  return digits;
}

/// Two digits up to `most`.
bool take_two(std::string_view& rest, int most) {
  if (rest.size() < 2 || !is_digit(rest[0]) || !is_digit(rest[1])) return false;
  const int value = (rest[0] - '0') * 10 + rest[1] - '0';
  rest.remove_prefix(2);
  return value <= most;
}

bool is_integer(std::string_view text) {
  const bool negative = take(text, "-");
  const auto digits = take_digits(text);
  return text.empty() && !digits.empty() && (digits == "0" ? !negative : digits[0] != '0');
}

bool is_number(std::string_view text) {
  take(text, "-");
  const auto whole = take_digits(text);
  if (whole.empty() || (whole.size() > 1 && whole[0] == '0')) return false;
  if (take(text, ".") && take_digits(text).empty()) return false;
  if (take(text, "e") || take(text, "E")) {
    if (!take(text, "+")) take(text, "-");
    if (take_digits(text).empty()) return false;
  }
  return text.empty();
}

bool is_number_or_special(std::string_view text) {
  return text == "NaN" || text == "Infinity" || text == "-Infinity" || is_number(text);
}

bool is_bits(std::string_view text) {
  return text.find_first_not_of("01") == std::string_view::npos;
}

bool is_stored_text(std::string_view text) {
  return is_utf8(text) && text.find('\0') == std::string_view::npos;
}

/// "23:59:59.5"
bool take_time(std::string_view& rest) {
  const bool is_midnight = rest.starts_with("24:");
  const auto whole = rest;
  if (!take_two(rest, 24) || !take(rest, ":") || !take_two(rest, 59) || !take(rest, ":") ||
      !take_two(rest, 59)) {
    return false;
  }
  if (take(rest, ".")) {
    const auto fraction = take_digits(rest);
    if (fraction.empty() || fraction.size() > 9 || fraction.back() == '0') return false;
  }
  return !is_midnight || whole.substr(0, whole.size() - rest.size()) == "24:00:00";
}

/// "+00", "-05:30:15"
bool take_offset(std::string_view& rest) {
  if (!take(rest, "+") && !take(rest, "-")) return false;
  if (!take_two(rest, 59)) return false;
  for (int part = 0; part < 2 && take(rest, ":"); ++part) {
    if (!take_two(rest, 59)) return false;
  }
  return true;
}

bool is_infinity(std::string_view text) {
  return text == "infinity" || text == "-infinity";
}

bool is_timestamp(std::string_view text, bool has_offset) {
  if (is_infinity(text)) return true;
  const auto space = text.find(' ');
  if (space == std::string_view::npos) return false;
  std::string date{text.substr(0, space)};
  text.remove_prefix(space + 1);
  if (!take_time(text) || (has_offset && !take_offset(text))) return false;
  constexpr std::int64_t first = -2'440'588;  // 4714-11-24 BC
  constexpr std::int64_t last = 106'762'939;  // 294276-12-31
  const auto days = days_of(date.append(text));
  return days && *days >= first && *days <= last;
}

bool is_interval(std::string_view text) {
  if (take(text, "P")) return text.find_first_not_of("0123456789.-+YMWDTHS") == text.npos;
  if (text.find(" days ") != text.npos) {
    take(text, "-");
    if (take_digits(text).empty() || !take(text, " days ")) return false;
  }
  take(text, "-");
  return take_time(text) && text.empty();
}

bool is_point(std::string_view text) {
  if (!take(text, "(") || !text.ends_with(')')) return false;
  text.remove_suffix(1);
  const auto x = take_until(text, ',');
  return is_number_or_special(x) && is_number_or_special(text);
}

void check_cell(const Column& column, const Cell& cell) {
  switch (cell.kind()) {
    case Cell::Kind::null:
    case Cell::Kind::unchanged:
      require(cell.view().empty(), "a cell without a value has bytes", cell.view());
      return;
    case Cell::Kind::bare_number:
      require(column.type == ValueType::untyped && is_number(cell.view()), "a bare number is none",
              cell.view());
      return;
    case Cell::Kind::value:
      break;
  }
  if (!column.is_array) {
    require(has_form(column.type, cell.view()), "a cell is not of its column's form", cell.view());
    return;
  }
  require(is_stored_text(cell.view()), "an array is no text", cell.view());
  const auto elements = elements_of(cell.view());
  require(elements.has_value(), "an array is no literal", cell.view());
  for (const auto& element : *elements) {
    if (!element) continue;
    const bool fits = column.type == ValueType::bytes
                          ? element->starts_with("\\x") && element->size() % 2 == 0
                          : has_form(column.type, *element);
    require(fits, "an element is not of its array's form", *element);
  }
}

void check_cells(const Layout* layout, std::span<const Cell> cells) {
  require(layout != nullptr, "cells without a layout");
  require(layout->columns.size() == cells.size(), "as many cells as columns");
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Column& column = layout->columns[i];
    require(is_stored_text(column.name), "a column's name is no name", column.name);
    require(is_stored_text(column.declared), "a column's type is no name", column.declared);
    check_cell(column, cells[i]);
  }
}

bool has_unchanged(std::span<const Cell> cells) {
  return std::any_of(cells.begin(), cells.end(), [](const Cell& c) { return c.is_unchanged(); });
}

}  // namespace

void require(bool holds, std::string_view what, std::string_view of) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(std::min<std::size_t>(of.size(), 1000)), of.data());
  std::abort();
}

std::string_view take_until(std::string_view& rest, char separator) {
  const auto end = std::min(rest.find(separator), rest.size());
  const auto part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || text.size() < size) return false;
    std::uint32_t point = size == 1 ? first : first & (0xFFU >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
      const auto next = static_cast<unsigned char>(text[i]);
      if ((next & 0xC0) != 0x80) return false;
      point = point << 6 | (next & 0x3FU);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[size] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
      return false;
    }
    text.remove_prefix(size);
  }
  return true;
}

bool has_form(ValueType type, std::string_view text) {
  switch (type) {
    case ValueType::boolean:
      return text == "t" || text == "f";
    case ValueType::integer:
      return is_integer(text);
    case ValueType::floating:
    case ValueType::numeric:
      return is_number_or_special(text);
    case ValueType::text:
    case ValueType::untyped:
      return is_stored_text(text);
    case ValueType::bytes:
      return true;
    case ValueType::bits:
    case ValueType::varbits:
      return is_bits(text);
    case ValueType::date:
      return is_infinity(text) || days_of(text).has_value();
    case ValueType::time:
      return take_time(text) && text.empty();
    case ValueType::timetz:
      return is_infinity(text) || (take_time(text) && take_offset(text) && text.empty());
    case ValueType::timestamp:
      return is_timestamp(text, false);
    case ValueType::timestamptz:
      return is_timestamp(text, true);
    case ValueType::interval:
      return is_interval(text);
    case ValueType::point:
      return is_point(text);
    case ValueType::unsupported:
      return false;
  }
  return false;
}

std::optional<std::int64_t> days_of(std::string_view date) {
  const bool before_christ = date.ends_with(" BC");
  if (before_christ) date.remove_suffix(3);
  const auto digits = take_digits(date);
  if (digits.size() < 4 || digits.size() > 7 || (digits.size() > 4 && digits[0] == '0')) return {};
  std::int64_t year = std::stoll(std::string{digits});
  if (year < 1) return {};
  if (before_christ) year = 1 - year;
  if (date.size() != 6 || date[0] != '-' || date[3] != '-') return {};
  date.remove_prefix(1);
  const int month = std::atoi(std::string{date.substr(0, 2)}.c_str());
  const int day = std::atoi(std::string{date.substr(3, 2)}.c_str());
  if (!take_two(date, 12) || !take(date, "-") || !take_two(date, 31)) return {};
  const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  const int days_of_months[] = {31, is_leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || day < 1 || day > days_of_months[month - 1]) return {};
  // The years before this one since 1 BC, moved into the positive by eras of 400 years.
  constexpr std::int64_t eras = 20;
  const std::int64_t before = year + eras * 400 - 1;
  std::int64_t days = before * 365 + before / 4 - before / 100 + before / 400;
  for (int i = 1; i < month; ++i) days += days_of_months[i - 1];
  constexpr std::int64_t days_from_0001_to_1970 = 719'162;
  return days + day - 1 - eras * 146'097 - days_from_0001_to_1970;
}

std::optional<Elements> elements_of(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != '{' || literal.back() != '}') return {};
  literal = literal.substr(1, literal.size() - 2);
  Elements elements;
  if (literal.empty()) return elements;
  for (;;) {
    std::string element;
    if (take(literal, "\"")) {
      while (!literal.empty() && literal.front() != '"') {
        if (literal.front() == '\\') literal.remove_prefix(1);
        if (literal.empty()) return {};
        element += literal.front();
        literal.remove_prefix(1);
      }
      if (!take(literal, "\"")) return {};
      elements.emplace_back(std::move(element));
    } else {
      const auto end = std::min(literal.find(','), literal.size());
      element = literal.substr(0, end);
      literal.remove_prefix(end);
      if (element.empty() || element.find_first_of("{}\"\\ \t\n\r\v\f") != element.npos) return {};
      std::string lower = element;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
      elements.push_back(lower == "null" ? std::nullopt : std::optional{std::move(element)});
    }
    if (literal.empty()) return elements;
    if (!take(literal, ",")) return {};
  }
}

void check(const Change& change) {
  require(change.relation != nullptr, "a change has a table");
  require(is_stored_text(change.relation->schema) && is_stored_text(change.relation->table) &&
              !change.relation->table.empty(),
          "a table's name is no name", to_string(*change.relation));
  require(is_stored_text(change.source_position), "a position is no text", change.source_position);

  if (is_upsert(change.op)) {
    check_cells(change.row_layout, change.row);
    require(change.has_unchanged == has_unchanged(change.row), "has_unchanged");
  } else {
    require(change.row_layout == nullptr && change.row.empty() && !change.has_unchanged,
            "only upserts have rows");
  }
  if (change.op == Op::truncate) {
    require(change.key.empty() && change.key_bytes.empty(), "a truncate has a key");
  } else if (change.has_key || change.key_layout != nullptr) {
    check_cells(change.key_layout, change.key);
    require(!has_unchanged(change.key), "a key was not sent");
    require(!change.has_key || !change.key_bytes.empty(), "a key has no bytes");
  }
  if (const Key* const other = change.other_key) {
    require(change.op == Op::create || change.op == Op::remove, "a row keeps its key");
    require(other->layout == change.key_layout, "the other key is of another layout");
    check_cells(other->layout, other->cells);
    require(!has_unchanged(other->cells), "the other key was not sent");
  }
}

std::string text_of(const Layout* layout, std::span<const Cell> cells) {
  std::string text = "{";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Column& column = layout->columns[i];
    text.append(column.name).append(":").append(column.described);
    text += static_cast<char>('0' + static_cast<int>(cells[i].kind()));
    text.append(cells[i].view()) += ',';
  }
  return text + '}';
}

std::string text_of(const Change& change) {
  std::string text{static_cast<char>('0' + static_cast<int>(change.op))};
  text += to_string(*change.relation) + text_of(change.key_layout, change.key);
  text += text_of(change.row_layout, change.row);
  text.append(change.key_bytes).append(change.source_position);
  text += std::to_string(change.source_ts_us);
  if (const Key* const other = change.other_key) {
    text += text_of(other->layout, other->cells).append(other->bytes);
  }
  return text;
}

}  // namespace lockstep::fuzz
