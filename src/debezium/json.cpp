#include "json.hpp"

#include <algorithm>
#include <bit>

namespace lockstep::debezium {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool contains(std::string_view text, char c) {
  return std::memchr(text.data(), c, text.size()) != nullptr;
}

// Readers of JSON that is known to be valid.

std::size_t skip_space(std::string_view json, std::size_t at) {
  while (at < json.size() && is_space(json[at])) ++at;
  return at;
}

std::size_t end_of_string(std::string_view json, std::size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return std::min(at + 1, json.size());
}

std::size_t end_of_value(std::string_view json, std::size_t at) {
  std::size_t depth = 0;
  while (at < json.size()) {
    const char c = json[at];
    if (c == '"') {
      at = end_of_string(json, at);
      if (depth == 0) return at;
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}' || c == ']' || is_space(c)))
      return at;  // a scalar's end
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return at;
}

}  // namespace

std::string json_key(std::string_view name) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string key;
  for (const char c : name) {
    switch (c) {
      case '"':
        key += "\\\"";
        break;
      case '\\':
        key += "\\\\";
        break;
      case '\b':
        key += "\\b";
        break;
      case '\f':
        key += "\\f";
        break;
      case '\n':
        key += "\\n";
        break;
      case '\r':
        key += "\\r";
        break;
      case '\t':
        key += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          key += "\\u00";
          key += hex[static_cast<unsigned char>(c) >> 4];
          key += hex[c & 0xF];
        } else {
          key += c;
        }
    }
  }
  key += '"';
  return key;
}

std::optional<std::string_view> JsonKey::text() const {
  std::string_view text;
  if (field_.unescaped_key().get(text) != simdjson::SUCCESS) return std::nullopt;
  return text;
}

std::string_view JsonValue::token() {
  if (token_.empty()) token_ = without_trailing_space(value_.raw_json_token());
  return token_;
}

std::optional<std::string_view> JsonValue::text() {
  const auto written = token();
  if (written.size() < 2 || written.front() != '"' || written.back() != '"') return std::nullopt;
  // Most strings have no escapes: they are what stands between the quotes. (A token that begins
  // with a quote ends with the string: the parser has found the next token behind it.)
  const auto inside = written.substr(1, written.size() - 2);
  if (!contains(inside, '\\')) return inside;
  std::string_view text;
  if (value_.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
  return text;
}

std::optional<std::string_view> JsonValue::raw() {
  std::string_view json;
  if (is_object()) {
    simdjson::ondemand::object object;
    if (value_.get_object().get(object) != simdjson::SUCCESS) return std::nullopt;
    if (object.raw_json().get(json) != simdjson::SUCCESS) return std::nullopt;
  } else {
    simdjson::ondemand::array array;
    if (value_.get_array().get(array) != simdjson::SUCCESS) return std::nullopt;
    if (array.raw_json().get(json) != simdjson::SUCCESS) return std::nullopt;
  }
  return without_trailing_space(json);
}

bool JsonReader::open(std::string_view json) {
  if (capacity_ < json.size() + simdjson::SIMDJSON_PADDING) {
    capacity_ = std::bit_ceil(json.size() + simdjson::SIMDJSON_PADDING);
    buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
    if (parser_.allocate(capacity_) != simdjson::SUCCESS) return false;
  }
  size_ = json.size();
  std::memcpy(buffer_.get(), json.data(), size_);
  std::memset(buffer_.get() + size_, 0, simdjson::SIMDJSON_PADDING);
  return parser_.iterate(buffer_.get(), size_, capacity_).get(document_) == simdjson::SUCCESS &&
         document_.get_object().get(root_) == simdjson::SUCCESS;
}

bool JsonReader::is_at_end() {
  return document_.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

std::vector<MemberSpan> top_level_members(std::string_view json) {
  std::vector<MemberSpan> members;
  for (std::size_t at = skip_space(json, 0) + 1;; ++at) {  // behind the brace, then each comma
    at = skip_space(json, at);
    if (at >= json.size() || json[at] != '"') return members;
    const std::size_t key = at + 1;
    at = end_of_string(json, at);
    const std::size_t key_size = at - 1 - key;
    at = skip_space(json, skip_space(json, at) + 1);
    const std::size_t value = at;
    at = end_of_value(json, at);
    members.push_back({.key = json.substr(key, key_size), .value = json.substr(value, at - value)});
    at = skip_space(json, at);
    if (at >= json.size() || json[at] != ',') return members;
  }
}

}  // namespace lockstep::debezium
