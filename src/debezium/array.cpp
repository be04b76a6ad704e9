#include "array.hpp"

#include <algorithm>

namespace lockstep::debezium {
namespace {

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '+' || c == '.' || c == ':' || c == '_';
}

/// NULL without quotes is no text, in any case.
bool looks_like_null(std::string_view text) {
  constexpr std::string_view null = "null";
  return std::equal(text.begin(), text.end(), null.begin(), null.end(),
                    [](char c, char lower) { return (c | 0x20) == lower; });
}

}  // namespace

void ArrayLiteral::begin_element() {
  if (text_.size() > 1) text_ += ',';
}

void ArrayLiteral::add_null() {
  begin_element();
  text_ += "NULL";
}

void ArrayLiteral::add(std::string_view element) {
  begin_element();
  if (!element.empty() && std::all_of(element.begin(), element.end(), is_plain) &&
      !looks_like_null(element)) {
    text_ += element;
    return;
  }
  text_ += '"';
  for (const char c : element) {
    if (c == '"' || c == '\\') text_ += '\\';
    text_ += c;
  }
  text_ += '"';
}

void ArrayLiteral::add_bytes(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  begin_element();
  text_ += "\"\\\\x";
  for (const char c : bytes) {
    text_ += digits[static_cast<unsigned char>(c) >> 4];
    text_ += digits[static_cast<unsigned char>(c) & 0xF];
  }
  text_ += '"';
}

std::string ArrayLiteral::finish() && {
  text_ += '}';
  return std::move(text_);
}

}  // namespace lockstep::debezium
