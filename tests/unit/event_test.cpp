// What the page is sent of a record.
#include <nlohmann/json.hpp>

#include "catch.hpp"
#include "event.hpp"

using lockstep::live::event_of;
using lockstep::live::Raw;
using Json = nlohmann::ordered_json;

namespace {

Json event(const std::optional<std::string>& key, const std::optional<std::string>& value) {
  Raw record{.topic = "db.public.users",
             .partition = 1,
             .offset = 7,
             .time_ms = 5,
             .key = {},
             .value = {}};
  if (key) record.key = *key;
  if (value) record.value = *value;
  return event_of(record);
}

const std::string source = R"("source":{"schema":"public","table":"users","ts_us":12,"txId":3})";

}  // namespace

TEST_CASE("event: a change with a schema and one without are the same") {
  const std::string payload =
      R"({"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u",)" + source + "}";
  const auto bare = event(R"({"id":1})", payload);
  CHECK(bare == event(R"({"schema":{},"payload":{"id":1}})",
                      R"({"schema":{"type":"struct"},"payload":)" + payload + "}"));
  CHECK(bare == Json::parse(R"({"topic":"db.public.users","partition":1,"offset":7,
    "timestamp_ms":5,"op":"u","table":"public.users","key":{"id":1},"before":{"id":1,"name":"a"},
    "after":{"id":1,"name":"b"},"source_ts_us":12,"tx":3,"cut":false})"));
}

TEST_CASE("event: what JavaScript would round comes as a text") {
  const auto after =
      event(std::nullopt,
            R"({"op":"c","after":{"a":9007199254740993,"b":-9007199254740993,"c":9007199254740992,)"
            R"("d":18446744073709551615,"e":[9007199254740993]},)" +
                source + "}")["after"];
  CHECK(after == Json::parse(R"({"a":"9007199254740993","b":"-9007199254740993",
    "c":9007199254740992,"d":"18446744073709551615","e":["9007199254740993"]})"));
}

TEST_CASE("event: long values are cut between characters, and it says so") {
  std::string text;
  while (text.size() < 1000) text += "ü";
  const auto cut = event(std::nullopt, R"({"op":"c","after":{"x")"
                                       ":\"" +
                                           text + "\"}}");
  CHECK(cut["cut"] == true);
  const auto shown = cut["after"]["x"].get<std::string>();
  CHECK(shown.size() < 300);
  CHECK_NOTHROW(cut.dump());  // throws for half a character

  std::string row;
  for (int i = 0; i < 1000; ++i)
    row += ",\"c" + std::to_string(i) + "\":\"" + text.substr(0, 200) + "\"";
  const auto wide = event(std::nullopt, R"({"op":"c","after":{"id":1)" + row + "}}");
  CHECK(wide["cut"] == true);
  CHECK(wide.dump().size() < 20'000);

  const auto large = event(std::nullopt, "\"" + std::string(300'000, 'x') + "\"");
  CHECK(large["cut"] == true);
  CHECK(large["op"] == "?");
}

TEST_CASE("event: whatever is no change is told by its place alone") {
  CHECK(event(R"({"id":1})", std::nullopt)["op"] == "tombstone");
  CHECK(event(R"({"id":1})", std::nullopt)["key"]["id"] == 1);
  for (const std::string value : {"", "hello", "{", "[1]", "17", "null", R"({"op":7})", "\xff\xfe",
                                  R"({"op":"c","source":"x","after":[1]})"}) {
    INFO(value);
    const auto shown = event("no JSON", value);
    CHECK(shown["key"].is_null());
    CHECK(shown["after"].is_null());
    CHECK(shown["offset"] == 7);
    CHECK_NOTHROW(shown.dump());
  }
}
