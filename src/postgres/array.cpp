#include "array.hpp"

#include <array>

namespace lockstep::postgres {

namespace {

constexpr std::size_t has_null_at = 4;
constexpr std::size_t size_at = 12;

std::array<char, 4> big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

}  // namespace

BinaryArray::BinaryArray(std::uint32_t element_oid, std::size_t expected_bytes) {
  data_.reserve(expected_bytes + 20);
  put(1);            // dimensions
  put(0);            // has NULLs: set at the end
  put(element_oid);  // element type
  put(0);            // size of the dimension: set at the end
  put(1);            // lower bound
}

void BinaryArray::add(std::string_view element) {
  put(static_cast<std::uint32_t>(element.size()));
  data_.append(element);
  ++size_;
}

void BinaryArray::add_null() {
  put(0xFFFFFFFF);
  has_null_ = true;
  ++size_;
}

std::string BinaryArray::take() && {
  put_at(has_null_at, has_null_ ? 1 : 0);
  put_at(size_at, size_);
  return std::move(data_);
}

void BinaryArray::put(std::uint32_t value) {
  const auto bytes = big_endian(value);
  data_.append(bytes.data(), bytes.size());
}

void BinaryArray::put_at(std::size_t at, std::uint32_t value) {
  const auto bytes = big_endian(value);
  data_.replace(at, bytes.size(), bytes.data(), bytes.size());
}

}  // namespace lockstep::postgres
