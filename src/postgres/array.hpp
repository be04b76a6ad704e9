#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::postgres {

/// The types whose binary form we write. Of the rest the target reads the text form.
enum class Element : std::uint8_t { text, bytea, int2, int4, int8, timestamp, timestamptz };

/// pg_type.typname
std::string_view type_name(Element element);

/// Builds one array parameter in PostgreSQL's binary form: dimensions, has-null flag, element type,
/// size, lower bound, then each element as length and bytes, length −1 for NULL, all big-endian
/// (array_recv in PostgreSQL's arrayfuncs.c).
class BinaryArray {
 public:
  explicit BinaryArray(Element element);

  /// Adds an element by its text form; text and bytea as they are. False, and nothing is added, if
  /// the text is not of the plain form that we translate ("42", "2024-01-01 00:00:00.5+00"): the
  /// target's own input function has to read it.
  bool add(std::string_view text);
  void add_null();

  /// The finished parameter; only destruction is left then.
  std::string take() &&;

 private:
  void put(std::uint32_t value);
  void put_at(std::size_t at, std::uint32_t value);
  void add_bytes(std::string_view bytes);

  const Element element_;
  std::string data_;
  std::uint32_t size_ = 0;
  bool has_null_ = false;
};

}  // namespace lockstep::postgres
