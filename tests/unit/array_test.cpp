#include "array.hpp"

#include "catch.hpp"

using lockstep::postgres::BinaryArray;

namespace {

std::string hex(const std::string& bytes) {
  constexpr auto digits = "0123456789abcdef";
  std::string text;
  for (const unsigned char c : bytes) {
    text += digits[c >> 4];
    text += digits[c & 15];
  }
  return text;
}

}  // namespace

// The wanted bytes are what PostgreSQL 15 itself sends for the same arrays: array_send('{…}').
TEST_CASE("array: the bytes are those of PostgreSQL's array_send") {
  SECTION("select array_send('{ab,\"\"}'::text[])") {
    BinaryArray array{BinaryArray::text_oid};
    array.add("ab");
    array.add("");
    CHECK(hex(std::move(array).take()) ==
          "0000000100000000000000190000000200000001"
          "000000026162"
          "00000000");
  }
  SECTION("select array_send(array['\\x00ff'::bytea, null])") {
    BinaryArray array{BinaryArray::bytea_oid};
    array.add(std::string_view{"\x00\xff", 2});
    array.add_null();
    CHECK(hex(std::move(array).take()) ==
          "0000000100000001000000110000000200000001"
          "0000000200ff"
          "ffffffff");
  }
}
