#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::debezium {

/// What stands for a TOASTed value that an update did not change, in the forms that the connector
/// gives it (UnchangedToastedPlaceholder.java). What merely contains it is data.
class Placeholder {
 public:
  explicit Placeholder(std::string_view text);

  /// A scalar as it is sent: the text, its base64 or hexadecimal digits, the JSON of an hstore.
  bool is(std::string_view value) const noexcept {
    return (sizes_ >> (value.size() % 64) & 1) != 0 && is_one_of(scalars_, value);
  }
  /// A whole array, as the literal that is made of it.
  bool is_array(std::string_view literal) const noexcept { return is_one_of(arrays_, literal); }
  /// The same of JSON without schema, whose elements are as they were sent.
  bool is_untyped_array(std::string_view literal) const noexcept {
    return is_one_of(untyped_arrays_, literal);
  }

 private:
  static bool is_one_of(const std::vector<std::string>& forms, std::string_view value) noexcept;

  std::vector<std::string> scalars_;
  std::vector<std::string> arrays_;
  std::vector<std::string> untyped_arrays_;
  std::uint64_t sizes_ = 0;  ///< a bit for each scalar's size modulo 64
};

}  // namespace lockstep::debezium
