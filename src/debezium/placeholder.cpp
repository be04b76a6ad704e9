#include "placeholder.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "array.hpp"
#include "temporal.hpp"

namespace lockstep::debezium {
namespace {

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += digits[static_cast<unsigned char>(c) >> 4];
    hex += digits[static_cast<unsigned char>(c) & 0xF];
  }
  return hex;
}

std::string base64_of(std::string_view bytes, std::string_view alphabet) {
  std::string base64;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t bits = 0;
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      base64 += i <= count ? alphabet[bits >> (18 - 6 * i) & 0x3F] : '=';
    }
  }
  return base64;
}

/// RFC 1321; Java's UUID.nameUUIDFromBytes is made of it.
std::string md5_of(std::string_view text) {
  constexpr std::array<int, 16> shifts{7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
  std::string message{text};
  message += '\x80';
  while (message.size() % 64 != 56) message += '\0';
  const std::uint64_t length = text.size() * 8;
  for (int i = 0; i < 8; ++i) message += static_cast<char>(length >> 8 * i);

  std::array<std::uint32_t, 4> state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (std::size_t block = 0; block < message.size(); block += 64) {
    auto [a, b, c, d] = state;
    for (unsigned i = 0; i < 64; ++i) {
      std::uint32_t mixed = 0;
      unsigned word = 0;
      switch (i / 16) {
        case 0:
          mixed = (b & c) | (~b & d);
          word = i;
          break;
        case 1:
          mixed = (d & b) | (~d & c);
          word = (5 * i + 1) % 16;
          break;
        case 2:
          mixed = b ^ c ^ d;
          word = (3 * i + 5) % 16;
          break;
        default:
          mixed = c ^ (b | ~d);
          word = 7 * i % 16;
          break;
      }
      std::uint32_t value = 0;
      for (unsigned byte = 0; byte < 4; ++byte) {
        value |= std::uint32_t{static_cast<unsigned char>(message[block + word * 4 + byte])}
                 << 8 * byte;
      }
      const auto sine = static_cast<std::uint32_t>(
          std::floor(std::abs(std::sin(static_cast<double>(i + 1))) * 4294967296.0));
      mixed += a + sine + value;
      a = d;
      d = c;
      c = b;
      b += std::rotl(mixed, shifts[i / 16 * 4 + i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
  }
  std::string digest;
  for (const auto part : state) {
    for (int byte = 0; byte < 4; ++byte) digest += static_cast<char>(part >> 8 * byte);
  }
  return digest;
}

/// Java's UUID.nameUUIDFromBytes.
std::string uuid_of(std::string_view text) {
  std::string bytes = md5_of(text);
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x30);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  std::string hex = hex_of(bytes);
  for (const std::size_t at : {8U, 13U, 18U, 23U}) hex.insert(at, 1, '-');
  return hex;
}

std::string array_of(std::string_view element) {
  ArrayLiteral literal;
  literal.add(element);
  return std::move(literal).finish();
}

std::string bytes_array_of(std::string_view element) {
  ArrayLiteral literal;
  literal.add_bytes(element);
  return std::move(literal).finish();
}

/// Arrays of numbers have a number for each of the placeholder's bytes, arrays of dates a day.
std::string numbers_of(std::string_view text) {
  ArrayLiteral literal;
  for (const char c : text) literal.add(std::to_string(int{static_cast<signed char>(c)}));
  return std::move(literal).finish();
}

std::string dates_of(std::string_view text) {
  ArrayLiteral literal;
  for (const char c : text) literal.add(date_of_days(static_cast<signed char>(c))->view());
  return std::move(literal).finish();
}

}  // namespace

Placeholder::Placeholder(std::string_view text) {
  if (text.empty()) return;
  constexpr std::string_view standard =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  constexpr std::string_view url_safe =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  quoted += '"';
  std::string map = "{";
  map.append(quoted).append(":").append(quoted) += '}';
  scalars_ = {std::string{text}, base64_of(text, standard), base64_of(text, url_safe), hex_of(text),
              map};
  for (const auto& scalar : scalars_) sizes_ |= std::uint64_t{1} << scalar.size() % 64;
  arrays_ = {array_of(text), bytes_array_of(text), numbers_of(text), dates_of(text),
             array_of(uuid_of(text))};
  untyped_arrays_ = {numbers_of(text), array_of(uuid_of(text))};
  for (std::size_t i = 0; i < 4; ++i) untyped_arrays_.push_back(array_of(scalars_[i]));
}

bool Placeholder::is_one_of(const std::vector<std::string>& forms,
                            std::string_view value) noexcept {
  return std::find(forms.begin(), forms.end(), value) != forms.end();
}

}  // namespace lockstep::debezium
