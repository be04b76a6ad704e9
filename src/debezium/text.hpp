#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lockstep::debezium {

/// A short text under construction, on the stack: dates, times, numbers.
class ShortText {
 public:
  void put(char c) noexcept {
    if (size_ < chars_.size()) chars_[size_++] = c;
  }
  void put(std::string_view text) noexcept {
    for (const char c : text) put(c);
  }
  /// `value` in decimal, with zeros in front up to `width`.
  void put(std::uint64_t value, std::size_t width) noexcept {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    const auto count = static_cast<std::size_t>(end - digits.data());
    for (std::size_t i = count; i < width; ++i) put('0');
    put(std::string_view{digits.data(), count});
  }
  std::string_view view() const noexcept { return {chars_.data(), size_}; }

 private:
  std::array<char, 64> chars_;  // the longest text is a timestamp with era and offset: 41
  std::size_t size_ = 0;
};

}  // namespace lockstep::debezium
