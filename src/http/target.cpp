#include "target.hpp"

namespace lockstep::http {

namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view text, bool plus_is_blank) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = digit(text[i + 1]);
      const int low = digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    decoded += c;
  }
  return decoded;
}

/// The parts of `text` between `separator`s.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::optional<Target> parse_target(std::string_view target) {
  target = target.substr(0, target.find('#'));
  const auto question = target.find('?');
  const auto path = target.substr(0, question);
  if (path.empty() || path.front() != '/') return std::nullopt;
  Target parsed;
  for (const auto part : split(path.substr(1), '/')) {
    auto segment = decode(part, false);
    if (!segment) return std::nullopt;
    parsed.segments.push_back(*std::move(segment));
  }
  while (!parsed.segments.empty() && parsed.segments.back().empty()) parsed.segments.pop_back();
  if (question == std::string_view::npos) return parsed;
  for (const auto part : split(target.substr(question + 1), '&')) {
    const auto equals = part.find('=');
    auto name = decode(part.substr(0, equals), true);
    auto value = decode(
        equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
    if (!name || !value) return std::nullopt;
    if (!name->empty()) parsed.query[*std::move(name)] = *std::move(value);
  }
  return parsed;
}

std::optional<std::vector<std::string>> match_path(std::string_view path,
                                                   const std::vector<std::string>& segments) {
  std::vector<std::string> parameters;
  const auto parts = path == "/" ? std::vector<std::string_view>{} : split(path.substr(1), '/');
  if (parts.size() != segments.size()) return std::nullopt;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].front() == '{') {
      if (segments[i].empty()) return std::nullopt;
      parameters.push_back(segments[i]);
    } else if (parts[i] != segments[i]) {
      return std::nullopt;
    }
  }
  return parameters;
}

}  // namespace lockstep::http
