#include "array.hpp"

#include "catch.hpp"

using lockstep::postgres::BinaryArray;
using lockstep::postgres::Element;

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

std::string one(Element element, const std::string& text) {
  BinaryArray array{element};
  if (!array.add(text)) return "refused";
  return hex(std::move(array).take().substr(24));  // after the header and the length
}

}  // namespace

// The wanted bytes are what PostgreSQL 15 itself sends for the same arrays: array_send('{…}').
TEST_CASE("array: the bytes are those of PostgreSQL's array_send") {
  SECTION("select array_send('{ab,\"\"}'::text[])") {
    BinaryArray array{Element::text};
    CHECK(array.add("ab"));
    CHECK(array.add(""));
    CHECK(hex(std::move(array).take()) ==
          "0000000100000000000000190000000200000001"
          "000000026162"
          "00000000");
  }
  SECTION("select array_send(array['\\x00ff'::bytea, null])") {
    BinaryArray array{Element::bytea};
    CHECK(array.add(std::string_view{"\x00\xff", 2}));
    array.add_null();
    CHECK(hex(std::move(array).take()) ==
          "0000000100000001000000110000000200000001"
          "0000000200ff"
          "ffffffff");
  }
}

TEST_CASE("array: a value is translated if its text is plain, else left to the target") {
  struct Case {
    std::string_view name;
    Element element;
    std::string text;
    std::string want;
  };
  const Case cases[] = {
      {"int2", Element::int2, "-32768", "8000"},
      {"int2 has its limits", Element::int2, "32768", "refused"},
      {"int4", Element::int4, "-1", "ffffffff"},
      {"int8", Element::int8, "9223372036854775807", "7fffffffffffffff"},
      {"an integer is digits", Element::int8, "1.0", "refused"},
      {"an integer is not empty", Element::int8, "", "refused"},
      {"PostgreSQL's epoch", Element::timestamptz, "2000-01-01 00:00:00+00", "0000000000000000"},
      {"a µs before it", Element::timestamp, "1999-12-31 23:59:59.999999", "ffffffffffffffff"},
      {"a fraction of one digit", Element::timestamp, "2000-01-01 00:00:00.5", "000000000007a120"},
      {"a leap day", Element::timestamp, "2024-02-29 12:30:45", "0002b58332708740"},
      {"the first plain year", Element::timestamp, "0001-01-01 00:00:00", "ff1fe2ffc59c6000"},
      {"no such day", Element::timestamp, "2023-02-29 00:00:00", "refused"},
      {"years BC", Element::timestamp, "0044-03-15 12:00:00 BC", "refused"},
      {"year 10000", Element::timestamp, "10000-01-01 00:00:00", "refused"},
      {"infinity", Element::timestamptz, "infinity", "refused"},
      {"another zone", Element::timestamptz, "2024-01-01 00:00:00+02", "refused"},
      {"hour 24", Element::timestamp, "2024-01-01 24:00:00", "refused"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(one(c.element, c.text) == c.want);
    }
  }
}
