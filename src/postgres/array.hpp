#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::postgres {

/// Builds one array parameter in PostgreSQL's binary form: dimensions, has-null flag, element type,
/// size, lower bound, then each element as length and bytes, length −1 for NULL, all big-endian
/// (array_recv in PostgreSQL's arrayfuncs.c). The elements' bytes are their type's own binary form:
/// for text and bytea, the bytes as they are.
class BinaryArray {
 public:
  static constexpr std::uint32_t bytea_oid = 17;
  static constexpr std::uint32_t text_oid = 25;

  explicit BinaryArray(std::uint32_t element_oid, std::size_t expected_bytes = 0);

  void add(std::string_view element);
  void add_null();

  std::size_t bytes() const noexcept { return data_.size(); }

  /// The finished parameter; only destruction is left then.
  std::string take() &&;

 private:
  void put(std::uint32_t value);
  void put_at(std::size_t at, std::uint32_t value);

  std::string data_;
  std::uint32_t size_ = 0;
  bool has_null_ = false;
};

}  // namespace lockstep::postgres
