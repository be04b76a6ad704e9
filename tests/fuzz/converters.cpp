// The functions that turn one form of a value into another, each against its inverse or against a
// naive one. Input: a byte that chooses the function, then what it is given.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>

#include "debezium/array.hpp"
#include "debezium/binary.hpp"
#include "debezium/number.hpp"
#include "debezium/placeholder.hpp"
#include "debezium/temporal.hpp"
#include "forms.hpp"
#include "postgres/array.hpp"
#include "postgres/error.hpp"
#include "postgres/fit.hpp"

namespace {

using namespace lockstep;
using namespace lockstep::debezium;
using namespace lockstep::fuzz;

constexpr std::int64_t seconds_per_day = 86'400;

/// Takes values off the input.
class Input {
 public:
  explicit Input(std::string_view bytes) : rest_{bytes} {}
  template <class T>
  T number() {
    T value{};
    const std::size_t size = std::min(sizeof value, rest_.size());
    if (size > 0) std::memcpy(&value, rest_.data(), size);
    rest_.remove_prefix(size);
    return value;
  }
  std::string_view rest() const { return rest_; }
  std::string_view until(char separator) { return take_until(rest_, separator); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// Of a time as has_form() has checked it.
std::int64_t nanos_of(std::string_view time) {
  const auto part = [&](std::size_t at) { return (time[at] - '0') * 10 + time[at + 1] - '0'; };
  std::string fraction{time.size() > 9 ? time.substr(9) : ""};
  fraction.resize(9, '0');
  return (part(0) * 3600 + part(3) * 60 + part(6)) * nanos_per_second + std::stoll(fraction);
}

void date(Input in) {
  const auto days = in.number<std::int64_t>();
  const auto text = date_of_days(days);
  const bool is_in_range = days >= -2'440'588 && days <= 2'145'042'905;
  require(text.has_value() == is_in_range, "the range of dates");
  if (!text) return;
  require(days_of(text->view()) == days, "a date is another day", text->view());
}

void time_of_day(Input in) {
  const auto nanos = in.number<std::int64_t>();
  const auto text = time_of_nanos(nanos);
  require(text.has_value() == (nanos >= 0 && nanos <= seconds_per_day * nanos_per_second),
          "the range of times");
  if (!text) return;
  require(has_form(ValueType::time, text->view()), "a time has no form of one", text->view());
  require(nanos_of(text->view()) == nanos, "a time is another", text->view());
}

/// In the Julian calendar each fourth year is a leap year.
std::int64_t julian_days_of(std::int64_t year, int month, int day) {
  constexpr int before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  const std::int64_t before = year + 8000 - 1;  // years since 8001 BC
  const bool is_leap = (year + 8000) % 4 == 0;
  constexpr std::int64_t to_epoch = 3'641'164;
  return before * 365 + before / 4 + before_month[month - 1] + (is_leap && month > 2 ? 1 : 0) +
         day - 1 - to_epoch;
}

void timestamp(Input in) {
  const auto seconds = in.number<std::int64_t>();
  const auto nanos = static_cast<std::int64_t>(in.number<std::uint32_t>() % nanos_per_second);
  const auto calendar =
      in.number<char>() % 2 == 0 ? Calendar::gregorian : Calendar::julian_before_1582;
  const auto text = timestamp_of(seconds, nanos, calendar);
  std::int64_t day = seconds / seconds_per_day;
  if (seconds % seconds_per_day < 0) --day;
  require(text.has_value() == (day >= -2'440'588 && day <= 106'762'939), "the range of timestamps");
  if (!text) return;
  const auto view = text->view();
  const auto space = view.find(' ');
  require(space != view.npos, "a timestamp has a date and a time", view);
  std::string date_text{view.substr(0, space)};
  std::string_view time = view.substr(space + 1);
  const bool before_christ = time.ends_with(" BC");
  if (before_christ) time.remove_suffix(3);
  require(has_form(ValueType::time, time), "a timestamp's time", view);
  require(nanos_of(time) == (seconds - day * seconds_per_day) * nanos_per_second + nanos,
          "a timestamp's time is another", view);
  if (calendar == Calendar::julian_before_1582 && day < -141'427) {
    const std::int64_t year = std::stoll(date_text);
    const auto month_at = date_text.size() - 5;
    require(julian_days_of(before_christ ? 1 - year : year, std::stoi(date_text.substr(month_at)),
                           std::stoi(date_text.substr(month_at + 3))) == day,
            "a Julian date is another day", view);
  } else {
    require(days_of(date_text + (before_christ ? " BC" : "")) == day, "a date is another day",
            view);
  }
}

void interval(Input in) {
  const auto micros = in.number<std::int64_t>();
  const auto text = interval_of_micros(micros);
  std::string_view rest = text.view();
  require(has_form(ValueType::interval, rest), "an interval has no form of one", rest);
  const bool negative = rest.starts_with('-');
  const auto days_end = rest.find(" days ");
  const __int128 days = days_end == rest.npos ? 0 : std::stoll(std::string{rest});
  if (days_end != rest.npos) rest.remove_prefix(days_end + 6);
  if (rest.starts_with('-')) rest.remove_prefix(1);
  const __int128 time = nanos_of(rest) / 1000;
  require(days * seconds_per_day * 1'000'000 + (negative ? -time : time) == micros,
          "an interval is another", text.view());
}

void iso(Input in) {
  const auto what = in.number<std::uint8_t>() % 6;
  constexpr std::optional<ShortText> (*convert[])(std::string_view) = {
      date_of_iso,       time_of_iso, timetz_of_iso, timestamp_of_iso, julian_timestamp_of_iso,
      timestamptz_of_iso};
  constexpr ValueType types[] = {ValueType::date,      ValueType::time,
                                 ValueType::timetz,    ValueType::timestamp,
                                 ValueType::timestamp, ValueType::timestamptz};
  const std::string text{in.rest()};  // on the heap: reading behind it shows
  const auto converted = convert[what](text);
  if (!converted) return;
  // A Julian 29 February is none of the Gregorian calendar.
  if (what != 4) require(has_form(types[what], converted->view()), "the form", converted->view());
}

/// A digit at a time, bits in a queue.
std::optional<std::string> naive_base64(std::string_view text, bool url_safe) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (char c : text) {
    if (url_safe && c == '-') c = '+';
    if (url_safe && c == '_') c = '/';
    const auto digit = alphabet.find(c);
    if (digit == alphabet.npos) return std::nullopt;
    bits = bits << 6 | static_cast<unsigned>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count);
    bits &= (1U << count) - 1;
  }
  if (bits != 0 || count > 4) return std::nullopt;
  return bytes;
}

void base64(Input in) {
  const auto alphabet =
      in.number<char>() % 2 == 0 ? Base64::standard : Base64::standard_or_url_safe;
  Arena arena;
  const auto bytes = bytes_of_base64(in.rest(), arena, alphabet);
  const auto naive = naive_base64(in.rest(), alphabet == Base64::standard_or_url_safe);
  require(bytes.has_value() == naive.has_value(), "whether it is base64", in.rest());
  if (bytes) require(*bytes == *naive, "what base64 says", in.rest());
}

void hexadecimal(Input in) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const char c : in.rest()) {
    hex += digits[static_cast<unsigned char>(c) >> 4];
    hex += digits[static_cast<unsigned char>(c) & 0xF];
  }
  Arena arena;
  require(bytes_of_hex(hex, arena) == in.rest(), "what hexadecimal digits say", hex);
}

/// The value of the digits, and of the bytes, modulo two primes.
void decimal(Input in) {
  const std::int64_t scale = in.number<std::int16_t>() * (in.number<char>() % 2 == 0 ? 1 : 4);
  const std::string_view unscaled = in.rest();
  Arena arena;
  const auto text = decimal_of(unscaled, scale, arena);
  if (unscaled.empty() || scale > 16'383 || scale < -131'072) {
    require(!text, "a number out of range");
    return;
  }
  require(text.has_value(), "a small number in range");
  require(has_form(ValueType::numeric, *text), "the form of a number", *text);
  const auto point = text->find('.');
  const auto decimals = point == text->npos ? 0 : text->size() - point - 1;
  require(static_cast<std::int64_t>(decimals) == std::max<std::int64_t>(scale, 0),
          "digits after the point", *text);
  for (const std::uint64_t prime : {2'147'483'647ULL, 998'244'353ULL}) {
    std::uint64_t of_bytes = (unscaled[0] & 0x80) != 0 ? prime - 1 : 0;
    for (const char c : unscaled) {
      of_bytes = (of_bytes * 256 + static_cast<unsigned char>(c)) % prime;
    }
    for (std::int64_t i = scale; i < 0; ++i) of_bytes = of_bytes * 10 % prime;
    std::uint64_t of_digits = 0;
    for (const char c : *text) {
      if (c >= '0') of_digits = (of_digits * 10 + static_cast<unsigned>(c - '0')) % prime;
    }
    if (text->front() == '-') of_digits = (prime - of_digits) % prime;
    require(of_bytes == of_digits, "a number is another", *text);
  }
}

void bits(Input in) {
  const std::size_t length = in.number<std::uint16_t>();
  const auto bytes = in.rest();
  Arena arena;
  const auto text = bits_of(bytes, length, arena);
  std::string expected;  // least significant first
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) expected += (c >> bit & 1) != 0 ? '1' : '0';
  }
  const bool fits = expected.size() <= length || expected.find('1', length) == expected.npos;
  expected.resize(length, '0');
  std::reverse(expected.begin(), expected.end());
  require(text.has_value() == fits, "whether bits fit");
  if (text) require(*text == expected, "bits are others", *text);
}

void array_literal(Input in) {
  ArrayLiteral literal;
  Elements elements;
  while (!in.empty()) {
    const auto kind = in.number<std::uint8_t>() % 4;
    const auto element = in.until('\x1f');
    if (kind == 0) {
      literal.add_null();
      elements.emplace_back();
    } else if (kind == 1) {
      literal.add_bytes(element);
      std::string hex = "\\x";
      for (const char c : element) {
        constexpr std::string_view digits = "0123456789abcdef";
        hex += digits[static_cast<unsigned char>(c) >> 4];
        hex += digits[static_cast<unsigned char>(c) & 0xF];
      }
      elements.emplace_back(std::move(hex));
    } else {
      literal.add(element);
      elements.emplace_back(element);
    }
  }
  const auto text = std::move(literal).finish();
  require(elements_of(text) == elements, "an array is another", text);
  // What goes through the literal without any knowledge of it.
  postgres::Fit fit{.rule = postgres::Fit::Rule::second_decimals, .limit = 3, .in_array = true};
  postgres::fits(fit, Cell{text});
}

template <class T>
void integer(Input in) {
  const std::string text{in.rest()};
  const auto value = integer_of<T>(text);
  T naive{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), naive);
  const auto first_digit = text.find_first_not_of('-');
  const bool has_zeros =
      first_digit != text.npos && text[first_digit] == '0' && text.size() > first_digit + 1;
  const bool is_integer = error == std::errc{} && end == text.data() + text.size() && !has_zeros;
  require(value.has_value() == is_integer, "whether it is an integer", text);
  if (value) require(*value == naive, "an integer is another", text);
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

/// An element's bytes as text, as PostgreSQL would write it.
std::string text_of_element(postgres::Element element, std::string_view bytes) {
  using postgres::Element;
  const auto number = big_endian(bytes);
  switch (element) {
    case Element::text:
    case Element::bytea:
      return std::string{bytes};
    case Element::int2:
      require(bytes.size() == 2, "an int2 has 2 bytes");
      return std::to_string(static_cast<std::int16_t>(number));
    case Element::int4:
      require(bytes.size() == 4, "an int4 has 4 bytes");
      return std::to_string(static_cast<std::int32_t>(number));
    case Element::int8:
      require(bytes.size() == 8, "an int8 has 8 bytes");
      return std::to_string(static_cast<std::int64_t>(number));
    case Element::timestamp:
    case Element::timestamptz:
      break;
  }
  require(bytes.size() == 8, "a timestamp has 8 bytes");
  constexpr std::int64_t from_1970_to_2000 = 946'684'800;
  const auto micros = static_cast<std::int64_t>(number);
  std::int64_t seconds = micros / 1'000'000;
  if (micros % 1'000'000 < 0) --seconds;
  const auto text =
      timestamp_of(seconds + from_1970_to_2000, (micros - seconds * 1'000'000) * 1000);
  require(text.has_value(), "a timestamp in PostgreSQL's range");
  return std::string{text->view()};
}

/// The same value in the one form that text_of_element() gives.
std::string plain(postgres::Element element, std::string text) {
  using postgres::Element;
  if (element == Element::timestamp || element == Element::timestamptz) {
    if (text.ends_with("+00")) text.resize(text.size() - 3);
    if (text.find('.') != text.npos) {
      while (text.ends_with('0')) text.pop_back();
      if (text.ends_with('.')) text.pop_back();
    }
  } else if (element != Element::text && element != Element::bytea) {
    const bool negative = text.starts_with('-');
    const auto first = text.find_first_not_of('0', negative ? 1 : 0);
    if (first == text.npos) return "0";
    text = (negative ? "-" : "") + text.substr(first);
  }
  return text;
}

void binary_array(Input in) {
  const auto element = static_cast<postgres::Element>(in.number<std::uint8_t>() % 7);
  postgres::BinaryArray array{element};
  Elements elements;
  while (!in.empty()) {
    const std::string text{in.until('\x1f')};
    if (text == "NULL") {
      array.add_null();
      elements.emplace_back();
    } else if (array.add(text)) {
      elements.emplace_back(plain(element, text));
    }
  }
  const std::string bytes = std::move(array).take();
  std::string_view rest = bytes;
  const auto take = [&](std::size_t size) {
    require(rest.size() >= size, "an array is too short");
    const auto part = rest.substr(0, size);
    rest.remove_prefix(size);
    return part;
  };
  require(big_endian(take(4)) == 1, "one dimension");
  const bool has_null = std::find(elements.begin(), elements.end(), std::nullopt) != elements.end();
  require(big_endian(take(4)) == (has_null ? 1 : 0), "has NULLs");
  take(4);
  require(big_endian(take(4)) == elements.size(), "its size");
  require(big_endian(take(4)) == 1, "its lower bound");
  for (const auto& expected : elements) {
    const auto size = big_endian(take(4));
    if (!expected) {
      require(size == 0xFFFFFFFF, "NULL");
      continue;
    }
    const auto text = text_of_element(element, take(size));
    require(text == *expected, "an element is another", text + " for " + *expected);
  }
  require(rest.empty(), "bytes behind an array");
}

/// A number's digits after the point, zeros at its end not counted, counted in another way.
void fitting(Input in) {
  using Rule = postgres::Fit::Rule;
  postgres::Fit fit{
      .rule = static_cast<Rule>(in.number<std::uint8_t>() % (static_cast<int>(Rule::label) + 1)),
      .limit = in.number<std::uint8_t>() + 1,
      .in_array = in.number<char>() % 4 == 0};
  const std::string text{in.rest()};
  const bool is_bare = has_form(ValueType::floating, text) && text.find_first_of("NI") == text.npos;
  const bool fits = postgres::fits(fit, Cell{text});
  if (is_bare) postgres::fits(fit, Cell{text, Cell::Kind::bare_number});
  if (fit.rule == Rule::decimals && is_bare && !fit.in_array &&
      text.find_first_of("eE") == text.npos) {
    const auto point = text.find('.');
    std::string decimals = point == text.npos ? "" : text.substr(point + 1);
    while (decimals.ends_with('0')) decimals.pop_back();
    require(fits == (decimals.size() <= static_cast<std::size_t>(fit.limit)), "decimals", text);
  }
  if (fit.rule == Rule::single_precision && is_bare && !fit.in_array) {
    // What a real is written as, it holds.
    float value{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc{}) return;
    char shortest[32];
    const auto written = std::to_chars(shortest, shortest + sizeof shortest, value);
    require(postgres::fits(fit, Cell{{shortest, static_cast<std::size_t>(written.ptr - shortest)}}),
            "a real fits", text);
  }
}

void server_error(Input in) {
  const std::string sqlstate{in.until('\n')};
  const std::string what{in.rest()};
  postgres::kind_of(sqlstate);
  const auto words = postgres::words_of(sqlstate, what);
  require(words.find('\n') == words.npos, "words are one line", words);
  require(!is_utf8(what) || is_utf8(words), "words are text", words);
  const auto fields = postgres::fields_of(what);
  require(!fields.schema.empty() || fields.table.empty(), "a table without a schema", what);
}

void placeholder(Input in) {
  const std::string text{in.rest()};
  const Placeholder made{text};
  require(made.is(text) == !text.empty(), "a placeholder is itself", text);
  ArrayLiteral literal;
  literal.add(text);
  require(made.is_array(std::move(literal).finish()) == !text.empty(), "an array of it", text);
  require(!made.is(text + "x"), "what merely contains it is data", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr void (*functions[])(Input) = {date,
                                          time_of_day,
                                          timestamp,
                                          interval,
                                          iso,
                                          base64,
                                          hexadecimal,
                                          decimal,
                                          bits,
                                          array_literal,
                                          integer<std::int8_t>,
                                          integer<std::int16_t>,
                                          integer<std::int32_t>,
                                          integer<std::int64_t>,
                                          binary_array,
                                          fitting,
                                          server_error,
                                          placeholder};
  if (size == 0) return 0;
  const std::string bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
  functions[data[0] % std::size(functions)](Input{bytes});
  return 0;
}
