#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lockstep {

/// Memory that grows by blocks and is given back all at once: what the changes of one batch point
/// into. Each block is as large as all before it, within bounds: thousands of batches with a change
/// or two stay small, and large ones take few blocks. Moving an arena keeps every pointer into it
/// valid. Not thread-safe.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&&) noexcept = default;
  Arena& operator=(Arena&&) noexcept = default;

  /// Room for `size` bytes, aligned for pointers and 64-bit numbers.
  char* allocate(std::size_t size) {
    constexpr std::size_t align = 8;
    const std::size_t padding = left_ % align;  // every block is a multiple of it
    left_ -= padding;
    next_ += padding;
    return allocate_bytes((size + align - 1) / align * align);
  }

  /// Room for `size` bytes, aligned for nothing: texts are most of what a batch holds.
  char* allocate_bytes(std::size_t size) {
    if (size > left_) grow(size);
    char* const at = next_;
    next_ += size;
    left_ -= size;
    return at;
  }

  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* const at = allocate_bytes(text.size());
    std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }

  template <class T>
  std::span<T> copy(std::span<const T> items) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    static_assert(alignof(T) <= 8);
    if (items.empty()) return {};
    auto* const at = reinterpret_cast<T*>(allocate(items.size_bytes()));
    std::memcpy(at, items.data(), items.size_bytes());
    return {at, items.size()};
  }

  /// Bytes taken from the system.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t smallest_block = 1024;
  static constexpr std::size_t largest_block = 64 * 1024;  // unless one allocation is larger

  void grow(std::size_t at_least) {
    const std::size_t size =
        std::max((at_least + 7) / 8 * 8, std::clamp(bytes_, smallest_block, largest_block));
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    next_ = blocks_.back().get();
    left_ = size;
    bytes_ += size;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace lockstep
