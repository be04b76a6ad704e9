#pragma once

#include <simdjson.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::debezium {

/// `name` as a member's key stands in JSON, from behind its opening quote up to and including its
/// closing one.
std::string json_key(std::string_view name);

/// The key of an object's member, where it stands in the reader's buffer.
class JsonKey {
 public:
  JsonKey(simdjson::ondemand::field& field, const char* buffer_end)
      : field_{field}, raw_{field.key().raw()}, buffer_end_{buffer_end} {}

  /// Whether it is written exactly so. Quick; the same key with other escapes is not found.
  bool is(std::string_view json_key) const noexcept {
    return json_key.size() <= static_cast<std::size_t>(buffer_end_ - raw_) &&
           std::memcmp(raw_, json_key.data(), json_key.size()) == 0;
  }
  /// The key without escapes; nullopt: not well-formed. Call at most once.
  std::optional<std::string_view> text() const;

 private:
  simdjson::ondemand::field& field_;
  const char* raw_;
  const char* buffer_end_;
};

/// The value of an object's member, where it stands in the reader's buffer. Scalars are read from
/// their token, so that digits reach the target as the source sent them.
class JsonValue {
 public:
  explicit JsonValue(simdjson::ondemand::value value);

  /// A scalar as it is written, quotes and all; of an object or array only the bracket.
  std::string_view token() const noexcept { return token_; }
  bool is_null() const noexcept { return token_ == "null"; }
  bool is_string() const noexcept { return token_.front() == '"'; }
  bool is_object() const noexcept { return token_.front() == '{'; }
  bool is_array() const noexcept { return token_.front() == '['; }

  /// A string's text without escapes; nullopt: no string, or not well-formed. Call at most once.
  std::optional<std::string_view> text();
  /// An object's or array's JSON as it is written; nullopt: not well-formed.
  std::optional<std::string_view> raw();
  simdjson::simdjson_result<simdjson::ondemand::object> object() { return value_.get_object(); }

 private:
  simdjson::ondemand::value value_;
  std::string_view token_;
};

/// Parses one object after the other from a buffer that it keeps.
class JsonReader {
 public:
  /// Copies `json` and opens it; what was read from the one before is gone. False: no object.
  bool open(std::string_view json);
  simdjson::ondemand::object& root() noexcept { return root_; }
  /// Whether nothing but the root object, now read to its end, is in the buffer.
  bool is_at_end();

  /// Calls `member(JsonKey&, JsonValue&)` for the members of `object` in their order, as long as
  /// it returns true. False: it returned false, or the JSON is malformed.
  template <class Member>
  bool each_member(simdjson::ondemand::object& object, Member&& member) const {
    for (auto item : object) {
      simdjson::ondemand::field field;
      if (std::move(item).get(field) != simdjson::SUCCESS) return false;
      JsonKey key{field, buffer_.get() + size_};
      JsonValue value{field.value()};
      if (!member(key, value)) return false;
    }
    return true;
  }

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  simdjson::ondemand::object root_;
};

/// A member of an object, as it is written.
struct MemberSpan {
  std::string_view key;  ///< without the quotes
  std::string_view value;
};
/// The members of `json`, which must be a valid object; the spans point into it.
std::vector<MemberSpan> top_level_members(std::string_view json);

}  // namespace lockstep::debezium
