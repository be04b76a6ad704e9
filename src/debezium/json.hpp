#pragma once

#include <simdjson.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::debezium {

/// `name` as a member's key stands in JSON, from behind its opening quote up to and including its
/// closing one.
std::string json_key(std::string_view name);

/// A key that the code knows, as json_key() gives it: `KeyName{"op\""}`.
class KeyName {
 public:
  template <std::size_t size>
  consteval KeyName(const char (&json_key)[size]) : key_{json_key}, size_{size - 1} {
    static_assert(size <= simdjson::SIMDJSON_PADDING);
    std::array<char, sizeof word_> word{};
    std::array<char, sizeof mask_> mask{};
    for (std::size_t i = 0; i < word.size() && i < size_; ++i) {
      word[i] = json_key[i];
      mask[i] = '\xFF';
    }
    word_ = std::bit_cast<std::uint64_t>(word);
    mask_ = std::bit_cast<std::uint64_t>(mask);
  }

  /// `raw` is in a padded buffer. Most keys differ in their first eight bytes.
  bool is_at(const char* raw) const noexcept {
    std::uint64_t word;
    std::memcpy(&word, raw, sizeof word);
    return (word & mask_) == word_ && (size_ <= sizeof word || std::memcmp(raw, key_, size_) == 0);
  }

 private:
  const char* key_;
  std::size_t size_;
  std::uint64_t word_ = 0;
  std::uint64_t mask_ = 0;
};

/// The key of an object's member, where it stands in the reader's buffer.
class JsonKey {
 public:
  JsonKey(simdjson::ondemand::field& field, const char* buffer_end)
      : field_{field}, raw_{field.key().raw()}, buffer_end_{buffer_end} {}

  /// Whether it is written exactly so. The same key with other escapes is not found.
  bool is(const KeyName& name) const noexcept { return name.is_at(raw_); }
  bool is_written(std::string_view json_key) const noexcept {
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
  explicit JsonValue(simdjson::ondemand::value value) : value_{value} {}

  /// A scalar as it is written, quotes and all; of an object or array only the bracket.
  std::string_view token();
  bool is_null() { return token() == "null"; }
  bool is_string() { return token().front() == '"'; }
  bool is_object() { return token().front() == '{'; }
  bool is_array() { return token().front() == '['; }

  /// A string's text without escapes; nullopt: no string, or not well-formed. Call at most once.
  std::optional<std::string_view> text();
  /// Whether there is a NUL character in what text() returned, which PostgreSQL can't store.
  bool holds_nul() const noexcept { return holds_nul_; }
  /// An object's or array's JSON as it is written; nullopt: not well-formed.
  std::optional<std::string_view> raw();
  simdjson::simdjson_result<simdjson::ondemand::object> object() { return value_.get_object(); }
  simdjson::simdjson_result<simdjson::ondemand::array> array() { return value_.get_array(); }

 private:
  simdjson::ondemand::value value_;
  std::string_view token_;  // empty until it is asked for
  bool holds_nul_ = false;
};

/// Parses one object after the other from a buffer that it keeps.
class JsonReader {
 public:
  /// Copies `json` and opens it; what was read from the one before is gone. Errors: it is no
  /// object, or no JSON in UTF-8; what is in the object shows only as it is read.
  simdjson::error_code open(std::string_view json);
  /// The copy.
  std::string_view text() const noexcept { return {buffer_.get(), size_}; }
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

  /// The same for `element(JsonValue&)` and an array's elements.
  template <class Element>
  bool each_element(simdjson::ondemand::array& array, Element&& element) const {
    for (auto item : array) {
      if (item.error() != simdjson::SUCCESS) return false;
      JsonValue value{item.value_unsafe()};
      if (!element(value)) return false;
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

}  // namespace lockstep::debezium
