#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace lockstep::debezium {

/// An integer as JSON writes it; nullopt: anything else, or outside of T's range.
template <std::signed_integral T>
std::optional<T> integer_of(std::string_view token) {
  const bool negative = token.starts_with('-');
  const auto digits = token.substr(negative ? 1 : 0);
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  std::int64_t value = 0;
  if (digits.size() <= std::numeric_limits<std::int64_t>::digits10) {
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + (c - '0');
    }
    if (negative) value = -value;
  } else {
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  }
  if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max()) {
    return std::nullopt;
  }
  return static_cast<T>(value);
}

}  // namespace lockstep::debezium
