#include "fit.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

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

int significant_digits(std::string_view number) {
  number = number.substr(0, std::min(number.find_first_of("eE"), number.size()));
  number.remove_prefix(std::min(number.find_first_of("123456789"), number.size()));
  return static_cast<int>(std::count_if(number.begin(), number.end(), is_digit));
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

struct Interval {
  std::int64_t months = 0;
  std::int64_t days = 0;
  std::int64_t micros = 0;
};

/// Takes a whole number and up to six digits of a fraction off the front, as millionths.
std::optional<std::int64_t> take_millionths(std::string_view& rest) {
  std::int64_t whole = 0;
  const bool is_negative = !rest.empty() && rest.front() == '-';
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), whole);
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 2'000'000;
  if (error != std::errc{} || whole > most || whole < -most) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  std::int64_t fraction = 0;
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    std::int64_t digit = 100'000;
    for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1), digit /= 10) {
      fraction += (rest.front() - '0') * digit;
    }
  }
  return whole * 1'000'000 + (is_negative ? -fraction : fraction);
}

constexpr std::int64_t micros_per_second = 1'000'000;
constexpr std::int64_t micros_per_minute = 60 * micros_per_second;
constexpr std::int64_t micros_per_hour = 60 * micros_per_minute;

/// False: the sum is more than PostgreSQL holds, or 64 bits.
bool add(std::int64_t& sum, std::int64_t value, std::int64_t factor) {
  std::int64_t product = 0;
  return !__builtin_mul_overflow(value, factor, &product) &&
         !__builtin_add_overflow(sum, product, &sum);
}

/// P1Y2M3DT4H5M6.7S; each part can have a sign.
std::optional<Interval> interval_of_iso(std::string_view rest) {
  Interval interval;
  bool is_time = false;
  for (rest.remove_prefix(1); !rest.empty();) {
    if (rest.front() == 'T') {
      is_time = true;
      rest.remove_prefix(1);
      continue;
    }
    const auto millionths = take_millionths(rest);
    if (!millionths || rest.empty()) return std::nullopt;
    const auto whole = *millionths / 1'000'000;
    bool is_held = false;
    switch (rest.front()) {
      case 'Y':
        is_held = add(interval.months, whole, 12);
        break;
      case 'M':
        is_held = is_time ? add(interval.micros, whole, micros_per_minute)
                          : add(interval.months, whole, 1);
        break;
      case 'D':
        is_held = add(interval.days, whole, 1);
        break;
      case 'H':
        is_held = add(interval.micros, whole, micros_per_hour);
        break;
      case 'S':
        is_held = add(interval.micros, *millionths, 1);
        break;
      default:
        break;
    }
    if (!is_held) return std::nullopt;
    rest.remove_prefix(1);
  }
  return interval;
}

/// "-2 days -03:04:05.6"
std::optional<Interval> interval_of_days_and_time(std::string_view rest) {
  Interval interval;
  if (const auto at = rest.find(" days "); at != std::string_view::npos) {
    const auto days = take_millionths(rest);
    if (!days) return std::nullopt;
    interval.days = *days / 1'000'000;
    rest.remove_prefix(std::min(rest.size(), std::string_view{" days "}.size()));
  }
  const bool is_negative = !rest.empty() && rest.front() == '-';
  if (is_negative) rest.remove_prefix(1);
  for (const auto unit : {micros_per_hour, micros_per_minute, micros_per_second}) {
    const auto part = take_millionths(rest);
    if (!part || !add(interval.micros, *part, unit / micros_per_second)) return std::nullopt;
    if (!rest.empty()) rest.remove_prefix(1);
  }
  if (is_negative && __builtin_sub_overflow(0, interval.micros, &interval.micros)) {
    return std::nullopt;
  }
  return interval;
}

std::optional<Interval> interval_of_micros(std::string_view text) {
  Interval interval;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), interval.micros);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return interval;
}

/// Whether PostgreSQL would cut nothing off (AdjustIntervalForTypmod). What can't be read does not
/// fit.
bool ends_with_field(std::string_view text, int last) {
  if (text.empty()) return false;
  const bool is_micros = std::all_of(text.begin() + 1, text.end(), is_digit);  // schemaless
  const auto interval = text.front() == 'P' ? interval_of_iso(text)
                        : is_micros         ? interval_of_micros(text)
                                            : interval_of_days_and_time(text);
  if (!interval) return false;
  switch (last) {
    case Fit::years:
      return interval->months % 12 == 0 && interval->days == 0 && interval->micros == 0;
    case Fit::months:
      return interval->days == 0 && interval->micros == 0;
    case Fit::days:
      return interval->micros == 0;
    case Fit::hours:
      return interval->micros % micros_per_hour == 0;
    default:
      return interval->micros % micros_per_minute == 0;
  }
}

bool is_less_than_a_day(std::string_view micros) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(micros.data(), micros.data() + micros.size(), value);
  return error == std::errc{} && end == micros.data() + micros.size() &&
         value < 24 * micros_per_hour && value > -24 * micros_per_hour;
}

bool one_fits(const Fit& fit, std::string_view value) {
  switch (fit.rule) {
    case Fit::Rule::text:
      return true;
    case Fit::Rule::sure_decimal:
      return !may_be_base64(value);
    case Fit::Rule::decimals:
      return last_decimal(value) <= fit.limit;
    case Fit::Rule::second_decimals:
      return second_decimals(value) <= fit.limit;
    case Fit::Rule::interval_field:
      return ends_with_field(value, fit.limit);
    case Fit::Rule::day_micros:
      return is_less_than_a_day(value);
    case Fit::Rule::bytes:
      return value.size() <= static_cast<std::size_t>(fit.limit);
    case Fit::Rule::multiple:
      return is_multiple(value, fit.limit);
    case Fit::Rule::characters:
      return !loses_blanks(value, static_cast<std::size_t>(fit.limit));
    case Fit::Rule::single_precision:
      return significant_digits(value) <= fit.limit || is_single_precision(value);
    case Fit::Rule::label:
      return std::find(fit.labels.begin(), fit.labels.end(), value) != fit.labels.end();
  }
  return true;
}

/// The first that does not fit. Of a literal as the decoder writes it, {1,NULL,"a \"b\""}, or JSON.
std::optional<std::string> misfit_in(const Fit& fit, std::string_view literal) {
  const bool is_json = literal.starts_with('[');
  std::string element;
  for (std::size_t at = 1; at < literal.size(); ++at) {
    element.clear();
    const bool is_quoted = literal[at] == '"';
    if (is_quoted) ++at;
    const auto is_end = [&](char c) {
      return is_quoted ? c == '"' : c == ',' || c == '}' || c == ']';
    };
    for (; at < literal.size() && !is_end(literal[at]); ++at) {
      const bool is_escape = literal[at] == '\\' && at + 1 < literal.size();
      if (is_escape) ++at;
      if (is_escape && is_json && literal[at] == 'u') {  // four digits; twice for some characters
        const auto digits = literal.substr(at + 1, 4);
        const bool is_second =
            digits.size() == 4 && (digits[0] | 0x20) == 'd' && (digits[1] | 0x20) >= 'c';
        if (!is_second) element += '?';
        at += digits.size();
      } else {
        element += literal[at];
      }
    }
    if (is_quoted) ++at;  // to the comma or the brace
    if (!is_quoted && (element == "NULL" || element == "null" || element.empty())) continue;
    if (!one_fits(fit, element)) return element;
  }
  return std::nullopt;
}

}  // namespace

bool fits(const Fit& fit, const Cell& cell) {
  const bool is_number = cell.kind() == Cell::Kind::bare_number;
  if (fit.rule == Fit::Rule::text) return !is_number;
  if (fit.rule == Fit::Rule::sure_decimal && is_number) return true;
  if (fit.rule == Fit::Rule::day_micros && !is_number) return true;
  if (is_number && fit.rule == Fit::Rule::second_decimals) {  // an interval's microseconds
    int unit = 1'000'000;
    for (int digits = std::min(fit.limit, 6); digits > 0; --digits) unit /= 10;
    return is_multiple(cell.view(), unit);
  }
  return fit.in_array ? !misfit_in(fit, cell.view()) : one_fits(fit, cell.view());
}

std::optional<Label> missing_label(const Fit& fit, const Cell& cell) {
  if (!fit.in_array && one_fits(fit, cell.view())) return std::nullopt;
  const auto name = fit.in_array ? misfit_in(fit, cell.view()) : std::string{cell.view()};
  if (!name) return std::nullopt;
  return Label{fit.type, *name};
}

}  // namespace lockstep::postgres
