#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace lockstep {

/// The text with control characters shown as \n, \t, \x1b: it can neither break a line nor speak to
/// a terminal.
inline std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      shown += c;
    } else if (c == '\n') {
      shown += "\\n";
    } else if (c == '\t') {
      shown += "\\t";
    } else {
      std::array<char, 5> escape{};
      std::snprintf(escape.data(), escape.size(), "\\x%02x", byte);
      shown += escape.data();
    }
  }
  return shown;
}

}  // namespace lockstep
