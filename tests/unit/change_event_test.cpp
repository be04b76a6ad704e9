// What customers and people are told of a change.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "lockstep/event/event.hpp"

using namespace lockstep;
using nlohmann::json;

namespace {

Column column(const std::string& name, ValueType type, const std::string& source_type = "") {
  Column column;
  column.name = name;
  column.type = type;
  column.source_type = source_type;
  return column;
}

const Relation users{"public", "users"};
const Layout key_layout{{column("id", ValueType::integer)}};
const Layout row_layout{{column("id", ValueType::integer), column("name", ValueType::text),
                         column("balance", ValueType::numeric)}};

Change update(std::vector<Cell>& key, std::vector<Cell>& row) {
  Change change;
  change.op = Op::update;
  change.relation = &users;
  change.partition = 3;
  change.offset = {12};
  change.source_ts_us = 1795294975961295;
  change.key_layout = &key_layout;
  change.key = key;
  change.row_layout = &row_layout;
  change.row = row;
  return change;
}

std::string json_of(const Column& column, const Cell& cell) {
  const Layout layout{{column}};
  return event::row_to_json(layout, std::span{&cell, 1});
}

}  // namespace

TEST_CASE("event: values keep their digits, and JSON has what it can't hold as text") {
  using Kind = Cell::Kind;
  CHECK(json_of(column("v", ValueType::numeric), Cell{"12345678901234567890.1230"}) ==
        R"({"v":12345678901234567890.1230})");
  CHECK(json_of(column("v", ValueType::numeric), Cell{"NaN"}) == R"({"v":"NaN"})");
  CHECK(json_of(column("v", ValueType::floating), Cell{"-Infinity"}) == R"({"v":"-Infinity"})");
  CHECK(json_of(column("v", ValueType::boolean), Cell{"f"}) == R"({"v":false})");
  CHECK(json_of(column("v", ValueType::integer), Cell{}) == R"({"v":null})");
  CHECK(json_of(column("v", ValueType::text), Cell{"a\"b\n\xC3\xBC"}) ==
        "{\"v\":\"a\\\"b\\n\xC3\xBC\"}");
  CHECK(json_of(column("v", ValueType::bytes), Cell{std::string_view{"\x00\xff", 2}}) ==
        R"({"v":"\\x00ff"})");
  CHECK(json_of(column("v", ValueType::text, "JSONB"), Cell{R"({"a": 1.50})"}) ==
        R"({"v":{"a": 1.50}})");
  CHECK(json_of(column("v", ValueType::text, "JSON"), Cell{"{not"}) == R"({"v":"{not"})");
  CHECK(json_of(column("v", ValueType::untyped), Cell{"1.50", Kind::bare_number}) ==
        R"({"v":1.50})");
  CHECK(json_of(column("v", ValueType::untyped), Cell{"1.50"}) == R"({"v":"1.50"})");
  Column array = column("v", ValueType::integer);
  array.is_array = true;
  CHECK(json_of(array, Cell{"{1,NULL}"}) == R"({"v":"{1,NULL}"})");
}

TEST_CASE("event: an update tells what the row was and is, and what was not sent") {
  std::vector<Cell> key{Cell{"7"}};
  std::vector<Cell> row{Cell{"7"}, Cell{"Ada L."}, Cell::unchanged()};
  const std::vector<Cell> before{Cell{"7"}, Cell{"Ada"}, Cell{"1.50"}};
  Change change = update(key, row);
  change.has_unchanged = true;
  const Origin origin{{}, {}, {}, {&row_layout, before}};

  const auto told = json::parse(event::to_json(change, origin, "db.public.users"));
  CHECK(told == json::parse(R"({"op":"update","topic":"db.public.users","partition":3,"offset":12,
    "table":"public.users","time":"2026-11-21T21:02:55.961295Z","key":{"id":7},
    "before":{"id":7,"name":"Ada","balance":1.50},"after":{"id":7,"name":"Ada L."},
    "unchanged":["balance"]})"));
  CHECK(event::to_line(change, origin, "db.public.users") ==
        "2026-11-21 21:02:55.961295 update public.users id=7 name: \"Ada\" -> \"Ada L.\" "
        "(db.public.users[3]@12)");
}

TEST_CASE("event: without a row before, an update tells the row; a delete tells its key") {
  std::vector<Cell> key{Cell{"7"}};
  std::vector<Cell> row{Cell{"7"}, Cell{"a\x1b[2J"}, Cell{}};
  Change change = update(key, row);
  CHECK(
      event::to_line(change, {}, "t") ==
      R"(2026-11-21 21:02:55.961295 update public.users id=7 name="a\u001b[2J" balance=NULL (t[3]@12))");

  change.op = Op::remove;
  change.row_layout = nullptr;
  change.row = {};
  change.source_ts_us = 0;
  CHECK(event::to_line(change, {}, "t") == "- delete public.users id=7 (t[3]@12)");
  const auto told = json::parse(event::to_json(change, {}, "t"));
  CHECK(told["op"] == "delete");
  CHECK(told["time"].is_null());
  CHECK(told["after"].is_null());
  CHECK(told["before"].is_null());
}
