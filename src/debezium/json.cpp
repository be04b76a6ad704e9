#include "json.hpp"

#include <bit>

#include "lockstep/model/text.hpp"

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
  // with a quote ends with the string: the parser has found the next token behind it.) Without an
  // escape there is no control character in it: the parser refuses those.
  const auto inside = written.substr(1, written.size() - 2);
  if (!contains(inside, '\\')) return inside;
  std::string_view text;
  if (value_.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
  holds_nul_ = lockstep::holds_nul(text);
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

simdjson::error_code JsonReader::open(std::string_view json) {
  if (capacity_ < json.size() + simdjson::SIMDJSON_PADDING) {
    capacity_ = std::bit_ceil(json.size() + simdjson::SIMDJSON_PADDING);
    buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
    if (const auto error = parser_.allocate(capacity_)) return error;
  }
  size_ = json.size();
  if (size_ > 0) std::memcpy(buffer_.get(), json.data(), size_);
  std::memset(buffer_.get() + size_, 0, simdjson::SIMDJSON_PADDING);
  if (const auto error = parser_.iterate(buffer_.get(), size_, capacity_).get(document_)) {
    return error;
  }
  return document_.get_object().get(root_);
}

bool JsonReader::is_at_end() {
  return document_.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

}  // namespace lockstep::debezium
