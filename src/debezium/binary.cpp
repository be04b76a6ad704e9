#include "binary.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "text.hpp"

namespace lockstep::debezium {
namespace {

constexpr std::uint8_t no_digit = 0xFF;

constexpr std::array<std::uint8_t, 256> make_base64_digits(Base64 accepted) {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(no_digit);
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    digits[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  if (accepted == Base64::standard_or_url_safe) {
    digits['-'] = digits['+'];
    digits['_'] = digits['/'];
  }
  return digits;
}
constexpr auto standard_digits = make_base64_digits(Base64::standard);
constexpr auto all_digits = make_base64_digits(Base64::standard_or_url_safe);

// PostgreSQL's numeric: up to 131,072 digits before the point and 16,383 after it.
constexpr std::size_t most_digits = 131'072 + 16'383;
constexpr std::size_t most_unscaled_bytes = 61'232;  // enough for that many digits
constexpr std::int64_t largest_scale = 16'383;
constexpr std::int64_t smallest_scale = -131'072;

/// The digits of a big-endian magnitude, without zeros in front; empty for zero.
std::string digits_of(std::string_view magnitude) {
  std::vector<std::uint32_t> limbs;  // most significant first
  limbs.reserve(magnitude.size() / 4 + 1);
  for (std::size_t end = magnitude.size() % 4 == 0 ? 4 : magnitude.size() % 4, at = 0;
       at < magnitude.size(); end += 4) {
    std::uint32_t limb = 0;
    for (; at < end; ++at) limb = limb << 8 | static_cast<unsigned char>(magnitude[at]);
    limbs.push_back(limb);
  }
  constexpr std::uint32_t base = 1'000'000'000;
  std::vector<std::uint32_t> groups;  // of nine digits, least significant first
  for (std::size_t first = 0; first < limbs.size();) {
    std::uint64_t remainder = 0;
    for (std::size_t i = first; i < limbs.size(); ++i) {
      const std::uint64_t dividend = remainder << 32 | limbs[i];
      limbs[i] = static_cast<std::uint32_t>(dividend / base);
      remainder = dividend % base;
    }
    groups.push_back(static_cast<std::uint32_t>(remainder));
    while (first < limbs.size() && limbs[first] == 0) ++first;
  }
  std::string digits;
  digits.reserve(groups.size() * 9);
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    ShortText nine;
    nine.put(*group, group == groups.rbegin() ? 1 : 9);
    digits += nine.view();
  }
  if (digits == "0") digits.clear();
  return digits;
}

}  // namespace

std::optional<std::string_view> bytes_of_base64(std::string_view base64, Arena& arena,
                                                Base64 alphabet) {
  if (base64.empty()) return std::string_view{};
  const auto& values = alphabet == Base64::standard ? standard_digits : all_digits;
  if (base64.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = base64.back() != '=' ? 0 : (base64[base64.size() - 2] != '=' ? 1 : 2);
  const std::size_t size = base64.size() / 4 * 3 - padding;
  const std::size_t digits = base64.size() - padding;

  char* const bytes = arena.allocate_bytes(size);
  char* next = bytes;
  std::uint32_t bits = 0;
  std::uint8_t invalid = 0;
  std::size_t at = 0;
  const auto take_digit = [&] {
    const std::uint8_t digit = values[static_cast<unsigned char>(base64[at++])];
    invalid |= digit & 0x80U;
    bits = bits << 6 | (digit & 0x3FU);
  };
  while (digits - at >= 4) {
    bits = 0;
    for (int i = 0; i < 4; ++i) take_digit();
    *next++ = static_cast<char>(bits >> 16);
    *next++ = static_cast<char>(bits >> 8);
    *next++ = static_cast<char>(bits);
  }
  if (padding != 0) {
    bits = 0;
    while (at < digits) take_digit();
    const unsigned spare = padding == 1 ? 2 : 4;  // bits of the last digit that carry nothing
    if ((bits & ((1U << spare) - 1)) != 0) return std::nullopt;
    bits >>= spare;
    if (padding == 1) *next++ = static_cast<char>(bits >> 8);
    *next = static_cast<char>(bits);
  }
  if (invalid != 0) return std::nullopt;
  return std::string_view{bytes, size};
}

std::string_view bytes_of_hex(std::string_view hex, Arena& arena) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  const std::size_t size = hex.size() / 2;
  char* const bytes = arena.allocate_bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  }
  return {bytes, size};
}

std::optional<std::string_view> decimal_of(std::string_view unscaled, std::int64_t scale,
                                           Arena& arena) {
  if (unscaled.empty() || unscaled.size() > most_unscaled_bytes || scale > largest_scale ||
      scale < smallest_scale) {
    return std::nullopt;
  }
  const bool negative = static_cast<signed char>(unscaled.front()) < 0;
  std::string digits;
  if (negative) {
    std::string magnitude{unscaled};
    for (char& byte : magnitude) byte = static_cast<char>(~byte);
    auto last = magnitude.rbegin();
    while (last != magnitude.rend() && static_cast<unsigned char>(*last) == 0xFF) *last++ = 0;
    if (last == magnitude.rend()) {
      magnitude.insert(magnitude.begin(), 1);
    } else {
      ++*last;
    }
    digits = digits_of(magnitude);
  } else {
    digits = digits_of(unscaled);
  }

  std::string text;
  if (negative) text += '-';
  if (scale <= 0) {
    text += digits.empty() ? "0" : digits;
    if (!digits.empty()) text.append(static_cast<std::size_t>(-scale), '0');
  } else {
    const auto after_point = static_cast<std::size_t>(scale);
    if (digits.size() <= after_point) {
      digits.insert(0, after_point + 1 - digits.size(), '0');
    }
    text.append(digits, 0, digits.size() - after_point);
    text += '.';
    text.append(digits, digits.size() - after_point);
  }
  if (text.size() > most_digits + 2) return std::nullopt;
  return arena.copy(text);
}

std::optional<std::string_view> bits_of(std::string_view little_endian, std::size_t length,
                                        Arena& arena) {
  const auto is_set = [&](std::size_t bit) {
    return bit / 8 < little_endian.size() &&
           (static_cast<unsigned char>(little_endian[bit / 8]) >> bit % 8 & 1) != 0;
  };
  for (std::size_t bit = length; bit < little_endian.size() * 8; ++bit) {
    if (is_set(bit)) return std::nullopt;
  }
  char* const text = arena.allocate_bytes(length);
  for (std::size_t i = 0; i < length; ++i) text[i] = is_set(length - 1 - i) ? '1' : '0';
  return std::string_view{text, length};
}

}  // namespace lockstep::debezium
