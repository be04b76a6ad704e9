#include "fit.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lockstep::postgres {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Where the last digit that is not 0 stands: 2 for 1.25, 0 for 7, -2 for 300.
int last_decimal(std::string_view number) {
  const auto exponent_at = std::min(number.find_first_of("eE"), number.size());
  int exponent = 0;
  if (exponent_at + 1 < number.size()) {
    auto digits = number.substr(exponent_at + 1);
    if (digits.front() == '+') digits.remove_prefix(1);
    std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  }
  const auto digits = number.substr(0, exponent_at);
  const auto last = digits.find_last_of("123456789");
  if (last == std::string_view::npos) return std::numeric_limits<int>::min();  // zero, or NaN
  const auto point = std::min(digits.find('.'), digits.size());
  const int place =
      last > point ? static_cast<int>(last - point) : -static_cast<int>(point - last - 1);
  return place - exponent;
}

/// Digits of the seconds' fraction, without zeros at the end.
int second_decimals(std::string_view time) {
  const auto point = time.find('.');
  if (point == std::string_view::npos) return 0;
  auto fraction = time.substr(point + 1);
  fraction = fraction.substr(
      0, static_cast<std::size_t>(std::find_if_not(fraction.begin(), fraction.end(), is_digit) -
                                  fraction.begin()));
  const auto last = fraction.find_last_not_of('0');
  return last == std::string_view::npos ? 0 : static_cast<int>(last) + 1;
}

/// Whether PostgreSQL would cut blanks off to make it `limit` characters.
bool loses_blanks(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return false;
  const auto is_first_byte = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  const auto size =
      static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_first_byte));
  const auto last = text.find_last_not_of(' ');
  const std::size_t at_end = text.size() - (last == std::string_view::npos ? 0 : last + 1);
  return size > limit && size - at_end <= limit;
}

bool is_single_precision(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return true;
  if (!std::isfinite(value)) return true;
  const auto narrow = static_cast<float>(value);
  // The smallest are written with more digits than they have.
  if (std::abs(value) <= std::numeric_limits<float>::min()) return narrow != 0 || value == 0;
  if (static_cast<double>(narrow) == value) return true;
  std::array<char, 32> shortest;
  const auto written = std::to_chars(shortest.data(), shortest.data() + shortest.size(), narrow);
  double again = 0;
  std::from_chars(shortest.data(), written.ptr, again);
  return again == value;
}

/// Digits only, and as many as base64 has: the one or the other.
bool may_be_base64(std::string_view text) {
  return text.size() % 4 == 0 && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_multiple(std::string_view number, int of) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  return error != std::errc{} || end != number.data() + number.size() || value % of == 0;
}

bool one_fits(const Fit& fit, std::string_view value) {
  switch (fit.rule) {
    case Fit::Rule::any:
    case Fit::Rule::text:
      return true;
    case Fit::Rule::sure_decimal:
      return !may_be_base64(value);
    case Fit::Rule::decimals:
      return last_decimal(value) <= fit.limit;
    case Fit::Rule::second_decimals:
      return second_decimals(value) <= fit.limit;
    case Fit::Rule::multiple:
      return is_multiple(value, fit.limit);
    case Fit::Rule::characters:
      return !loses_blanks(value, static_cast<std::size_t>(fit.limit));
    case Fit::Rule::single_precision:
      return is_single_precision(value);
    case Fit::Rule::label:
      return std::find(fit.labels.begin(), fit.labels.end(), value) != fit.labels.end();
  }
  return true;
}

/// The first that does not fit. Of a literal as the decoder writes it, {1,NULL,"a \"b\""}, or JSON.
std::optional<std::string> misfit_in(const Fit& fit, std::string_view literal) {
  if (literal == "{}" || literal == "[]") return std::nullopt;
  std::string element;
  for (std::size_t at = 1; at < literal.size(); ++at) {
    element.clear();
    const bool is_quoted = literal[at] == '"';
    if (is_quoted) ++at;
    const auto is_end = [&](char c) {
      return is_quoted ? c == '"' : c == ',' || c == '}' || c == ']';
    };
    for (; at < literal.size() && !is_end(literal[at]); ++at) {
      if (literal[at] == '\\' && at + 1 < literal.size()) ++at;
      element += literal[at];
    }
    if (is_quoted) ++at;  // to the comma or the brace
    const bool is_null = !is_quoted && (element == "NULL" || element == "null");
    if (!is_null && !one_fits(fit, element)) return element;
  }
  return std::nullopt;
}

}  // namespace

bool fits(const Fit& fit, const Cell& cell) {
  const bool is_number = cell.kind() == Cell::Kind::bare_number;
  if (fit.rule == Fit::Rule::text) return !is_number;
  if (fit.rule == Fit::Rule::sure_decimal && is_number) return true;
  return fit.in_array ? !misfit_in(fit, cell.view()) : one_fits(fit, cell.view());
}

std::optional<Label> missing_label(const Fit& fit, const Cell& cell) {
  if (!fit.in_array && one_fits(fit, cell.view())) return std::nullopt;
  const auto name = fit.in_array ? misfit_in(fit, cell.view()) : std::string{cell.view()};
  if (!name) return std::nullopt;
  return Label{fit.type, *name};
}

}  // namespace lockstep::postgres
