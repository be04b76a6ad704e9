#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace lockstep {

/// PostgreSQL can't have it, in texts and names.
inline bool holds_nul(std::string_view text) {
  return !text.empty() && std::memchr(text.data(), '\0', text.size()) != nullptr;
}

/// What `text`, UTF-8, begins with, without a part of a character: at most `size` bytes.
inline std::string_view beginning_of(std::string_view text, std::size_t size) {
  const auto is_inside = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  if (size >= text.size()) return text;
  while (size > 0 && is_inside(size)) --size;
  return text.substr(0, size);
}

}  // namespace lockstep
