#include "array.hpp"

#include <array>
#include <charconv>
#include <chrono>

namespace lockstep::postgres {

namespace {

constexpr std::size_t has_null_at = 4;
constexpr std::size_t size_at = 12;

struct ElementType {
  std::string_view name;
  std::uint32_t oid;  // pg_type.dat
};

ElementType type_of(Element element) {
  switch (element) {
    case Element::text:
      return {"text", 25};
    case Element::bytea:
      return {"bytea", 17};
    case Element::int2:
      return {"int2", 21};
    case Element::int4:
      return {"int4", 23};
    case Element::int8:
      return {"int8", 20};
    case Element::timestamp:
      return {"timestamp", 1114};
    case Element::timestamptz:
      return {"timestamptz", 1184};
  }
  return {};
}

template <class Int>
std::array<char, sizeof(Int)> big_endian(Int value) {
  std::array<char, sizeof(Int)> bytes{};
  auto rest = static_cast<std::uint64_t>(value);
  for (std::size_t i = bytes.size(); i > 0; --i) {
    bytes[i - 1] = static_cast<char>(rest & 0xFF);
    rest >>= 8;
  }
  return bytes;
}

template <class Int>
std::optional<Int> integer_of(std::string_view text) {
  Int value{};
  const auto* const end = text.data() + text.size();
  const auto [read_to, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || read_to != end) return std::nullopt;
  return value;
}

/// The number in all of `digits`; −1 if there is anything else.
int number_of(std::string_view digits) {
  int number = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  return number;
}

/// µs since 2000-01-01, PostgreSQL's binary form of both timestamps, from
/// "YYYY-MM-DD HH:MM:SS[.ffffff][+00]". nullopt for other forms: BC, year 10000, infinity.
std::optional<std::int64_t> micros_of(std::string_view text) {
  using namespace std::chrono;
  if (text.ends_with("+00")) text.remove_suffix(3);
  constexpr std::string_view form = "0000-00-00 00:00:00";
  if (text.size() < form.size()) return std::nullopt;
  for (const std::size_t i : {4U, 7U, 10U, 13U, 16U}) {
    if (text[i] != form[i]) return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t size) {
    return number_of(text.substr(at, size));
  };
  const int h = part(11, 2);
  const int m = part(14, 2);
  const int s = part(17, 2);
  const year_month_day date{year{part(0, 4)}, month{static_cast<unsigned>(part(5, 2))},
                            day{static_cast<unsigned>(part(8, 2))}};
  if (part(0, 4) < 1 || !date.ok() || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59) {
    return std::nullopt;
  }
  int fraction = 0;
  if (text.size() > form.size()) {
    const std::size_t digits = text.size() - form.size() - 1;
    if (text[form.size()] != '.' || digits < 1 || digits > 6) return std::nullopt;
    fraction = part(form.size() + 1, digits);
    if (fraction < 0) return std::nullopt;
    for (std::size_t i = digits; i < 6; ++i) fraction *= 10;
  }
  constexpr sys_days epoch{year{2000} / January / 1};
  const auto since = sys_days{date} - epoch + hours{h} + minutes{m} + seconds{s};
  return duration_cast<microseconds>(since).count() + fraction;
}

}  // namespace

std::string_view type_name(Element element) {
  return type_of(element).name;
}

BinaryArray::BinaryArray(Element element) : element_{element} {
  put(1);                     // dimensions
  put(0);                     // has NULLs: set at the end
  put(type_of(element).oid);  // element type
  put(0);                     // size of the dimension: set at the end
  put(1);                     // lower bound
}

bool BinaryArray::add(std::string_view text) {
  const auto add_number = [&](const auto& number) {
    if (!number) return false;
    const auto bytes = big_endian(*number);
    add_bytes({bytes.data(), bytes.size()});
    return true;
  };
  switch (element_) {
    case Element::text:
    case Element::bytea:
      add_bytes(text);
      return true;
    case Element::int2:
      return add_number(integer_of<std::int16_t>(text));
    case Element::int4:
      return add_number(integer_of<std::int32_t>(text));
    case Element::int8:
      return add_number(integer_of<std::int64_t>(text));
    case Element::timestamp:
    case Element::timestamptz:
      return add_number(micros_of(text));
  }
  return false;
}

void BinaryArray::add_null() {
  put(0xFFFFFFFF);
  has_null_ = true;
  ++size_;
}

std::string BinaryArray::take() && {
  put_at(has_null_at, has_null_ ? 1 : 0);
  put_at(size_at, size_);
  return std::move(data_);
}

void BinaryArray::add_bytes(std::string_view bytes) {
  put(static_cast<std::uint32_t>(bytes.size()));
  data_.append(bytes);
  ++size_;
}

void BinaryArray::put(std::uint32_t value) {
  const auto bytes = big_endian(value);
  data_.append(bytes.data(), bytes.size());
}

void BinaryArray::put_at(std::size_t at, std::uint32_t value) {
  const auto bytes = big_endian(value);
  data_.replace(at, bytes.size(), bytes.data(), bytes.size());
}

}  // namespace lockstep::postgres
