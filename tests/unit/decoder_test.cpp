#include "lockstep/debezium/decoder.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"

using namespace lockstep;
using debezium::BadRecord;
using debezium::Decoded;
using debezium::Decoder;
using debezium::Skipped;

namespace {

// A decoded record as one line of text, so that tests compare all of it.

std::string_view name_of(ValueType type) {
  switch (type) {
    case ValueType::boolean:
      return "boolean";
    case ValueType::integer:
      return "integer";
    case ValueType::floating:
      return "floating";
    case ValueType::numeric:
      return "numeric";
    case ValueType::text:
      return "text";
    case ValueType::bytes:
      return "bytes";
    case ValueType::bits:
      return "bits";
    case ValueType::varbits:
      return "varbits";
    case ValueType::date:
      return "date";
    case ValueType::time:
      return "time";
    case ValueType::timetz:
      return "timetz";
    case ValueType::timestamp:
      return "timestamp";
    case ValueType::timestamptz:
      return "timestamptz";
    case ValueType::interval:
      return "interval";
    case ValueType::point:
      return "point";
    case ValueType::untyped:
      return "untyped";
    case ValueType::unsupported:
      return "unsupported";
  }
  return "?";
}

std::string shortened(std::string_view text) {
  if (text.size() <= 100) return std::string{text};
  return std::string{text.substr(0, 3)} + "…" + std::to_string(text.size());
}

std::string text_of(const Layout* layout, std::span<const Cell> cells) {
  if (layout == nullptr) return cells.empty() ? "-" : "cells without a layout";
  if (layout->columns.size() != cells.size()) return "cells that do not fit their layout";
  std::string text = "{";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) text += ", ";
    text += layout->columns[i].name + "=";
    switch (cells[i].kind()) {
      case Cell::Kind::null:
        text += "NULL";
        break;
      case Cell::Kind::value:
        text += shortened(cells[i].view());
        break;
      case Cell::Kind::bare_number:
        text.append("#").append(cells[i].view());
        break;
      case Cell::Kind::unchanged:
        text += "(unchanged)";
        break;
    }
  }
  return text + "}";
}

std::string text_of(const Decoded& decoded) {
  if (const auto* bad = std::get_if<BadRecord>(&decoded)) return "bad: " + bad->cause;
  if (const auto* skipped = std::get_if<Skipped>(&decoded)) {
    return "skipped: " + std::string{debezium::name(skipped->rule)};
  }
  const auto& change = std::get<Change>(decoded);
  constexpr std::string_view ops[] = {"create", "update", "read", "remove", "truncate"};
  return std::string{ops[static_cast<std::size_t>(change.op)]} + " " + to_string(*change.relation) +
         " " + text_of(change.key_layout, change.key) + " " +
         text_of(change.row_layout, change.row) + " " + std::to_string(change.source_ts_us) + " " +
         std::string{change.source_position};
}

struct Record {
  std::string topic = "dbserver1.public.t";
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::map<std::string, std::string> headers{};
  bool follows = false;
};

struct MapHeaders : debezium::Headers {
  explicit MapHeaders(const std::map<std::string, std::string>& of) : headers{of} {}
  std::optional<std::string_view> find(const char* name) const override {
    ++asked;
    const auto found = headers.find(name);
    return found == headers.end() ? std::nullopt : std::optional<std::string_view>{found->second};
  }
  std::vector<Header> all() const override { return {}; }
  const std::map<std::string, std::string>& headers;
  mutable int asked = 0;
};

/// Decodes from memory that is overwritten at once: a result that points into it shows.
Decoded decode(Decoder& decoder, Arena& arena, Record record) {
  const MapHeaders headers{record.headers};
  const debezium::RawRecord raw{.topic = record.topic,
                                .key = record.key,
                                .value = record.value,
                                .headers = &headers,
                                .follows = record.follows};
  const Decoded decoded = decoder.decode(raw, arena);
  for (auto* text : {&record.key, &record.value}) {
    if (*text) std::fill((*text)->begin(), (*text)->end(), '\xDD');
  }
  for (auto& [name, text] : record.headers) std::fill(text.begin(), text.end(), '\xDD');
  std::fill(record.topic.begin(), record.topic.end(), '\xDD');
  return decoded;
}

std::string decode_to_text(Decoder& decoder, Record record) {
  Arena arena;
  return text_of(decode(decoder, arena, std::move(record)));
}

std::string decode_to_text(Record record) {
  Decoder decoder;
  return decode_to_text(decoder, std::move(record));
}

// Captured messages

std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream in{LOCKSTEP_SOURCE_DIR "/tests/data/" + file, std::ios::binary};
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  if (lines.empty()) throw std::runtime_error{"no lines in " + file};
  return lines;
}

/// "topic <tab> key <tab> value", a null as null.
std::vector<Record> records_of(const std::string& file) {
  std::vector<Record> records;
  for (const auto& line : lines_of(file)) {
    const auto key = line.find('\t') + 1;
    const auto value = line.find('\t', key) + 1;
    const auto or_null = [](std::string text) {
      return text == "null" ? std::nullopt : std::optional{std::move(text)};
    };
    records.push_back({.topic = line.substr(0, key - 1),
                       .key = or_null(line.substr(key, value - 1 - key)),
                       .value = or_null(line.substr(value))});
  }
  return records;
}

// Just enough of a JSON reader to take captured messages apart: `json` is valid and has no spaces.

std::vector<std::string_view> parts_of(std::string_view json) {
  std::vector<std::string_view> parts;
  std::size_t begin = 1;
  int depth = 0;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      for (++at; json[at] != '"'; ++at) at += json[at] == '\\' ? 1 : 0;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      if (at > begin) parts.push_back(json.substr(begin, at - begin));
    } else if (c == ',' && depth == 1) {
      parts.push_back(json.substr(begin, at - begin));
      begin = at + 1;
    }
  }
  return parts;
}

std::string in_quotes(std::string_view text) {
  return std::string{'"'}.append(text) += '"';
}

std::string_view member(std::string_view object, std::string_view key) {
  const std::string start = in_quotes(key) + ":";
  for (const auto part : parts_of(object)) {
    if (part.starts_with(start)) return part.substr(start.size());
  }
  throw std::runtime_error{"no member " + std::string{key}};
}

std::string_view unquoted(std::string_view text) {
  return text.substr(1, text.size() - 2);
}

/// The schemas of the columns of a captured message.
std::vector<std::string_view> column_schemas(std::string_view message) {
  for (const auto field : parts_of(member(member(message, "schema"), "fields"))) {
    if (member(field, "field") == "\"after\"") return parts_of(member(field, "fields"));
  }
  throw std::runtime_error{"no after"};
}

constexpr std::string_view no_key_cause =
    "no key and no \"before\": rows of a table without a key are found by all their columns; ALTER "
    "TABLE … REPLICA IDENTITY FULL at the source makes it send them, a primary key or "
    "message.key.columns makes them needless";

const std::string source = R"({"schema":"public","table":"t","ts_us":7,"sequence":"s"})";
const std::string key = R"({"id":1})";

/// A message of a table with one column.
Record one_column(std::string_view schema, std::string_view value) {
  return {.key = key,
          .value = R"({"schema":{"type":"struct","fields":[{"type":"struct","fields":[)" +
                   std::string{schema} +
                   R"(],"field":"after"}],"name":"Envelope"},"payload":{"after":{)" + "\"" +
                   std::string{unquoted(member(schema, "field"))} + "\":" + std::string{value} +
                   R"(},"source":)" + source + R"(,"op":"c"}})"};
}

/// The type and cell of a message of one column, or why it is bad.
std::string only_cell(Record record, const ConnectorModes& modes = {}) {
  Decoder decoder{modes};
  Arena arena;
  const auto decoded = decode(decoder, arena, std::move(record));
  const auto* change = std::get_if<Change>(&decoded);
  if (change == nullptr) return text_of(decoded);
  REQUIRE(change->row.size() == 1);
  std::string text{name_of(change->row_layout->columns[0].type)};
  if (change->row_layout->columns[0].is_array) text += "[]";
  if (change->row[0].is_null()) return text + " NULL";
  if (change->row[0].is_unchanged()) return text + " (unchanged)";
  return text + " " + std::string{change->row[0].view()};
}

/// A schemaless record of the table public.t.
Record bare(std::string_view after, std::string_view op = "c", std::string record_key = key) {
  return {.key = std::move(record_key),
          .value = R"({"before":null,"after":)" + std::string{after} + R"(,"source":)" + source +
                   R"(,"op":")" + std::string{op} + R"("})"};
}

}  // namespace

TEST_CASE("decode: each operation of the connector becomes its change") {
  Decoder decoder;
  std::vector<std::string> got;
  for (auto& record : records_of("debezium-3.6-operations.tsv")) {
    got.push_back(decode_to_text(decoder, std::move(record)));
  }
  const std::vector<std::string> want = {
      R"(read public.users {id=1} {id=1, name=Ann "A" \ Ü, email=ann@x.org, balance=10.50, created_at=2024-01-02 03:04:05.678, updated_at=2024-06-01 10:00:00.123456+00} 1795294975961295 [null,"88677936"])",
      R"(read public.users {id=2} {id=2, name=Bob, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL} 1795294975961295 [null,"88677936"])",
      R"(skipped: heartbeat)",
      R"(skipped: transaction_metadata)",
      R"(create public.users {id=3} {id=3, name=Cy, email=c@x.org, balance=-0.05, created_at=1969-12-31 23:59:59.5, updated_at=1969-12-31 23:59:59.5+00} 1795294979417204 [null,"88678096"])",
      R"(skipped: transaction_metadata)",
      R"(update public.users {id=2} {id=2, name=Bobby, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL} 1795294979421386 ["88678304","88678304"])",
      R"(remove public.users {id=2} - 1795294979424591 ["88678456","88678456"])",
      R"(remove public.users {id=2} - 0 )",
      R"(create public.users {id=20} {id=20, name=Bobby, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL} 1795294979424591 ["88678456","88678456"])",
      R"(remove public.users {id=3} - 1795294979432634 ["88678656","88678656"])",
      R"(remove public.users {id=3} - 0 )",
      R"(create public.pairs {a=1, b=x:y} {a=1, b=x:y, v=1} 1795294979434123 ["88678768","88678768"])",
      R"(create public.pairs {a=2, b=} {a=2, b=, v=2} 1795294979434123 ["88678768","88679000"])",
      R"(remove public.pairs {a=2, b=} - 1795294979436641 ["88679176","88679176"])",
      R"(remove public.pairs {a=2, b=} - 0 )",
      R"(create public.notes {id=1} {id=1, body=xxx…2100, seen=1} 1795294979437655 ["88679296","88681760"])",
      R"(update public.notes {id=1} {id=1, body=(unchanged), seen=2} 1795294979440636 ["88682056","88682112"])",
      R"(create public.keyless - {a=1} 1795294979441453 ["88682256","88682256"])",
      R"(update public.fullrow {id=1} {id=1, v=b} 1795294979472113 ["88682368","88682368"])",
      R"(remove public.fullrow {id=1} - 1795294979474257 ["88682504","88682504"])",
      R"(remove public.fullrow {id=1} - 0 )",
      R"(truncate public.pairs - - 1795294979477550 ["88682624","88685528"])",
      R"(skipped: logical_message)",
      R"(create public.users {id=4} {id=4, name=Dee, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL, extra=7} 1795294979498636 ["88686056","88686968"])",
  };
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) CHECK(got[i] == want[i]);
}

TEST_CASE("decode: without schemas the same operations have untyped cells") {
  Decoder decoder;
  std::vector<std::string> got;
  for (auto& record : records_of("debezium-3.6-operations-schemaless.tsv")) {
    got.push_back(decode_to_text(decoder, std::move(record)));
  }
  const std::vector<std::string> want = {
      R"(read public.users {id=#1} {id=#1, name=Ann "A" \ Ü, email=ann@x.org, balance=10.50, created_at=#1704164645678000, updated_at=2024-06-01T10:00:00.123456Z} 1795294987404984 [null,"93111640"])",
      R"(read public.users {id=#2} {id=#2, name=Bob, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL} 1795294987404984 [null,"93111640"])",
      R"(skipped: heartbeat)",
      R"(skipped: transaction_metadata)",
      R"(create public.users {id=#3} {id=#3, name=Cy, email=c@x.org, balance=-0.05, created_at=#-500000, updated_at=1969-12-31T23:59:59.500000Z} 1795294990981198 [null,"93111800"])",
      R"(skipped: transaction_metadata)",
      R"(update public.users {id=#2} {id=#2, name=Bobby, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL} 1795294990983027 ["93112008","93112008"])",
      R"(remove public.users {id=#2} - 1795294990983401 ["93112136","93112136"])",
      R"(remove public.users {id=#2} - 0 )",
      R"(create public.users {id=#20} {id=#20, name=Bobby, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL} 1795294990983401 ["93112136","93112136"])",
      R"(remove public.users {id=#3} - 1795294990983659 ["93112336","93112336"])",
      R"(remove public.users {id=#3} - 0 )",
      R"(create public.pairs {a=#1, b=x:y} {a=#1, b=x:y, v=1} 1795294990984160 ["93112448","93112448"])",
      R"(create public.pairs {a=#2, b=} {a=#2, b=, v=2} 1795294990984160 ["93112448","93112680"])",
      R"(remove public.pairs {a=#2, b=} - 1795294990984715 ["93112856","93112856"])",
      R"(remove public.pairs {a=#2, b=} - 0 )",
      R"(create public.notes {id=#1} {id=#1, body=xxx…2100, seen=#1} 1795294990985579 ["93112976","93115440"])",
      R"(update public.notes {id=#1} {id=#1, body=(unchanged), seen=#2} 1795294990985938 ["93115736","93115792"])",
      R"(create public.keyless - {a=#1} 1795294990986281 ["93115936","93115936"])",
      R"(update public.fullrow {id=#1} {id=#1, v=b} 1795294990986628 ["93116048","93116048"])",
      R"(remove public.fullrow {id=#1} - 1795294990986861 ["93116184","93116184"])",
      R"(remove public.fullrow {id=#1} - 0 )",
      R"(truncate public.pairs - - 1795294990987927 ["93116304","93119232"])",
      R"(skipped: logical_message)",
      R"(create public.users {id=#4} {id=#4, name=Dee, email=NULL, balance=NULL, created_at=NULL, updated_at=NULL, extra=#7} 1795294990989448 ["93119760","93120648"])",
  };
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) CHECK(got[i] == want[i]);
}

TEST_CASE("decode: every column of every captured row") {
  struct Case {
    std::string_view row;
    std::string_view column;
    std::string_view in_default_modes;
    std::string_view in_string_modes;
  };
  const Case cases[] = {
      {"2", "b", "boolean t", "boolean t"},
      {"2", "i2", "integer -32768", "integer -32768"},
      {"2", "i4", "integer 1073741823", "integer 1073741823"},
      {"2", "i8", "integer 9223372036854775807", "integer 9223372036854775807"},
      {"2", "f4", "floating 3.4028235E38", "floating 3.4028235E38"},
      {"2", "f8", "floating 1.7976931348623157E308", "floating 1.7976931348623157E308"},
      {"2", "n", "numeric 123456789012345678901234567890.123456789",
       "numeric 123456789012345678901234567890.123456789"},
      {"2", "n2", "numeric 99999.1234", "numeric 99999.1234"},
      {"2", "m", "numeric 1234.50", "numeric 1234.50"},
      {"2", "c", "text ab   ", "text ab   "},
      {"2", "vc", "text vär", "text vär"},
      {"2", "tx", "text emoji 😀 \"q\" \\ nl\n", "text emoji 😀 \"q\" \\ nl\n"},
      {"2", "ba", std::string_view{"bytes \0\xFF\x10", 9}, std::string_view{"bytes \0\xFF\x10", 9}},
      {"2", "bt", "bits 10101", "bits 10101"},
      {"2", "vb", "varbits 101", "varbits 101"},
      {"2", "d", "date 2024-02-29", "date 2024-02-29"},
      {"2", "t", "time 23:59:59.999999", "time 23:59:59.999999"},
      {"2", "tz", "timetz 06:30:00.123456+00", "timetz 06:30:00.123456+00"},
      {"2", "ts", "timestamp 2024-01-01 00:00:00.123456", "timestamp 2024-01-01 00:00:00.123456"},
      {"2", "ts3", "timestamp 2024-01-01 00:00:00.123", "timestamp 2024-01-01 00:00:00.123"},
      {"2", "tsz", "timestamptz 2024-06-01 10:00:00.123456+00",
       "timestamptz 2024-06-01 10:00:00.123456+00"},
      {"2", "iv", "interval 429 days 07:05:06.789", "interval P1Y2M3DT4H5M6.789S"},
      {"2", "u", "text a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
       "text a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
      {"2", "j", R"(text {"a": 1.0, "b":  12345678901234567890})",
       R"(text {"a": 1.0, "b":  12345678901234567890})"},
      {"2", "jb", R"(text {"a": 1, "b": [1, 2, {"c": "ü"}]})",
       R"(text {"a": 1, "b": [1, 2, {"c": "ü"}]})"},
      {"2", "x", "text <a>x</a>", "text <a>x</a>"},
      {"2", "inet", "text 192.168.0.1/24", "text 192.168.0.1/24"},
      {"2", "cidr", "text 10.0.0.0/8", "text 10.0.0.0/8"},
      {"2", "mac", "text 08:00:2b:01:02:03", "text 08:00:2b:01:02:03"},
      {"2", "mac8", "text 08:00:2b:01:02:03:04:05", "text 08:00:2b:01:02:03:04:05"},
      {"2", "pt", "point (1.0,2.0)", "point (1.0,2.0)"},
      {"2", "bx", "bytes (1.0,1.0),(0.0,0.0)", "bytes (1.0,1.0),(0.0,0.0)"},
      {"2", "ln", "bytes {1.0,2.0,3.0}", "bytes {1.0,2.0,3.0}"},
      {"2", "ls", "bytes [(0.0,0.0),(1.0,1.0)]", "bytes [(0.0,0.0),(1.0,1.0)]"},
      {"2", "pa", "bytes ((0.0,0.0),(1.0,1.0),(2.0,0.0))", "bytes ((0.0,0.0),(1.0,1.0),(2.0,0.0))"},
      {"2", "pg", "bytes ((0.0,0.0),(1.0,1.0),(2.0,0.0))", "bytes ((0.0,0.0),(1.0,1.0),(2.0,0.0))"},
      {"2", "ci", "bytes <(0.0,0.0),1.0>", "bytes <(0.0,0.0),1.0>"},
      {"2", "r4", "text [1,5)", "text [1,5)"},
      {"2", "r8", "text [1,5)", "text [1,5)"},
      {"2", "nr", "text [1.5,2.5)", "text [1.5,2.5)"},
      {"2", "tr", R"(text ["2024-01-01 00:00:00","2024-01-02 00:00:00"))",
       R"(text ["2024-01-01 00:00:00","2024-01-02 00:00:00"))"},
      {"2", "tzr", R"(text ["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00"))",
       R"(text ["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00"))"},
      {"2", "dr", "text [2024-01-01,2024-01-05)", "text [2024-01-01,2024-01-05)"},
      {"2", "mr", "bytes {[1,3),[5,7)}", "bytes {[1,3),[5,7)}"},
      {"2", "ia", "integer[] {1,NULL,3}", "integer[] {1,NULL,3}"},
      {"2", "ta", "text[] {a,\"b,c\",NULL,\"q\\\"x\"}", "text[] {a,\"b,c\",NULL,\"q\\\"x\"}"},
      {"2", "na", "numeric[] {1.10,2.20}", "numeric[] {1.10,2.20}"},
      {"2", "da", "date[] {2024-01-01,infinity}", "date[] {2024-01-01,infinity}"},
      {"2", "tsa", "timestamptz[] {\"2024-01-01 00:00:00+00\"}",
       "timestamptz[] {\"2024-01-01 00:00:00+00\"}"},
      {"2", "ba2", "bytes[] {\"\\\\x00ff\"}", "bad: may be hexadecimal or base64"},
      {"2", "ua", "text[] {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
       "text[] {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"},
      {"2", "ja", "text[] {\"{\\\"a\\\": 1}\"}", "text[] {\"{\\\"a\\\": 1}\"}"},
      {"2", "ia2", "integer[] {NULL,NULL}", "integer[] {NULL,NULL}"},
      {"2", "h", R"(text {"a":"1","b":null})", R"(text {"a":"1","b":null})"},
      {"2", "cit", "text CiText", "text CiText"},
      {"2", "lt", "text a.b.c", "text a.b.c"},
      {"2", "md", "text happy", "text happy"},
      {"2", "mda", "text[] {sad,ok}", "text[] {sad,ok}"},
      {"2", "di", "integer 5", "integer 5"},
      // A composite type's name could be any type's: in the hexadecimal mode it passes for text.
      {"2", "ad", "bytes (main,123)", "text 286d61696e2c31323329"},
      {"2", "oi", "integer 42", "integer 42"},
      {"2", "tsv", "text 'a' 'cat' 'fat'", "text 'a' 'cat' 'fat'"},
      {"2", "lsn", "bytes 16/B374D848", "bytes 16/B374D848"},
      {"2", "qc", "text z", "text z"},
      {"2", "nm", "text nme", "text nme"},
      {"3", "f4", "floating NaN", "floating NaN"},
      {"3", "f8", "floating Infinity", "floating Infinity"},
      // The precise mode sends NaN and infinity as null.
      {"3", "n", "numeric NULL", "numeric NaN"},
      {"3", "n2", "numeric NULL", "numeric NaN"},
      {"3", "d", "date infinity", "date infinity"},
      // isostring sends 24:00:00 as 00:00:00Z.
      {"3", "t", "time 24:00:00", "time 00:00:00"},
      {"3", "ts", "timestamp infinity", "timestamp infinity"},
      {"3", "tsz", "timestamptz -infinity", "timestamptz -infinity"},
      {"3", "iv", "interval -28 days -13:30:00", "interval P0Y-1M2DT-3H0M0S"},
      {"4", "f4", "floating -Infinity", "floating -Infinity"},
      {"4", "f8", "floating -0.0", "floating -0.0"},
      {"4", "n", "numeric NULL", "numeric Infinity"},
      {"4", "n2", "numeric 0.0000", "numeric 0.0000"},
      // The snapshot sends a date BC without its era.
      {"4", "d", "date 4713-01-01", "date 4713-01-01"},
      {"4", "ts", "timestamp 0044-03-15 12:00:00 BC", "timestamp 0044-03-15 12:00:00 BC"},
      {"4", "tsz", "timestamptz 0001-01-01 00:00:00+00 BC",
       "timestamptz 0001-01-01 00:00:00+00 BC"},
      {"5", "f4", "floating 1.4E-45", "floating 1.4E-45"},
      {"5", "f8", "floating 4.9E-324", "floating 4.9E-324"},
      {"5", "n", "numeric 0.000000000000000000000000000001",
       "numeric 0.000000000000000000000000000001"},
      {"5", "d", "date 5874897-12-31", "date 5874897-12-31"},
      {"5", "ts",
       "bad: -9223372036853775810 is no timestamp in PostgreSQL's range; set "
       "time.precision.mode=isostring on the connector",
       "timestamp 294276-12-31 23:59:59.999999"},
      {"5", "tsz", "timestamptz 294276-12-31 23:59:59.999999+00",
       "timestamptz 294276-12-31 23:59:59.999999+00"},
  };

  const std::pair<std::string, std::string_view Case::*> files[] = {
      {"debezium-3.6-default-modes.jsonl", &Case::in_default_modes},
      {"debezium-3.6-string-modes.jsonl", &Case::in_string_modes}};
  for (const auto& [file, in_these_modes] : files) {
    std::size_t used = 0;
    for (const auto& message : lines_of(file)) {
      const auto after = member(member(message, "payload"), "after");
      const auto row = member(after, "id");
      for (const auto schema : column_schemas(message)) {
        const auto column = unquoted(member(schema, "field"));
        const auto value = member(after, column);
        const auto want = std::find_if(std::begin(cases), std::end(cases), [&](const Case& c) {
          return c.row == row && c.column == column;
        });
        INFO(file << " row " << row << " column " << column);
        const std::string got = only_cell(one_column(schema, value));
        if (column == "id") {
          CHECK(got == "integer " + std::string{row});
        } else if (want == std::end(cases)) {
          CHECK_THAT(got, ContainsSubstring(" NULL"));
        } else if (const std::string expected{(*want).*in_these_modes};
                   expected.starts_with("bad: ")) {
          ++used;
          CHECK_THAT(got,
                     ContainsSubstring("bad: value: column \"" + std::string{column} + "\" ("));
          CHECK_THAT(got, ContainsSubstring(expected.substr(5)));
        } else {
          ++used;
          CHECK(got == expected);
        }
      }
    }
    CHECK(used == std::size(cases));
  }
}

TEST_CASE("decode: a whole captured row") {
  Decoder decoder;
  std::vector<std::string> got;
  for (const auto& message : lines_of("debezium-3.6-string-modes.jsonl")) {
    got.push_back(decode_to_text(decoder, {.key = key, .value = message}));
  }
  REQUIRE(got.size() == 5);
  CHECK_THAT(got[0], ContainsSubstring("read public.t_types {id=#1} {id=1, b=NULL, i2=NULL, "));
  CHECK_THAT(got[0], ContainsSubstring(", g=NULL} 1795273721909150 [null,\"417087272\"]"));
  CHECK_THAT(got[1], ContainsSubstring("f4=NaN, f8=Infinity, n=NaN, n2=NaN, m=NULL"));
  CHECK_THAT(got[4], ContainsSubstring("bad: value: column \"ba2\" (array of string): "));
}

TEST_CASE("decode: a type's values") {
  struct Case {
    std::string_view schema;  // of the column, but for its name
    std::string_view value;
    std::string_view want;
  };
  constexpr std::string_view date = R"("int32","name":"io.debezium.time.Date")";
  constexpr std::string_view micro = R"("int64","name":"io.debezium.time.MicroTimestamp")";
  constexpr std::string_view milli = R"("int64","name":"io.debezium.time.Timestamp")";
  constexpr std::string_view nano = R"("int64","name":"io.debezium.time.NanoTimestamp")";
  constexpr std::string_view iso_date = R"("string","name":"io.debezium.time.IsoDate")";
  constexpr std::string_view iso_time = R"("string","name":"io.debezium.time.IsoTime")";
  constexpr std::string_view iso_ts = R"("string","name":"io.debezium.time.IsoTimestamp")";
  constexpr std::string_view tsz = R"("string","name":"io.debezium.time.ZonedTimestamp")";
  constexpr std::string_view timetz = R"("string","name":"io.debezium.time.ZonedTime")";
  constexpr std::string_view interval = R"("string","name":"io.debezium.time.Interval")";
  constexpr std::string_view decimal =
      R"("bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"})";
  constexpr std::string_view hundreds =
      R"("bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"-2"})";
  constexpr std::string_view variable =
      R"("struct","name":"io.debezium.data.VariableScaleDecimal")";
  constexpr std::string_view numeric =
      R"("string","parameters":{"__debezium.source.column.type":"NUMERIC"})";
  constexpr std::string_view bits =
      R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"16"})";
  constexpr std::string_view duration = R"("int64","name":"io.debezium.time.MicroDuration")";
  constexpr std::string_view bytea =
      R"("string","parameters":{"__debezium.source.column.type":"BYTEA"})";
  constexpr std::string_view number =
      R"("double","parameters":{"__debezium.source.column.type":"NUMERIC"})";
  constexpr std::string_view ints = R"("array","items":{"type":"int32","optional":true})";
  constexpr std::string_view texts = R"("array","items":{"type":"string","optional":true})";
  constexpr std::string_view bytes = R"("array","items":{"type":"bytes","optional":true})";
  constexpr std::string_view dates =
      R"("array","items":{"type":"int32","optional":true,"name":"io.debezium.time.Date"})";
  constexpr std::string_view moments =
      R"("array","items":{"type":"string","optional":true,"name":"io.debezium.time.ZonedTimestamp"})";
  constexpr std::string_view timestamps =
      R"("array","items":{"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp"})";
  constexpr std::string_view decimals =
      R"("array","items":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}})";
  constexpr std::string_view uuids =
      R"("array","items":{"type":"string","optional":true,"name":"io.debezium.data.Uuid"})";
  constexpr std::string_view point = R"("struct","name":"io.debezium.data.geometry.Point")";
  const Case cases[] = {
      {R"("boolean")", "false", "boolean f"},
      {R"("boolean")", "1", "bad: the value is no boolean"},
      {R"("boolean")", "\"true\"", "bad: the value is no boolean"},
      {R"("boolean")", "truex", "bad: the value is no boolean"},
      {R"("boolean")", "null", "boolean NULL"},
      {R"("boolean","parameters":{"__debezium.source.column.type":"BIT"})", "true", "bits 1"},
      {R"("boolean","parameters":{"__debezium.source.column.type":"VARBIT"})", "true", "varbits 1"},

      {R"("int8")", "-128", "integer -128"},
      {R"("int8")", "128", "bad: the value is no integer of its type's range"},
      {R"("int16")", "32767", "integer 32767"},
      {R"("int16")", "32768", "bad: the value is no integer"},
      {R"("int32")", "-2147483648", "integer -2147483648"},
      {R"("int32")", "2147483648", "bad: the value is no integer"},
      {R"("int64")", "-9223372036854775808", "integer -9223372036854775808"},
      {R"("int64")", "9223372036854775808", "bad: the value is no integer"},
      {R"("int64")", "-0", "integer 0"},
      {R"("int64")", "01", "bad: the value is no integer"},
      {R"("int64")", "1.0", "bad: the value is no integer"},
      {R"("int64")", "-", "bad: the value is no integer"},
      {R"("int64")", "\"1\"", "bad: the value is no integer"},
      {R"("int64")", "{}", "bad: the value is no integer"},
      {R"("int64")", "123456789012345678901234567890", "bad: the value is no integer"},
      {R"("int32","name":"io.debezium.time.Year")", "1999", "integer 1999"},

      {R"("double")", "-0.0", "floating -0.0"},
      {R"("double")", "1E+2", "floating 1E+2"},
      {R"("double")", "100", "floating 100"},
      {R"("double")", "1e309", "bad: the value is no number of its type's range"},
      {R"("float")", "1e39", "bad: the value is no number of its type's range"},
      {R"("double")", "1.", "bad: the value is no number"},
      {R"("double")", "\"-Infinity\"", "floating -Infinity"},
      {R"("double")", "\"1.5\"", "bad: the value is no number"},

      {R"("string")", R"("")", "text "},
      {R"("string")", R"("\u00e4\ud83d\ude00\t\/")", "text ä😀\t/"},
      {R"("string")", R"("\ud83d")", "bad: the value is no well-formed string"},
      {R"("string")", R"("a\u0000b")", "bad: NUL character"},
      {R"("string")", "5", "bad: the value is no well-formed string"},
      {R"("string")", R"("NAN")", "text NAN"},
      {R"("string","name":"io.debezium.data.EnumSet")", R"("a,b")", "text a,b"},
      {R"("string","name":"com.example.Secret")", R"("x")", "bad: no converter"},
      {R"("int32","name":"com.example.Secret")", "null", "unsupported NULL"},

      {R"("bytes")", R"("")", "bytes "},
      {R"("bytes")", R"("Zg==")", "bytes f"},
      {R"("bytes")", R"("Zm8=")", "bytes fo"},
      {R"("bytes")", R"("Zm9v")", "bytes foo"},
      {R"("bytes")", R"("+\/+\/")", "bytes \xFB\xFF\xBF"},
      {R"("bytes")", R"("Zm9")", "bad: the value is no base64"},
      {R"("bytes")", R"("Z===")", "bad: the value is no base64"},
      {R"("bytes")", R"("====")", "bad: the value is no base64"},
      {R"("bytes")", R"("=")", "bad: the value is no base64"},
      {R"("bytes")", R"("Zg==Zg==")", "bad: the value is no base64"},
      {R"("bytes")", R"("Zh==")", "bad: the value is no base64"},
      {R"("bytes")", R"("Zm9-")", "bad: the value is no base64"},
      {R"("bytes")", "17", "bad: the value is no base64"},

      {decimal, R"("AA==")", "numeric 0.00"},
      {decimal, R"("AQ==")", "numeric 0.01"},
      {decimal, R"("/w==")", "numeric -0.01"},
      {decimal, R"("gA==")", "numeric -1.28"},
      {decimal, R"("lw==")", "numeric -1.05"},
      {decimal, R"("AlQL4/8=")", "numeric 99999999.99"},
      {decimal, R"("//////////8=")", "numeric -0.01"},
      {decimal, R"("f/////////8=")", "numeric 92233720368547758.07"},
      {decimal, R"("gAAAAAAAAAAA")", "numeric -23611832414348226068.48"},
      {decimal, R"("DeC2s6dkAAA=")", "numeric 10000000000000000.00"},
      {decimal, R"("")", "bad: the value is no number"},
      {hundreds, R"("BQ==")", "numeric 500"},
      {hundreds, R"("AA==")", "numeric 0"},
      {R"("bytes","name":"org.apache.kafka.connect.data.Decimal")", R"("AA==")",
       "bad: the schema lacks the type's scale or length"},
      {variable, R"({"scale":0,"value":"CEWVFhQBSEoAAAA="})", "numeric 10000000000000000000000000"},
      {variable, R"({"value":"/w==","scale":3})", "numeric -0.001"},
      {variable, R"({"scale":2147483647,"value":"AQ=="})", "bad: the value is no number"},
      {variable, R"({"scale":1})", "bad: the value is no {scale, value}"},
      {variable, R"({"scale":1,"scale":1,"value":"AQ=="})", "bad: the value is no {scale, value}"},
      {variable, "7", "bad: the value is no {scale, value}"},
      {numeric, R"("10.50")", "numeric 10.50"},
      {numeric, R"("-1E+3")", "numeric -1E+3"},
      {numeric, R"("NAN")", "numeric NaN"},
      {numeric, R"("POSITIVE_INFINITY")", "numeric Infinity"},
      {numeric, R"("NEGATIVE_INFINITY")", "numeric -Infinity"},
      {numeric, R"("ten")", "bad: ten is no number"},
      {numeric, R"("äääääääääääääääääääää")", "bad: : ääääääääääääääääääää… is no number"},
      {numeric, R"("xääääääääääääääääääää")", "bad: : xäääääääääääääääääää… is no number"},

      {bits, R"("AQ==")", "bits 0000000000000001"},
      {bits, R"("AIA=")", "bits 1000000000000000"},
      {bits, R"("")", "bits 0000000000000000"},
      {bits, R"("AAAB")", "bad: the value is no string of 16 bits"},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"2147483647"})", "null",
       "varbits NULL"},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"2147483647"})",
       R"("AAE=")", "varbits 100000000"},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"2147483647"})", R"("")",
       "varbits "},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"8","__debezium.source.column.type":"VARBIT"})",
       R"("AQ==")", "varbits 1"},
      {R"("bytes","name":"io.debezium.data.Bits")", R"("AQ==")",
       "bad: the schema lacks the type's scale or length"},

      {date, "0", "date 1970-01-01"},
      {date, "-1", "date 1969-12-31"},
      {date, "11016", "date 2000-02-29"},
      {date, "-25509", "date 1900-02-28"},
      {date, "-25508", "date 1900-03-01"},
      {date, "2932897", "date 10000-01-01"},
      {date, "-719162", "date 0001-01-01"},
      {date, "-719163", "date 0001-12-31 BC"},
      {date, "-735160", "date 0044-03-15 BC"},
      {date, "-2440588", "date 4714-11-24 BC"},
      {date, "-2440589", "bad: -2440589 is no date in PostgreSQL's range"},
      {date, "2145042905", "date 5874897-12-31"},
      {date, "2145042906", "bad: 2145042906 is no date in PostgreSQL's range"},
      {date, "-622191234", "date infinity"},
      {date, "-2147472692", "date infinity"},
      {date, "-625821272", "date -infinity"},
      {date, "-2147472691", "date -infinity"},
      {date, "0.5", "bad: the value is no int32"},
      {R"("int32","name":"org.apache.kafka.connect.data.Date")", "-2147472691", "date -infinity"},

      {R"("int32","name":"io.debezium.time.Time")", "45296789", "time 12:34:56.789"},
      {R"("int32","name":"org.apache.kafka.connect.data.Time")", "86400000", "time 24:00:00"},
      {R"("int64","name":"io.debezium.time.MicroTime")", "1", "time 00:00:00.000001"},
      {R"("int64","name":"io.debezium.time.MicroTime")", "86400000001", "bad: no time of the day"},
      {R"("int64","name":"io.debezium.time.MicroTime")", "-1", "bad: -1 is no time of the day"},
      {R"("int64","name":"io.debezium.time.NanoTime")", "45296789000000", "time 12:34:56.789"},

      {micro, "0", "timestamp 1970-01-01 00:00:00"},
      {micro, "-1", "timestamp 1969-12-31 23:59:59.999999"},
      {micro, "253402300800000000", "timestamp 10000-01-01 00:00:00"},
      {micro, "9089348860800000000", "timestamp 290000-01-01 00:00:00"},
      {micro, "-210866803200000000", "timestamp 4714-11-24 00:00:00 BC"},
      {micro, "-210866803200000001", "bad: no timestamp in PostgreSQL's range"},
      {micro, "9223372036825200000", "timestamp infinity"},
      {micro, "-9223372036832400000", "timestamp -infinity"},
      {micro, "9223372036825200001", "timestamp 294247-01-10 04:00:25.200001"},
      {micro, "9223372036854775807", "bad: no certain timestamp"},
      {micro, "9223372036854775808", "bad: the value is no int64"},
      {milli, "-1", "timestamp 1969-12-31 23:59:59.999"},
      {milli, "9223372036825200", "timestamp infinity"},
      {milli, "-9223372036832400", "timestamp -infinity"},
      {milli, "9224318016000000", "bad: 9224318016000000 is no timestamp"},
      {R"("int64","name":"org.apache.kafka.connect.data.Timestamp")", "1704067200123",
       "timestamp 2024-01-01 00:00:00.123"},
      {nano, "-1000", "timestamp 1969-12-31 23:59:59.999999"},
      {nano, "1795294290936192000", "timestamp 2026-11-21 20:51:30.936192"},
      {nano, "9223372036854775807", "timestamp infinity"},
      {nano, "-9223372036854775808", "timestamp -infinity"},

      {iso_date, R"("2024-02-29Z")", "date 2024-02-29"},
      {iso_date, R"("2024-02-29")", "date 2024-02-29"},
      {iso_date, R"("2023-02-29Z")", "bad: 2023-02-29Z is no ISO 8601 value"},
      {iso_date, R"("-0043-03-15Z")", "date 0044-03-15 BC"},
      {iso_date, R"("0000-12-31Z")", "date 0001-12-31 BC"},
      {iso_date, R"("-4713-11-24Z")", "date 4714-11-24 BC"},
      {iso_date, R"("-4713-11-23Z")", "bad: no ISO 8601 value in PostgreSQL's range"},
      {iso_date, R"("+10000-01-01Z")", "date 10000-01-01"},
      {iso_date, R"("+292278994-08-16Z")", "date infinity"},
      {iso_date, R"("-5877611-06-21Z")", "date infinity"},
      {iso_date, R"("+292269055-12-02Z")", "date -infinity"},
      {iso_date, R"("-5877611-06-22Z")", "date -infinity"},
      {iso_date, R"("2024-02-29+02:00")", "bad: no ISO 8601 value"},
      {iso_date, R"("24-02-29Z")", "bad: no ISO 8601 value"},
      {iso_date, R"("2024-13-01Z")", "bad: no ISO 8601 value"},
      {iso_date, R"("")", "bad: no ISO 8601 value"},
      {iso_time, R"("12:34:56.789Z")", "time 12:34:56.789"},
      {iso_time, R"("12:34Z")", "time 12:34:00"},
      {iso_time, R"("25:00:00Z")", "bad: 25:00:00Z is no ISO 8601 value"},
      {iso_ts, R"("2026-11-21T20:50:41.66386Z")", "timestamp 2026-11-21 20:50:41.66386"},
      {iso_ts, R"("-0043-03-15T12:00:00Z")", "timestamp 0044-03-15 12:00:00 BC"},
      {iso_ts, R"("-4713-11-24T00:00:00Z")", "timestamp 4714-11-24 00:00:00 BC"},
      {iso_ts, R"("+290000-01-01T00:00:00Z")", "timestamp 290000-01-01 00:00:00"},
      {iso_ts, R"("+294247-01-10T04:00:25.2Z")", "timestamp infinity"},
      {iso_ts, R"("-290308-12-21T19:59:27.6Z")", "timestamp -infinity"},
      {iso_ts, R"("+294277-01-01T00:00:00Z")", "bad: no ISO 8601 value in PostgreSQL's range"},
      {iso_ts, R"("2026-11-21T20:50:41.Z")", "bad: no ISO 8601 value"},
      {iso_ts, R"("2026-11-21 20:50:41")", "bad: no ISO 8601 value"},
      {tsz, R"("2024-06-01T12:00:00+02:00")", "timestamptz 2024-06-01 12:00:00+02:00"},
      {tsz, R"("+10000-01-01T00:00:00.000000Z")", "timestamptz 10000-01-01 00:00:00+00"},
      {tsz, R"("+294247-01-10T04:00:25.200000Z")", "timestamptz 294247-01-10 04:00:25.2+00"},
      {tsz, R"("-4713-11-24T00:00:00.000000Z")", "timestamptz 4714-11-24 00:00:00+00 BC"},
      {tsz, R"("infinity")", "timestamptz infinity"},
      {tsz, R"("2024-06-01T12:00:00")", "bad: no ISO 8601 value"},
      {tsz, R"("2024-06-01T12:00:00+2")", "bad: no ISO 8601 value"},
      {timetz, R"("19:00:00Z")", "timetz 19:00:00+00"},
      {timetz, R"("12:00:00.5-05:30")", "timetz 12:00:00.5-05:30"},

      {interval, R"("P0Y-1M2DT-3H0M-0.5S")", "interval P0Y-1M2DT-3H0M-0.5S"},
      {interval, R"("P178000000Y0M0DT0H0M0S")", "interval P178000000Y0M0DT0H0M0S"},
      {interval, R"("1 day")", "bad: 1 day is no ISO 8601 duration"},
      {R"("double","name":"io.debezium.time.MicroDuration")", "1.5",
       "bad: set interval.handling.mode=string"},
      {duration, "14706789000", "interval 04:05:06.789"},
      {duration, "-1", "interval -00:00:00.000001"},
      {duration, "86400000000", "interval 1 days 00:00:00"},
      {duration, "-2467800000000", "interval -28 days -13:30:00"},
      {duration, "9223372036854775807", "bad: set interval.handling.mode=string"},

      {point, R"({"x":1.5,"y":-2E10,"wkb":"AQ==","srid":null})", "point (1.5,-2E10)"},
      {point, R"({"x":"NaN","y":"-Infinity"})", "point (NaN,-Infinity)"},
      {point, R"({"x":1})", "bad: the value is no point"},
      {point, R"({"x":1,"x":1,"y":2})", "bad: the value is no point"},
      {R"("struct","name":"io.debezium.data.geometry.Geometry")", R"({"wkb":"AQ=="})",
       "bad: no converter"},
      {R"("map")", R"({"a":"1","b":null})", R"(text {"a":"1","b":null})"},
      {R"("map")", R"([["a","1"]])", "bad: the value is no map"},
      {R"("map")", R"({"__debezium_unavailable_value":"__debezium_unavailable_value"})",
       "text (unchanged)"},

      // Hexadecimal or base64, where only one of them is possible.
      {bytea, R"("00")", std::string_view{"bytes \0", 7}},
      {bytea, R"("666f6f")", "bytes foo"},
      {bytea, R"("Zm9v")", "bytes foo"},
      {bytea, R"("-_8=")", "bytes \xFB\xFF"},
      {bytea, R"("")", "bytes "},
      {bytea, R"("deadbeef")", "bad: binary.handling.mode"},
      {bytea, R"("DEADBEE")", "bad: the value is no hexadecimal number or base64"},
      {bytea, R"("__debezium_unavailable_value")", "bytes (unchanged)"},

      {number, "1.50", "numeric 1.50"},
      {number, "\"NaN\"", "numeric NaN"},
      {number, "\"x\"", "bad: the value is no number"},

      {ints, "[1, null,-3]", "integer[] {1,NULL,-3}"},
      {ints, "[]", "integer[] {}"},
      {ints, "null", "integer[] NULL"},
      {ints, "[1.5]", "bad: the value is no integer"},
      {ints, "[[1]]", "bad: the value is no integer"},
      {ints, "5", "bad: the value is no array"},
      {ints, "[1,,2]", "bad: the value is no integer"},
      {texts, R"(["a","","NULL","null"," ","{x}","q\"\\","ä,b", null])",
       R"(text[] {a,"","NULL","null"," ","{x}","q\"\\","ä,b",NULL})"},
      {texts, R"(["a\u0000"])", "bad: NUL character"},
      {bytes, R"(["AP8=",""])", R"(bytes[] {"\\x00ff","\\x"})"},
      {dates, "[-622191234,-625821272,0]", "date[] {infinity,-infinity,1970-01-01}"},
      {moments, R"(["+292269055-12-02T23:00:00.000000Z"])", "timestamptz[] {-infinity}"},
      {timestamps, "[-63517953600000000,-12219292800000000,-12219379200000000]",
       R"(timestamp[] {"0044-03-15 12:00:00 BC","1582-10-15 00:00:00","1582-10-04 00:00:00"})"},
      {decimals, R"(["AQ==",null])", "numeric[] {0.01,NULL}"},
      {R"("array","items":{"type":"map"})", R"([{"a":"\""}])", R"(text[] {"{\"a\":\"\\\"\"}"})"},
      {R"("array","items":{"type":"string","name":"com.example.Secret"})", R"(["x"])",
       "bad: no converter"},
      {R"("array")", R"(["x"])", "bad: no converter"},

      {texts, R"(["__debezium_unavailable_value"])", "text[] (unchanged)"},
      {texts, R"(["__debezium_unavailable_value","b"])", "text[] {__debezium_unavailable_value,b}"},
      {texts, R"("__debezium_unavailable_value")", "text[] (unchanged)"},
      {texts, R"("x")", "bad: the value is no array"},
      {bytes, R"(["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="])", "bytes[] (unchanged)"},
      {ints,
       "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,"
       "108,117,101]",
       "integer[] (unchanged)"},
      {dates,
       "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,"
       "108,117,101]",
       "date[] (unchanged)"},
      {uuids, R"(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"])", "text[] (unchanged)"},

      {R"("string","name":"io.debezium.data.Json")", R"("__debezium_unavailable_value")",
       "text (unchanged)"},
      {R"("string","name":"io.debezium.data.Json")",
       R"("{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}")",
       "text (unchanged)"},
      {R"("bytes")", R"("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")", "bytes (unchanged)"},
      {numeric, R"("__debezium_unavailable_value")", "numeric (unchanged)"},
  };
  for (const auto& c : cases) {
    INFO(c.schema << " " << c.value);
    const auto got =
        only_cell(one_column("{\"type\":" + std::string{c.schema} + ",\"field\":\"x\"}", c.value));
    if (c.want.starts_with("bad: ")) {
      CHECK_THAT(got, ContainsSubstring("bad: value: column \"x\" ("));
      CHECK_THAT(got, ContainsSubstring(std::string{c.want.substr(5)}));
    } else {
      CHECK(got == c.want);
    }
  }
}

TEST_CASE("decode: what the connector has lost is told") {
  struct Case {
    std::string_view schema;
    std::string_view value;
    std::string_view of_column;  // a part; empty: nothing
    std::string_view of_value;
  };
  constexpr std::string_view micro_time =
      R"("array","items":{"type":"int64","optional":true,"name":"io.debezium.time.MicroTime"})";
  constexpr std::string_view texts =
      R"("array","items":{"type":"string","optional":true},"parameters":{"__debezium.source.column.type":"_TEXT"})";
  constexpr std::string_view connect_time =
      R"("int64","name":"org.apache.kafka.connect.data.Timestamp")";
  constexpr std::string_view connect_time_3 =
      R"("int64","name":"org.apache.kafka.connect.data.Timestamp","parameters":{"__debezium.source.column.scale":"3"})";
  const Case cases[] = {
      {R"("int32")", "1", "", ""},
      {R"("string")", R"("x")", "", ""},
      {R"("string","name":"io.debezium.time.ZonedTime")", R"("00:00:00Z")", "moved to UTC", ""},
      {R"("int64","name":"io.debezium.time.MicroDuration")", "86399999999", "", ""},
      {R"("int64","name":"io.debezium.time.MicroDuration")", "86400000000", "", "arrive as hours"},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"2147483647"})",
       R"("AQ==")", "", "zeros in front"},
      {R"("array","items":{"type":"int32","optional":true})", "[null,null]", "", "dimensions"},
      {R"("array","items":{"type":"int32","optional":true})", "[1,null]", "", ""},
      {texts, "[null,null]", "", ""},
      {R"("array","items":{"type":"int32","optional":true})", "[]", "", ""},
      {R"("array","items":{"type":"string","optional":false})", "[]", "with NULL in it", ""},
      {micro_time, "[0]", "24:00:00 arrives as 00:00:00", ""},
      {R"("int32","name":"io.debezium.time.Date")", "-622191234", "BC", "both infinities"},
      {connect_time, "0", "microseconds are cut off", ""},
      {connect_time_3, "0", "", ""},
      {R"("struct","name":"io.debezium.data.VariableScaleDecimal")", "null", "NaN and infinity",
       ""},
  };
  for (const auto& c : cases) {
    INFO(c.schema << " " << c.value);
    Decoder decoder;
    Arena arena;
    auto record = one_column("{\"type\":" + std::string{c.schema} + ",\"field\":\"x\"}", c.value);
    const auto told = [&](bool of_value) {
      decode(decoder, arena, record);
      std::string text;
      for (const auto& loss : decoder.losses()) {
        CHECK(loss.column == "x");
        if (loss.of_value == of_value) text += loss.what;
      }
      return text;
    };
    const auto of_column = told(false);  // with the first record of the schema
    CHECK_THAT(of_column, ContainsSubstring(std::string{c.of_column}));
    CHECK(of_column.empty() == c.of_column.empty());
    const auto of_value = told(true);
    CHECK_THAT(of_value, ContainsSubstring(std::string{c.of_value}));
    CHECK(of_value.empty() == c.of_value.empty());
    CHECK(told(false).empty());
  }
}

TEST_CASE("decode: NULL in an update may be an unchanged value") {
  struct Case {
    std::string_view schema;
    bool told;
  };
  const Case cases[] = {
      {R"("array","items":{"type":"int16","optional":true})", true},
      {R"("array","items":{"type":"int32","optional":true})", false},
      {R"("array","items":{"type":"string","optional":true})", true},
      {R"("array","items":{"type":"string","optional":true},"parameters":{"__debezium.source.column.type":"_TEXT"})",
       false},
      {R"("array","items":{"type":"string","optional":true},"parameters":{"__debezium.source.column.type":"_INET"})",
       true},
      {R"("array","items":{"type":"int32","optional":true,"name":"io.debezium.time.Date"})", false},
      {R"("array","items":{"type":"string","optional":true,"name":"io.debezium.time.IsoDate"})",
       true},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"9000"})", true},
      {R"("bytes","name":"io.debezium.data.Bits","parameters":{"length":"9"})", false},
      {R"("struct","name":"io.debezium.data.VariableScaleDecimal")", true},
      {R"("bytes")", false},
      {R"("string","parameters":{"__debezium.source.column.type":"BYTEA"})", true},
      {R"("string")", false},
  };
  for (const auto& c : cases) {
    INFO(c.schema);
    const auto tells = [&](std::string_view before, char op) {
      Decoder decoder;
      Arena arena;
      auto record = one_column("{\"type\":" + std::string{c.schema} + ",\"field\":\"x\"}", "null");
      auto& value = *record.value;
      value.replace(value.find(R"("op":"c")") + 6, 1, 1, op);
      value.replace(value.find(R"("payload":{)"), 11,
                    R"("payload":{"before":)" + std::string{before} + ",");
      decode(decoder, arena, record);
      return std::any_of(decoder.losses().begin(), decoder.losses().end(), [](const auto& loss) {
        return loss.of_value && loss.what.starts_with("NULL in an update");
      });
    };
    CHECK(tells("null", 'u') == c.told);
    CHECK_FALSE(tells("null", 'c'));
    CHECK_FALSE(tells(R"({"x":null})", 'u'));  // REPLICA IDENTITY FULL
  }
}

TEST_CASE("decode: arrays of several dimensions that arrive as names of Java objects are refused") {
  const std::string garbage = R"(["[Ljava.lang.String;@1b18475c","[Ljava.lang.String;@5a771b45"])";
  const std::string cause = "an array of several dimensions";
  CHECK_THAT(
      only_cell(one_column(
          R"({"type":"array","items":{"type":"string","optional":true},"field":"x"})", garbage)),
      ContainsSubstring(cause));
  Decoder decoder;
  CHECK_THAT(decode_to_text(decoder, bare(R"({"x":)" + garbage + "}")), ContainsSubstring(cause));
  CHECK_THAT(decode_to_text(decoder, bare(R"({"x":["[Ljava.lang.String;@ is no object"]})")),
             ContainsSubstring("is no object"));
}

TEST_CASE("decode: arrays, maps and decimals without schema") {
  struct Case {
    std::string_view name;
    std::string_view value;
    std::string_view want;
  };
  const Case cases[] = {
      {"unchanged texts", R"(["__debezium_unavailable_value"])", "(unchanged)"},
      {"unchanged bytes", R"(["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="])", "(unchanged)"},
      {"unchanged uuids", R"(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"])", "(unchanged)"},
      {"unchanged numbers",
       "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,"
       "108,117,101]",
       "(unchanged)"},
      {"an unchanged hstore", R"({"__debezium_unavailable_value":"__debezium_unavailable_value"})",
       "(unchanged)"},
      {"one text among others", R"(["__debezium_unavailable_value","x"])",
       R"(["__debezium_unavailable_value","x"])"},
      {"a decimal of any scale", R"({"scale":2,"value":"ME0="})", "#123.65"},
      {"an hstore like a decimal", R"({"scale":"2","value":"ME0="})",
       R"({"scale":"2","value":"ME0="})"},
  };
  for (const auto& c : cases) {
    INFO(c.name);
    Decoder decoder;
    CHECK_THAT(decode_to_text(decoder, bare(R"({"x":)" + std::string{c.value} + "}")),
               ContainsSubstring("{x=" + std::string{c.want} + "}"));
    CHECK(std::none_of(decoder.losses().begin(), decoder.losses().end(),
                       [](const auto& loss) { return loss.of_value; }));
  }
  Decoder decoder;
  decode_to_text(decoder, bare(R"({"x":[null,null]})"));
  REQUIRE_FALSE(decoder.losses().empty());
  CHECK(decoder.losses().back().column == "x");
}

TEST_CASE("decode: with the connector's modes told") {
  struct Case {
    ConnectorModes modes;
    std::string_view schema;
    std::string_view value;
    std::string_view want;
  };
  using Binary = ConnectorModes::Binary;
  const auto binary = [](Binary mode) {
    ConnectorModes modes;
    modes.binary = mode;
    return modes;
  };
  ConnectorModes placeholder;
  placeholder.placeholder = "gone";
  constexpr std::string_view bytea =
      R"("string","parameters":{"__debezium.source.column.type":"BYTEA"})";
  constexpr std::string_view uuids =
      R"("array","items":{"type":"string","optional":true,"name":"io.debezium.data.Uuid"})";
  const Case cases[] = {
      {binary(Binary::hex), bytea, R"("deadbeef")", "bytes \xDE\xAD\xBE\xEF"},
      {binary(Binary::base64), bytea, R"("beef")", "bytes m\xE7\x9F"},
      {binary(Binary::base64_url_safe), bytea, R"("-_8=")", "bytes \xFB\xFF"},
      {binary(Binary::hex), bytea, R"("Zm9v")", "bad: the value is no hexadecimal number"},
      {binary(Binary::base64), bytea, R"("Zm9")", "bad: the value is no base64"},
      {placeholder, R"("string")", R"("gone")", "text (unchanged)"},
      {placeholder, R"("string")", R"("__debezium_unavailable_value")",
       "text __debezium_unavailable_value"},
      {placeholder, R"("bytes")", R"("Z29uZQ==")", "bytes (unchanged)"},
      // UUID.nameUUIDFromBytes of "gone"
      {placeholder, uuids, R"(["50c1f58b-e7f5-347e-8f53-d64c094783c2"])", "text[] (unchanged)"},
  };
  for (const auto& c : cases) {
    INFO(c.schema << " " << c.value);
    const auto got = only_cell(
        one_column("{\"type\":" + std::string{c.schema} + ",\"field\":\"x\"}", c.value), c.modes);
    CHECK_THAT(got,
               ContainsSubstring(std::string{c.want.substr(c.want.starts_with("bad: ") ? 5 : 0)}));
  }
}

TEST_CASE("decode: a decimal of many digits keeps them all") {
  // 2^65536 - 1 has 19729 digits: more than PostgreSQL keeps after the point, not before it.
  std::string base64 = "AP//";
  for (int i = 0; i < 2730; ++i) base64 += "////";
  const std::string schema =
      R"({"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"0"},"field":"x"})";
  const auto got = only_cell(one_column(schema, in_quotes(base64)));
  CHECK(got.size() == 19'729 + std::string{"numeric "}.size());
  CHECK(
      got.starts_with("numeric 2003529930406846464979072351560255750447825475569751419265016973"));
  CHECK(got.ends_with("45587895905719156735"));
}

TEST_CASE("decode: what the columns of a layout say") {
  Decoder decoder;
  Arena arena;
  const auto decoded =
      decode(decoder, arena,
             one_column(R"({"type":"int32","name":"io.debezium.time.Date","parameters":)"
                        R"({"__debezium.source.column.type":"DATE"},"field":"born"})",
                        "1"));
  const auto& change = std::get<Change>(decoded);
  CHECK(change.row_layout->columns ==
        std::vector<Column>{{.name = "born",
                             .type = ValueType::date,
                             .described = "io.debezium.time.Date (int32)",
                             .source_type = "DATE",
                             .declared = "DATE"}});
  CHECK(change.key_layout->columns == std::vector<Column>{{.name = "id",
                                                           .type = ValueType::untyped,
                                                           .described = "JSON without schema",
                                                           .source_type = ""}});
}

TEST_CASE("decode: what a column's schema says for a table to be made of it") {
  struct Case {
    std::string_view name;
    std::string schema;  ///< without the field's name
    std::string want;    ///< type, length, scale, NULL or not, default
  };
  const auto told = [](const std::string& type, int length, int scale) {
    return R"("parameters":{"__debezium.source.column.type":")" + type +
           R"(","__debezium.source.column.length":")" + std::to_string(length) +
           R"(","__debezium.source.column.scale":")" + std::to_string(scale) + R"("})";
  };
  const Case cases[] = {
      {"as the source tells it", R"("type":"string","optional":true,)" + told("NUMERIC", 10, 2),
       "NUMERIC 10 2 null"},
      {"without a scale",
       R"("type":"string","optional":false,"parameters":)"
       R"({"__debezium.source.column.type":"NUMERIC","__debezium.source.column.length":"0"})",
       "NUMERIC 0 - not null"},
      {"a number as default",
       R"("type":"int32","optional":false,"default":7,)" + told("INT4", 10, 0),
       "INT4 10 0 not null =7"},
      {"a text as default", R"("type":"string","optional":false,"default":"it's \"x\"")",
       "TEXT - - not null =it's \"x\""},
      {"a decimal as default",
       R"("type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal",)"
       R"("parameters":{"scale":"2","connect.decimal.precision":"10"},"default":"AJY=")",
       "NUMERIC 10 2 not null =1.50"},
      {"a time as default",
       R"("type":"int64","optional":false,"name":"io.debezium.time.MicroTimestamp",)"
       R"("default":1704067200500000)",
       "TIMESTAMP - - not null =2024-01-01 00:00:00.5"},
      {"bits",
       R"("type":"bytes","optional":true,"name":"io.debezium.data.Bits","parameters":{"length":"5"})",
       "BIT 5 - null"},
      {"an array", R"("type":"array","optional":true,"items":{"type":"int64","optional":true})",
       "_INT8 - - null"},
      {"an array as the source tells it",
       R"("type":"array","optional":true,"items":{"type":"string"},)" + told("_VARCHAR", 7, 0),
       "_VARCHAR 7 0 null"},
      {"an enum",
       R"("type":"string","optional":true,"name":"io.debezium.data.Enum","parameters":{"allowed":"a,b"})",
       "TEXT - - null"},
      {"a plain integer", R"("type":"int16","optional":true)", "INT2 - - null"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Decoder decoder;
      Arena arena;
      const auto decoded =
          decode(decoder, arena, one_column("{" + c.schema + R"(,"field":"x"})", "null"));
      const auto* const change = std::get_if<Change>(&decoded);
      REQUIRE(change != nullptr);
      const Column& column = change->row_layout->columns.at(0);
      const auto number = [](std::optional<std::int32_t> value) {
        return value ? std::to_string(*value) : "-";
      };
      CHECK(column.declared + " " + number(column.length) + " " + number(column.scale) +
                (column.optional ? " null" : " not null") +
                (column.default_value ? " =" + *column.default_value : "") ==
            c.want);
    }
  }
}

TEST_CASE("decode: malformed and unusual envelopes") {
  struct Case {
    std::string_view name;
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::string_view want;  // a part of it
  };
  const std::string rest = R"(,"source":)" + source + R"(,"op":"c"})";
  const auto with_source = [](std::string_view fields) {
    return R"({"after":{"id":1},"source":{)" + std::string{fields} + R"(},"op":"c"})";
  };
  const Case cases[] = {
      {"neither key nor value", std::nullopt, std::nullopt, "skipped: empty"},
      {"an empty value is no null", key, "", "bad: value: malformed JSON: "},
      {"no object", key, "[1]", "bad: value: malformed JSON: "},
      {"a null payload", key, R"({"schema":{"type":"struct"},"payload":null})",
       "bad: value: its payload is no JSON object"},
      {"a key's null payload", R"({"schema":null,"payload":null})", bare("{}").value,
       "bad: key: its payload is no JSON object"},
      {"null schema: schemaless", R"({"schema":null,"payload":{"id":1}})",
       R"({"schema":null,"payload":)" + *bare(R"({"a":1})").value + "}",
       "create public.t {id=#1} {a=#1} 7 s"},
      {"spaces and another order",
       R"({ "payload" : {"id" : 1 } ,"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]} } )",
       R"({"op" : "u" , "source" : {"table":"t","schema":"public", "ts_ms" : 5} , "after" : { "a" : "x" , "b" : 1.5 } })",
       "update public.t {id=1} {a=x, b=#1.5} 5000 "},
      {"a NUL in the table's name", key, with_source(R"("schema":"public","table":"t\u0000")"),
       R"(bad: value: malformed "source")"},
      {"a NUL in a text, not escaped", key,
       bare(R"({"a":"x)" + std::string(1, '\0') + R"(y"})").value, "bad: value: "},
      {"a NUL in a column's name", key, bare(R"({"a\u0000":1})").value,
       "bad: value: the name or type of a column holds a NUL character"},
      {"a NUL in the name of a key's column", R"({"id\u0000":1})", bare(R"({"a":1})").value,
       "bad: key: the name or type of a column holds a NUL character"},
      {"flattened", key, R"({"id":1,"name":"x"})", "take the ExtractNewRecordState transform out"},
      {"flattened, with a status", key, R"({"id":1,"status":"BEGIN"})", "ExtractNewRecordState"},
      {"flattened, with schema", key,
       R"({"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}],"name":"Value"},"payload":{"id":1}})",
       "ExtractNewRecordState"},
      {"truncated", key, R"({"after":{"id":1})" + rest.substr(0, 30), "bad: value: "},
      {"more than one object", key, *bare("{}").value + "{}", "bad: value: "},
      {"op twice", key, R"({"op":"c","after":{"id":1})" + rest, "bad: value: malformed"},
      {"after twice", key, R"({"after":{"id":1},"after":{"id":1})" + rest, "bad: value: malformed"},
      {"no op", key, R"({"after":{"id":1},"source":)" + source + "}", "it has no \"op\""},
      {"an unknown op", key, bare(R"({"id":1})", "x").value, "bad: value: unknown op \"x\""},
      {"an op of two letters", key, bare(R"({"id":1})", "cc").value, "bad: value: malformed"},
      {"an update without a row", key, bare("null", "u").value, "op \"u\" has no \"after\""},
      {"a delete with a row", key, bare(R"({"id":1})", "d").value, "op \"d\" has an \"after\""},
      {"a truncate with a row", key, bare(R"({"id":1})", "t").value, "op \"t\" has an \"after\""},
      {"a row that is no object", key, bare("[1]").value, "bad: value: malformed"},
      {"no source", key, R"({"after":{"id":1},"op":"c"})", "\"source\" names no table"},
      {"a source without table", key, with_source(R"("schema":"public")"), "names no table"},
      {"a source that is no object", key, R"({"after":{"id":1},"source":1,"op":"c"})",
       "malformed \"source\""},
      {"a source's table twice", key, with_source(R"("schema":"a","table":"b","table":"c")"),
       "malformed \"source\""},
      {"MySQL has no schema", key, with_source(R"("db":"shop","table":"items","ts_ms":3)"),
       "create shop.items {id=#1} {id=#1} 3000 "},
      {"microseconds win over milliseconds", key,
       with_source(R"("ts_ms":3,"schema":"a","table":"b","ts_us":3141)"),
       "create a.b {id=#1} {id=#1} 3141 "},
      {"a time out of range", key,
       with_source(R"("schema":"a","table":"b","ts_ms":9223372036854775807)"),
       "malformed time in \"source\""},
      {"a time that is no number", key, with_source(R"("schema":"a","table":"b","ts_us":"x")"),
       "malformed time in \"source\""},
      {"a delete without key", std::nullopt, bare("null", "d").value, no_key_cause},
      {"a key without columns", "{}", bare(R"({"id":1})").value, "bad: key: it has no columns"},
      {"a key that is no object", "1", bare(R"({"id":1})").value, "bad: key: malformed JSON: "},
      {"a malformed key", R"({"id":1)", bare(R"({"id":1})").value, "bad: key: "},
      {"a column twice", key, bare(R"({"a":1,"b":2,"a":3})").value, "column \"a\" comes twice"},
      {"schemaless values", key,
       bare(R"({"s":"x\"","n":1.50,"t":true,"f":false,"z":null,"o":{"a":[1, 2]},"l":[]})").value,
       R"({s=x", n=#1.50, t=t, f=f, z=NULL, o={"a":[1, 2]}, l=[]})"},
      {"a schemaless number", key, bare(R"({"a":01})").value, "column \"a\": malformed JSON"},
      {"a schemaless array", key, bare(R"({"a":[1,,2]})").value, "column \"a\": malformed JSON"},
      {"not UTF-8", key, bare("{\"a\":\"\xFF\"}").value, "not valid UTF-8"},
  };
  for (const auto& c : cases) {
    INFO(c.name);
    CHECK_THAT(decode_to_text({.key = c.key, .value = c.value}),
               ContainsSubstring(std::string{c.want}));
  }
}

TEST_CASE("decode: a column's name and type are without NUL characters") {
  for (
      const std::string schema :
      {R"({"type":"string","field":"x\u0000"})",
       R"({"type":"string","field":"x","parameters":{"__debezium.source.column.type":"A\u0000"}})"}) {
    INFO(schema);
    CHECK_THAT(decode_to_text(one_column(schema, R"("a")")),
               ContainsSubstring("bad: value: the name or type of a column holds a NUL character"));
  }
}

TEST_CASE("decode: what is of the setup, and what of a record, is told") {
  constexpr auto setup = debezium::Scope::setup;
  constexpr auto record = debezium::Scope::record;
  struct Case {
    std::string_view name;
    debezium::Scope want;
    Record is;
  };
  const auto typed = [](const std::string& type, const std::string& value) {
    return one_column(R"({"type":)" + type + R"(,"field":"x"})", value);
  };
  const std::string bytea = R"("string","parameters":{"__debezium.source.column.type":"BYTEA"})";
  const Case cases[] = {
      {"Avro", setup, {.key = key, .value = std::string{"\0\0\0\0\1abc", 8}}},
      {"a string of Connect's", setup, {.key = key, .value = "Struct{after=Struct{id=1}}"}},
      {"a key that is none", setup, bare(R"({"id":1})", "c", "Struct{id=1}")},
      {"flattened", setup, {.key = key, .value = R"({"id":1})"}},
      {"a transform has taken a field",
       setup,
       {.key = key, .value = R"({"schema":{"type":"string"},"payload":"x"})"}},
      {"no source table",
       setup,
       {.key = key, .value = R"({"after":{"id":1},"op":"c","source":{}})"}},
      {"a type without converter", setup,
       typed(R"("string","name":"com.example.Secret")", R"("x")")},
      {"hexadecimal or base64", setup, typed(bytea, R"("beef")")},
      {"no scale", setup, typed(R"("bytes","name":"org.apache.kafka.connect.data.Decimal")", "1")},
      {"neither key nor before",
       setup,
       {.key = std::nullopt,
        .value = R"({"before":null,"after":null,"source":)" + source + R"(,"op":"d"})"}},
      {"malformed", record, {.key = key, .value = "{nonsense"}},
      {"text", record, {.key = key, .value = "hello"}},
      {"empty", record, {.key = key, .value = ""}},
      {"an op", record, bare(R"({"id":1})", "x")},
      {"a value", record, typed(R"("int32")", R"("many")")},
      {"a value out of range", record,
       typed(R"("int64","name":"io.debezium.time.MicroTimestamp")", "9223372036854775807")},
      {"a column too many",
       record,
       {.key = key,
        .value = R"({"schema":{"type":"struct","fields":[{"type":"struct","fields":[],)"
                 R"("field":"after"}]},"payload":{"after":{"x":1},"source":)" +
                 source + R"(,"op":"c"}})"}},
      {"a tombstone of a table that is not known",
       record,
       {.topic = "renamed", .key = key, .value = {}}},
  };
  for (const auto& c : cases) {
    INFO(c.name);
    Decoder decoder;
    Arena arena;
    const auto decoded = decode(decoder, arena, c.is);
    INFO(text_of(decoded));
    REQUIRE(std::holds_alternative<BadRecord>(decoded));
    CHECK(std::get<BadRecord>(decoded).scope == c.want);
  }
  Decoder decoder;
  decoder.remember("both", {{"public", "a"}, true});
  Arena arena;
  const auto decoded = decode(decoder, arena, {.topic = "both", .key = key, .value = {}});
  REQUIRE(std::holds_alternative<BadRecord>(decoded));
  CHECK(std::get<BadRecord>(decoded).scope == setup);
}

TEST_CASE("decode: rows and their schema") {
  struct Case {
    std::string_view name;
    std::string_view row;
    std::string_view want;
  };
  const Case cases[] = {
      {"in the schema's order", R"({"a":1,"b":"x","c \"d\" \\ ä":true})",
       R"({a=1, b=x, c "d" \ ä=t})"},
      {"in another order", R"({"c \"d\" \\ ä":true,"b":"x","a":1})", R"({a=1, b=x, c "d" \ ä=t})"},
      {"with other escapes", R"({"\u0061":1,"b":"x","c \u0022d\" \\ \u00e4":true})",
       R"({a=1, b=x, c "d" \ ä=t})"},
      {"a column is missing", R"({"a":1,"b":"x"})", R"(column "c "d" \ ä" is missing)"},
      {"one is missing in the middle", R"({"a":1,"c \"d\" \\ ä":true})",
       R"(column "b" is missing)"},
      {"a column too many", R"({"a":1,"b":"x","c \"d\" \\ ä":true,"e":1})",
       R"(column "e" is not in its schema)"},
      {"a column twice", R"({"a":1,"b":"x","a":1,"c \"d\" \\ ä":true})",
       R"(column "a" comes twice)"},
      {"no columns", R"({})", R"(column "a" is missing)"},
  };
  for (const auto& c : cases) {
    INFO(c.name);
    const std::string value =
        R"({"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","field":"a"},{"type":"string","field":"b"},{"type":"boolean","field":"c \"d\" \\ ä"}],"field":"after"}]},"payload":)" +
        *bare(c.row).value + "}";
    CHECK_THAT(decode_to_text({.key = key, .value = value}),
               ContainsSubstring(std::string{c.want}));
  }
}

TEST_CASE("decode: key bytes are equal exactly where keys are") {
  Decoder decoder;
  Arena arena;
  std::map<std::string, std::string_view> seen;  // by key bytes
  const std::string_view keys[] = {
      R"({"a":1,"b":1})",       R"({"a":"1","b":1})",    R"({"a":11,"b":null})",
      R"({"a":null,"b":11})",   R"({"a":"","b":null})",  R"({"a":null,"b":""})",
      R"({"a":"1,1","b":""})",  R"({"a":"1","b":",1"})", R"({"a":"","b":"1,1"})",
      R"({"a":"null","b":""})", R"({"a":true,"b":""})"};
  for (const auto record_key : keys) {
    for (int twice = 0; twice < 2; ++twice) {
      const auto decoded = decode(decoder, arena, bare(R"({"x":1})", "c", std::string{record_key}));
      const auto& change = std::get<Change>(decoded);
      const auto [known, is_new] = seen.emplace(change.key_bytes, record_key);
      CHECK(known->second == record_key);
      CHECK(is_new == (twice == 0));
    }
  }
}

TEST_CASE("decode: a tombstone's table") {
  const std::string key_of_2 = R"({"id":2})";
  SECTION("is the one that the topic's last change was of") {
    Decoder decoder;
    auto change = bare(R"({"id":1})");
    change.topic = "somewhere.else";
    decode_to_text(decoder, change);
    CHECK(decode_to_text(decoder, {.topic = "somewhere.else", .key = key_of_2, .value = {}}) ==
          "remove public.t {id=#2} - 0 ");
  }
  SECTION("is in the topic's name where there was none") {
    CHECK(decode_to_text({.topic = "a.b.c.d", .key = key_of_2, .value = {}}) ==
          "remove c.d {id=#2} - 0 ");
    // Without a prefix it may be "dbserver1.transaction": no guess.
    CHECK_THAT(decode_to_text({.topic = "c.d", .key = key_of_2, .value = {}}),
               ContainsSubstring("bad: tombstone"));
    CHECK_THAT(decode_to_text({.topic = "users", .key = key_of_2, .value = {}}),
               ContainsSubstring("bad: "));
    CHECK_THAT(decode_to_text({.topic = "a.", .key = key_of_2, .value = {}}),
               ContainsSubstring("bad: "));
    CHECK_THAT(decode_to_text({.topic = ".a", .key = key_of_2, .value = {}}),
               ContainsSubstring("bad: "));
  }
  SECTION("is what was remembered, whatever the topic is named") {
    Decoder decoder;
    decoder.remember("renamed", {{"public", "users"}});
    decoder.remember("a.b.c.d", {{"public", "with.dots"}});
    CHECK(decode_to_text(decoder, {.topic = "renamed", .key = key_of_2, .value = {}}) ==
          "remove public.users {id=#2} - 0 ");
    CHECK(decode_to_text(decoder, {.topic = "a.b.c.d", .key = key_of_2, .value = {}}) ==
          "remove public.with.dots {id=#2} - 0 ");
  }
  SECTION("is unknown where several tables were remembered, or another comes behind") {
    const auto several = ContainsSubstring("bad: tombstone in a topic of several tables");
    Decoder decoder;
    decoder.remember("both", {{"public", "a"}, true});
    CHECK_THAT(decode_to_text(decoder, {.topic = "both", .key = key_of_2, .value = {}}), several);
    auto change = bare(R"({"id":1})");
    change.topic = "then";
    decoder.remember("then", {{"public", "t"}});
    decode_to_text(decoder, change);
    CHECK(decode_to_text(decoder, {.topic = "then", .key = key_of_2, .value = {}}) ==
          "remove public.t {id=#2} - 0 ");
    decoder.remember("then", {{"public", "a"}});  // of another partition
    CHECK_THAT(decode_to_text(decoder, {.topic = "then", .key = key_of_2, .value = {}}), several);
  }
  SECTION("is unknown where a topic is of several tables") {
    Decoder decoder;
    decode_to_text(decoder, bare(R"({"id":1})"));
    auto other = bare(R"({"id":1})");
    other.value->replace(other.value->find("\"t\""), 3, "\"u\"");
    CHECK_THAT(decode_to_text(decoder, other), ContainsSubstring("create public.u"));
    CHECK_THAT(decode_to_text(decoder, {.key = key_of_2, .value = {}}),
               ContainsSubstring("bad: tombstone in a topic of several tables"));
  }
}

TEST_CASE("decode: versions of a schema") {
  Decoder decoder;
  Arena arena;
  const auto layout_of = [&](std::string_view schema, std::string_view value) {
    const auto decoded = decode(decoder, arena, one_column(schema, value));
    const auto& change = std::get<Change>(decoded);
    return std::pair{change.row_layout, std::string{change.row[0].view()}};
  };
  const std::string_view a = R"({"type":"int32","field":"a"})";
  const std::string_view b = R"({"type":"int32","field":"b"})";
  // One byte differs; the scale even within one layout.
  const std::string_view cents =
      R"({"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"field":"a"})";
  const std::string_view mills =
      R"({"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"3"},"field":"a"})";

  const auto first_a = layout_of(a, "1");
  const auto first_b = layout_of(b, "2");
  CHECK(first_a.first != first_b.first);
  CHECK(first_a.first->columns[0].name == "a");
  CHECK(first_b.first->columns[0].name == "b");
  for (int i = 0; i < 3; ++i) {  // alternating
    CHECK(layout_of(a, "1") == first_a);
    CHECK(layout_of(b, "2") == first_b);
    CHECK(layout_of(cents, R"("AQ==")").second == "0.01");
    CHECK(layout_of(mills, R"("AQ==")").second == "0.001");
  }
  // Each seen for the first time, more than are remembered: the layouts stay where they are.
  for (int i = 0; i < 20; ++i) {
    layout_of(R"({"type":"int32","field":"c)" + std::to_string(i) + "\"}", "3");
  }
  CHECK(layout_of(a, "1") == first_a);
  CHECK(first_a.first->columns[0].name == "a");
}

TEST_CASE("decode: schemas come and go within a topic") {
  Decoder decoder;
  const std::string with_schema = *one_column(R"({"type":"int32","field":"a"})", "1").value;
  const std::string without = *bare(R"({"a":1})").value;
  const std::string key_with =
      R"({"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},"payload":{"id":1}})";
  for (int i = 0; i < 3; ++i) {
    CHECK(decode_to_text(decoder, {.key = key, .value = with_schema}) ==
          "create public.t {id=#1} {a=1} 7 s");
    CHECK(decode_to_text(decoder, {.key = key_with, .value = without}) ==
          "create public.t {id=1} {a=#1} 7 s");
    // What begins and ends as a known wrapper, but is another thing.
    const auto broken = with_schema.substr(0, with_schema.size() - 1) + R"(,"x":{}})";
    CHECK_THAT(decode_to_text(decoder, {.key = key, .value = broken}), ContainsSubstring("bad: "));
  }
  // Columns that are called as the wrapper's members are.
  CHECK(decode_to_text(decoder, bare(R"({"schema":"s","payload":"p"})", "c",
                                     R"({"schema":"s","payload":"p"})")) ==
        "create public.t {schema=s, payload=p} {schema=s, payload=p} 7 s");
}

TEST_CASE("decode: layouts have one address and a bounded number") {
  Decoder decoder;
  Arena arena;
  const auto layout_of = [&](std::string_view name) -> const Layout* {
    const auto decoded =
        decode(decoder, arena, bare(std::string{"{"}.append(in_quotes(name)).append(":1}")));
    const auto* change = std::get_if<Change>(&decoded);
    return change == nullptr ? nullptr : change->row_layout;
  };
  const auto column = [](int number) {
    std::string name = "c";
    name += std::to_string(number);  // no operator+: GCC 12 warns of what it inlines there
    return name;
  };
  const Layout* const first = layout_of(column(0));
  for (int i = 1; i < 9'999; ++i) {
    if (layout_of(column(i)) == nullptr) FAIL("at " << i);
  }
  CHECK(layout_of(column(10'000)) == nullptr);  // the key's layout is the 10,000th
  CHECK_THAT(decode_to_text(decoder, bare(R"({"one more":1})")),
             ContainsSubstring("more than 10000 different lists of columns"));
  CHECK(layout_of(column(0)) == first);
  CHECK(first->columns[0].name == "c0");
}

// Any bytes must give an answer; the sanitizers watch how.
TEST_CASE("decode: mutilated messages") {
  std::vector<Record> records = records_of("debezium-3.6-operations.tsv");
  for (auto& record : records_of("debezium-3.6-operations-schemaless.tsv")) {
    records.push_back(std::move(record));
  }
  for (const auto* file : {"debezium-3.6-default-modes.jsonl", "debezium-3.6-string-modes.jsonl"}) {
    for (auto& line : lines_of(file)) records.push_back({.key = key, .value = std::move(line)});
  }
  std::uint32_t random = 1;
  const auto next_random = [&](std::size_t below) {
    random = random * 1'664'525 + 1'013'904'223;
    return static_cast<std::size_t>(random >> 8) % below;
  };
  Decoder decoder;
  std::size_t bad = 0;
  const auto try_decode = [&](const Record& record) {
    if (decode_to_text(decoder, record).starts_with("bad: ")) ++bad;
  };

  for (const auto& record : records) {
    for (auto part : {&Record::key, &Record::value}) {
      if (!(record.*part)) continue;
      const std::string& whole = *(record.*part);
      Record mutilated = record;
      const std::size_t step = whole.size() / 300 + 1;
      bad = 0;
      std::size_t tried = 0;
      for (std::size_t size = whole.size() - 1; size > step; size -= step, ++tried) {
        *(mutilated.*part) = whole.substr(0, size);
        try_decode(mutilated);
      }
      // A truncate's and a message's keys are not looked at.
      if (part == &Record::value) CHECK(bad == tried);

      // More in the last 2000 bytes: there is the payload.
      for (int i = 0; i < 300; ++i) {
        *(mutilated.*part) = whole;
        const std::size_t reach =
            i % 4 == 0 ? whole.size() : std::min<std::size_t>(whole.size(), 2000);
        char& byte = (*(mutilated.*part))[whole.size() - 1 - next_random(reach)];
        constexpr std::string_view likely = "\"\\{}[]:,0 -n";
        byte =
            i % 2 == 0 ? likely[next_random(likely.size())] : static_cast<char>(next_random(256));
        try_decode(mutilated);
      }
    }
    decode_to_text(decoder, record);
  }
  CHECK(decode_to_text(decoder, bare(R"({"a":1})")) == "create public.t {id=#1} {a=#1} 7 s");
}

TEST_CASE("decode: a row's new key is told by the records' headers") {
  const auto typed_key = [](const std::string& id) {
    return R"({"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],)"
           R"("optional":false,"name":"k"},"payload":{"id":")" +
           id + R"("}})";
  };
  const auto value = [](char op, const std::string& after) {
    return R"({"before":null,"after":)" + after + R"(,"source":)" + source + R"(,"op":")" + op +
           "\"}";
  };
  Decoder decoder;
  Arena arena;
  const auto other_key = [&](Record record) -> std::string {
    const auto decoded = decode(decoder, arena, std::move(record));
    if (const auto* bad = std::get_if<BadRecord>(&decoded)) return "bad: " + bad->cause;
    const Key* const key = std::get<Change>(decoded).other_key;
    return key == nullptr ? "none" : text_of(key->layout, key->cells);
  };
  const auto removed = [&](const std::string& id, const std::string& to) {
    return other_key({.key = typed_key(id),
                      .value = value('d', "null"),
                      .headers = {{"__debezium.newkey", to}}});
  };
  const auto created = [&](const std::string& id, const std::string& from, bool follows = true) {
    return other_key({.key = typed_key(id),
                      .value = value('c', R"({"id":"x"})"),
                      .headers = {{"__debezium.oldkey", from}},
                      .follows = follows});
  };
  const std::string advice =
      "bad: header __debezium.oldkey is not like the key: set header.converter="
      "org.apache.kafka.connect.json.JsonConverter on the connector";

  SECTION("as JSON without a schema, Connect's default") {
    CHECK(removed("a", R"({"id":"b \"q\""})") == R"({id=b "q"})");
    CHECK(created("b", R"({"id":"a"})") == "{id=a}");
  }
  SECTION("as JSON with a schema") {
    CHECK(removed("a", typed_key("b")) == "{id=b}");
    CHECK(created("b", typed_key("a")) == "{id=a}");
  }
  SECTION("a tombstone tells it, too, and the create still follows") {
    CHECK(removed("a", R"({"id":"b"})") == "{id=b}");
    CHECK(other_key({.key = typed_key("a"),
                     .value = std::nullopt,
                     .headers = {{"__debezium.newkey", R"({"id":"b"})"}},
                     .follows = true}) == "{id=b}");
    CHECK(created("b", R"({"id":"a"})") == "{id=a}");
  }
  SECTION("what can't be read is a delete, then a create") {
    CHECK(removed("a", "{\"id\":\"b\nc\"}") == "none");
    CHECK(created("b\\nc", R"({"id":"a"})") == "{id=a}");
    CHECK(removed("a\\nb", R"({"id":"c"})") == "none");
    CHECK(created("c", "{\"id\":\"a\nb\"}") == "none");
    CHECK(created("c", "{\"id\":\"a\nb\"}", false) == "none");  // whoever has read the delete
    CHECK(removed("a", R"({"other":"b"})") == "none");
    CHECK(removed("a", R"({"id":7})") == "none");
  }
  SECTION("but not if the delete is no more") {
    CHECK(removed("a", R"({"id":"b"})") == "{id=b}");
    CHECK(created("b", "Struct{id=a}") == advice);
  }
  SECTION("it is only looked for where it can be") {
    const std::map<std::string, std::string> none;
    const MapHeaders headers{none};
    const auto look = [&](char op, bool follows) {
      const auto text = value(op, op == 'd' ? "null" : R"({"id":"x"})");
      const auto id = typed_key("a");
      headers.asked = 0;
      decoder.decode({"dbserver1.public.t", id, text, &headers, follows}, arena);
      return headers.asked;
    };
    CHECK(look('c', false) == 1);
    CHECK(look('c', true) == 0);
    CHECK(look('d', true) == 1);
    CHECK(look('c', true) == 0);
    CHECK(look('u', true) == 0);
    CHECK(look('r', false) == 0);
  }
}

TEST_CASE("decode: of a table without a key the row before is what it is found by") {
  Decoder decoder;
  const auto decoded = [&](const std::string& before, const std::string& after, char op) {
    return decode_to_text(decoder, {.key = std::nullopt,
                                    .value = R"({"before":)" + before + R"(,"after":)" + after +
                                             R"(,"source":)" + source + R"(,"op":")" + op + "\"}"});
  };
  CHECK(decoded("null", R"({"a":1})", 'c') == "create public.t - {a=#1} 7 s");
  CHECK(decoded(R"({"a":1})", R"({"a":2})", 'u') == "update public.t {a=#1} {a=#2} 7 s");
  CHECK(decoded(R"({"a":1})", "null", 'd') == "remove public.t {a=#1} - 7 s");
  CHECK(decoded("null", R"({"a":2})", 'u') == "bad: " + std::string{no_key_cause});
  CHECK(decoded("null", R"({"a":2})", 'r') == "read public.t - {a=#2} 7 s");
}

TEST_CASE("decode: keys that are equal at the source are the same bytes") {
  const auto bytes = [](const std::string& type, const std::string& id) {
    static Decoder decoder;
    static Arena arena;
    const auto decoded = decode(
        decoder, arena,
        {.key =
             R"({"schema":{"type":"struct","fields":[{"type":")" + type +
             R"(","optional":false,"field":"id","parameters":{"__debezium.source.column.type":)" +
             (type == "string" ? R"("NUMERIC")" : R"("FLOAT8")") + R"(}}],"optional":false},)" +
             R"("payload":{"id":)" + id + "}}",
         .value = std::nullopt});
    return std::string{std::get<Change>(decoded).key_bytes};
  };
  CHECK(bytes("double", "0.0") == bytes("double", "-0.0"));
  CHECK(bytes("double", "0.5") != bytes("double", "-0.5"));
  CHECK(bytes("string", R"("1.50")") == bytes("string", R"("1.5")"));
  CHECK(bytes("string", R"("100")") != bytes("string", R"("1")"));
  CHECK(bytes("string", R"("1.0E-7")") == bytes("string", R"("1E-7")"));
  CHECK(bytes("string", R"("0.00")") == bytes("string", R"("0")"));
}
