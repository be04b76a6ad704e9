// One value of one column. Input: a line with the connector's binary.handling.mode (0 to 4), one
// with the column's schema, then the value, both JSON.

#include <cstdint>

#include "forms.hpp"
#include "lockstep/debezium/decoder.hpp"

namespace {

using namespace lockstep;
using namespace lockstep::fuzz;
using debezium::BadRecord;
using debezium::Decoder;

constexpr std::string_view key = R"({"id":1})";

std::string record_of(std::string_view field, std::string_view value) {
  return std::string{R"({"schema":{"type":"struct","fields":[{"type":"struct","fields":[)"}
             .append(field)
             .append(R"(],"field":"after"}],"name":"Envelope"},"payload":{"after":{"x":)")
             .append(value) +
         R"(},"source":{"schema":"s","table":"t"},"op":"c"}})";
}

std::string record_of(std::string_view value) {
  return std::string{R"({"after":{"x":)"}.append(value) +
         R"(},"source":{"schema":"s","table":"t"},"op":"c"})";
}

/// Whether it may declare bit strings of megabytes, which take their time.
bool has_large_number(std::string_view field) {
  std::size_t digits = 0;
  for (const char c : field) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits == 6) return true;
  }
  return false;
}

void decode_and_check(Decoder& decoder, const std::string& record) {
  Arena arena;
  const auto decoded =
      decoder.decode({.topic = "p.s.t", .key = key, .value = record, .headers = nullptr}, arena);
  for (const auto& loss : decoder.losses()) {
    require(!loss.what.empty() && is_utf8(loss.column), "a loss of nothing");
  }
  if (const auto* const change = std::get_if<Change>(&decoded)) {
    check(*change);
    for (const auto& column : change->row_layout->columns) {
      if (!column.default_value || column.is_array) continue;
      require(has_form(column.type, *column.default_value), "a default is no value",
              *column.default_value);
    }
  } else if (const auto* const bad = std::get_if<BadRecord>(&decoded)) {
    require(!bad->cause.empty() && is_utf8(bad->cause), "a cause is no text", bad->cause);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view value{reinterpret_cast<const char*>(data), size};
  ConnectorModes modes;
  const auto mode = take_until(value, '\n');
  if (!mode.empty()) modes.binary = static_cast<ConnectorModes::Binary>((mode[0] & 0x0F) % 5);
  const auto field = take_until(value, '\n');
  constexpr std::string_view no_length = "\"2147483647\"";
  std::string other_numbers{field};
  if (const auto at = field.find(no_length); at != field.npos) {
    other_numbers.erase(at, no_length.size());
  }
  if (has_large_number(other_numbers)) return 0;
  Decoder decoder{modes};
  decode_and_check(decoder, record_of(field, value));
  decode_and_check(decoder, record_of(value));
  return 0;
}
