#pragma once

#include <algorithm>
#include <array>
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
    const std::size_t size = std::min(text.size(), chars_.size() - size_);
    std::memcpy(chars_.data() + size_, text.data(), size);
    size_ += size;
  }
  /// 0 to 99, always as two digits.
  void put_two(unsigned value) noexcept {
    const char digits[] = {static_cast<char>('0' + value / 10),
                           static_cast<char>('0' + value % 10)};
    put(std::string_view{digits, sizeof digits});
  }
  /// `value` in decimal, with zeros in front up to `width`.
  void put(std::uint64_t value, std::size_t width) noexcept {
    std::array<char, 20> digits;
    auto first = digits.end();
    for (std::size_t count = 0; value != 0 || count < width; ++count, value /= 10) {
      *--first = static_cast<char>('0' + value % 10);
    }
    put(std::string_view{first, static_cast<std::size_t>(digits.end() - first)});
  }
  std::string_view view() const noexcept { return {chars_.data(), size_}; }

 private:
  std::array<char, 64> chars_;  // the longest text is a timestamp with era and offset: 41
  std::size_t size_ = 0;
};

}  // namespace lockstep::debezium
