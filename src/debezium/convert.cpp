#include "convert.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

#include "binary.hpp"
#include "number.hpp"
#include "temporal.hpp"

namespace lockstep::debezium {
namespace {

using Converted = Result<Cell, Problem>;

constexpr std::string_view advice_temporal = "set time.precision.mode=isostring on the connector";

Problem no_value_of(std::string_view what) {
  return {"the value is no " + std::string{what}};
}

/// Only for numbers and times: other values may be private.
Problem out_of_range(std::string_view value, std::string_view what, std::string_view advice = {}) {
  constexpr std::size_t shown = 40;
  std::string text{value.substr(0, shown)};
  text += value.size() > shown ? "… is no " : " is no ";
  text += what;
  if (!advice.empty()) text.append("; ").append(advice);
  return {std::move(text)};
}

Cell cell(const ShortText& text, Arena& arena) {
  return Cell{arena.copy(text.view())};
}

// What stands for a TOASTed value that an update did not change, in the forms that the connector's
// handling modes give it.
constexpr std::string_view unavailable = "__debezium_unavailable_value";
constexpr std::string_view unavailable_base64 = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
constexpr std::string_view unavailable_hex =
    "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565";
constexpr std::string_view unavailable_map =
    R"({"__debezium_unavailable_value":"__debezium_unavailable_value"})";

bool is_unavailable(std::string_view text) {
  switch (text.size()) {
    case unavailable.size():
      return text == unavailable;
    case unavailable_base64.size():
      return text == unavailable_base64;
    case unavailable_hex.size():
      return text == unavailable_hex;
    case unavailable_map.size():
      return text == unavailable_map;
    default:
      return false;
  }
}

bool holds_nul(std::string_view text) {
  return !text.empty() && std::memchr(text.data(), '\0', text.size()) != nullptr;
}

/// Takes digits off the front; false: there are none.
bool skip_digits(std::string_view& rest) {
  const auto count = std::min(rest.find_first_not_of("0123456789"), rest.size());
  rest.remove_prefix(count);
  return count > 0;
}

/// JSON's grammar of a number, which is also a part of PostgreSQL's.
bool is_number(std::string_view token) {
  if (!token.empty() && token.front() == '-') token.remove_prefix(1);
  const bool leading_zero = !token.empty() && token.front() == '0';
  const std::size_t before = token.size();
  if (!skip_digits(token) || (leading_zero && before - token.size() > 1)) return false;
  if (!token.empty() && token.front() == '.') {
    token.remove_prefix(1);
    if (!skip_digits(token)) return false;
  }
  if (!token.empty() && (token.front() == 'e' || token.front() == 'E')) {
    token.remove_prefix(1);
    if (!token.empty() && (token.front() == '-' || token.front() == '+')) token.remove_prefix(1);
    if (!skip_digits(token)) return false;
  }
  return token.empty();
}

bool is_special_float(std::string_view text) {
  return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

// Plain types

Converted read_boolean(const ColumnReader&, const JsonReader&, JsonValue& value, Arena&) {
  if (value.token() == "true") return Cell{"t"};
  if (value.token() == "false") return Cell{"f"};
  return no_value_of("boolean");
}

Converted read_single_bit(const ColumnReader&, const JsonReader&, JsonValue& value, Arena&) {
  if (value.token() == "true") return Cell{"1"};
  if (value.token() == "false") return Cell{"0"};
  return no_value_of("boolean");
}

template <class T>
Converted read_integer(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto number = integer_of<T>(value.token());
  if (!number) return no_value_of("integer of its type's range");
  return Cell{*number == 0 ? std::string_view{"0"} : arena.copy(value.token())};
}

template <class T>
Converted read_float(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  if (value.is_string()) {
    const auto text = value.text();
    if (!text || !is_special_float(*text)) return no_value_of("number");
    return Cell{arena.copy(*text)};
  }
  const auto token = value.token();
  T number{};
  if (!is_number(token) ||
      std::from_chars(token.data(), token.data() + token.size(), number).ec != std::errc{}) {
    return no_value_of("number of its type's range");
  }
  return Cell{arena.copy(token)};
}

Converted text_cell(JsonValue& value, Arena& arena) {
  const auto text = value.text();
  if (!text) return no_value_of("well-formed string");
  if (is_unavailable(*text)) return Cell::unchanged();
  if (holds_nul(*text)) return Problem{"the text holds a NUL character: PostgreSQL can't store it"};
  return Cell{arena.copy(*text)};
}

Converted read_text(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  return text_cell(value, arena);
}

Converted read_bytes(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  if (is_unavailable(*bytes)) return Cell::unchanged();
  return Cell{*bytes};
}

// Numeric

Converted read_decimal(const ColumnReader& column, const JsonReader&, JsonValue& value,
                       Arena& arena) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  if (is_unavailable(*bytes)) return Cell::unchanged();
  const auto text = decimal_of(*bytes, column.parameter, arena);
  if (!text) return no_value_of("number that PostgreSQL's numeric has room for");
  return Cell{*text};
}

Converted read_variable_scale_decimal(const ColumnReader&, const JsonReader& json, JsonValue& value,
                                      Arena& arena) {
  std::optional<std::int64_t> scale;
  std::optional<std::string_view> unscaled;
  simdjson::ondemand::object object;
  const bool well_formed = value.object().get(object) == simdjson::SUCCESS &&
                           json.each_member(object, [&](JsonKey& key, JsonValue& member) {
                             if (key.is("scale\"") && !scale) {
                               scale = integer_of<std::int32_t>(member.token());
                               return scale.has_value();
                             }
                             if (key.is("value\"") && !unscaled) {
                               const auto base64 = member.text();
                               unscaled = base64 ? bytes_of_base64(*base64, arena) : std::nullopt;
                               return unscaled.has_value();
                             }
                             return false;
                           });
  if (!well_formed || !scale || !unscaled) return no_value_of("{scale, value} of a number");
  if (is_unavailable(*unscaled)) return Cell::unchanged();
  const auto text = decimal_of(*unscaled, *scale, arena);
  if (!text) return no_value_of("number that PostgreSQL's numeric has room for");
  return Cell{*text};
}

/// decimal.handling.mode=string
Converted read_numeric_text(const ColumnReader&, const JsonReader&, JsonValue& value,
                            Arena& arena) {
  const auto text = value.text();
  if (!text) return no_value_of("well-formed string");
  if (*text == "NAN") return Cell{"NaN"};
  if (*text == "POSITIVE_INFINITY") return Cell{"Infinity"};
  if (*text == "NEGATIVE_INFINITY") return Cell{"-Infinity"};
  if (is_number(*text) || is_special_float(*text)) return Cell{arena.copy(*text)};
  if (is_unavailable(*text)) return Cell::unchanged();
  return out_of_range(*text, "number");
}

// Dates and times. Infinity comes as what is left of pgjdbc's and Debezium's stand-ins for it,
// which are not the same in a snapshot (first) and in the stream. None is a value that PostgreSQL
// can have, but for the ones of infinite timestamps: these are also 294247-01-10 04:00:25.2.

template <class T>
struct Infinities {
  std::initializer_list<T> positive;
  std::initializer_list<T> negative;

  std::optional<Cell> find(T value) const {
    if (std::find(positive.begin(), positive.end(), value) != positive.end()) {
      return Cell{"infinity"};
    }
    if (std::find(negative.begin(), negative.end(), value) != negative.end()) {
      return Cell{"-infinity"};
    }
    return std::nullopt;
  }
};

Converted read_date(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto days = integer_of<std::int32_t>(value.token());
  if (!days) return no_value_of("int32");
  if (const auto text = date_of_days(*days)) return cell(*text, arena);
  const Infinities<std::int32_t> infinities{{-622'191'234, -2'147'472'692},
                                            {-625'821'272, -2'147'472'691}};
  if (const auto infinity = infinities.find(*days)) return *infinity;
  return out_of_range(value.token(), "date in PostgreSQL's range", advice_temporal);
}

template <std::int64_t units_per_second>
Converted read_time(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  constexpr std::int64_t units_per_day = 86'400 * units_per_second;
  const auto units = integer_of<std::int64_t>(value.token());
  if (!units || *units < 0 || *units > units_per_day) {
    return out_of_range(value.token(), "time of the day");
  }
  return cell(*time_of_nanos(*units * (nanos_per_second / units_per_second)), arena);
}

template <std::int64_t units_per_second>
std::optional<Cell> infinite_timestamp(std::int64_t units) {
  // Nanoseconds have no room for the stand-ins and stop at the ends of int64.
  constexpr bool is_nanos = units_per_second == nanos_per_second;
  constexpr std::int64_t units_per_ms = is_nanos ? 1 : units_per_second / 1000;
  constexpr auto positive =
      is_nanos ? std::numeric_limits<std::int64_t>::max() : 9'223'372'036'825'200 * units_per_ms;
  constexpr auto negative =
      is_nanos ? std::numeric_limits<std::int64_t>::min() : -9'223'372'036'832'400 * units_per_ms;
  return Infinities<std::int64_t>{{positive}, {negative}}.find(units);
}

template <std::int64_t units_per_second>
Converted read_timestamp(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto units = integer_of<std::int64_t>(value.token());
  if (!units) return no_value_of("int64");
  if (const auto infinity = infinite_timestamp<units_per_second>(*units)) return *infinity;
  std::int64_t seconds = *units / units_per_second;
  std::int64_t fraction = *units % units_per_second;
  if (fraction < 0) {
    fraction += units_per_second;
    --seconds;
  }
  const auto text = timestamp_of(seconds, fraction * (nanos_per_second / units_per_second));
  if (!text) return out_of_range(value.token(), "timestamp in PostgreSQL's range", advice_temporal);
  return cell(*text, arena);
}

const Infinities<std::string_view> iso_dates{{"+292278994-08-16Z", "-5877611-06-21Z"},
                                             {"+292269055-12-02Z", "-5877611-06-22Z"}};
const Infinities<std::string_view> iso_timestamps{{"+294247-01-10T04:00:25.2Z"},
                                                  {"-290308-12-21T19:59:27.6Z"}};
const Infinities<std::string_view> by_name{{"infinity"}, {"-infinity"}};

template <std::optional<ShortText> (*convert)(std::string_view),
          const Infinities<std::string_view>& infinities = by_name>
Converted read_iso(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto iso = value.text();
  if (!iso) return no_value_of("well-formed string");
  if (const auto infinity = infinities.find(*iso)) return *infinity;
  if (const auto text = convert(*iso)) return cell(*text, arena);
  return out_of_range(*iso, "ISO 8601 value in PostgreSQL's range");
}

/// PostgreSQL reads ISO 8601 durations with the parts' own signs as Debezium writes them.
Converted read_interval(const ColumnReader&, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto iso = value.text();
  if (!iso) return no_value_of("well-formed string");
  if (iso->size() < 3 || iso->front() != 'P' ||
      iso->find_first_not_of("0123456789.-+PYMWDTHS") != std::string_view::npos) {
    return out_of_range(*iso, "ISO 8601 duration");
  }
  return Cell{arena.copy(*iso)};
}

// Other types

Converted read_bits(const ColumnReader& column, const JsonReader&, JsonValue& value, Arena& arena) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  const auto bits = bits_of(*bytes, static_cast<std::size_t>(column.parameter), arena);
  if (!bits) return no_value_of("string of " + std::to_string(column.parameter) + " bits");
  return Cell{*bits};
}

Converted read_point(const ColumnReader&, const JsonReader& json, JsonValue& value, Arena& arena) {
  std::string x;
  std::string y;
  const auto take = [](std::string& coordinate, JsonValue& member) {
    if (!coordinate.empty()) return false;
    if (member.is_string()) {
      const auto text = member.text();
      if (!text || !is_special_float(*text)) return false;
      coordinate = *text;
    } else {
      if (!is_number(member.token())) return false;
      coordinate = member.token();
    }
    return true;
  };
  simdjson::ondemand::object object;
  const bool well_formed = value.object().get(object) == simdjson::SUCCESS &&
                           json.each_member(object, [&](JsonKey& key, JsonValue& member) {
                             if (key.is("x\"")) return take(x, member);
                             if (key.is("y\"")) return take(y, member);
                             return true;
                           });
  if (!well_formed || x.empty() || y.empty()) return no_value_of("point {x, y}");
  return Cell{arena.copy("(" + x + "," + y + ")")};
}

Converted read_nothing(const ColumnReader& column, const JsonReader&, JsonValue&, Arena&) {
  std::string text = "no converter for values of this type";
  if (!column.reader->advice.empty()) text.append("; ").append(column.reader->advice);
  return Problem{std::move(text)};
}

constexpr auto unsupported = ValueType::unsupported;
constexpr std::string_view advice_interval = "set interval.handling.mode=string on the connector";
constexpr std::string_view advice_bit_varying =
    "Debezium does not tell a bit string's true length: leave the column out with "
    "column.exclude.list";
constexpr std::string_view advice_binary = "set binary.handling.mode=bytes on the connector";

/// One line a type. The plain ones come last: they are what a name that is not here falls back to.
constexpr Reader readers[] = {
    {"io.debezium.time.Date", "int32", ValueType::date, read_date},
    {"io.debezium.time.Time", "int32", ValueType::time, read_time<1'000>},
    {"io.debezium.time.MicroTime", "int64", ValueType::time, read_time<1'000'000>},
    {"io.debezium.time.NanoTime", "int64", ValueType::time, read_time<nanos_per_second>},
    {"io.debezium.time.Timestamp", "int64", ValueType::timestamp, read_timestamp<1'000>},
    {"io.debezium.time.MicroTimestamp", "int64", ValueType::timestamp, read_timestamp<1'000'000>},
    {"io.debezium.time.NanoTimestamp", "int64", ValueType::timestamp,
     read_timestamp<nanos_per_second>},
    {"io.debezium.time.ZonedTime", "string", ValueType::timetz, read_iso<timetz_of_iso>},
    {"io.debezium.time.ZonedTimestamp", "string", ValueType::timestamptz,
     read_iso<timestamptz_of_iso>},
    {"io.debezium.time.IsoDate", "string", ValueType::date, read_iso<date_of_iso, iso_dates>},
    {"io.debezium.time.IsoTime", "string", ValueType::time, read_iso<time_of_iso>},
    {"io.debezium.time.IsoTimestamp", "string", ValueType::timestamp,
     read_iso<timestamp_of_iso, iso_timestamps>},
    {"io.debezium.time.Interval", "string", ValueType::interval, read_interval},
    {"io.debezium.time.MicroDuration", "int64", unsupported, read_nothing, advice_interval},
    {"io.debezium.time.MicroDuration", "double", unsupported, read_nothing, advice_interval},
    {"io.debezium.time.NanoDuration", "int64", unsupported, read_nothing, advice_interval},
    {"io.debezium.time.NanoDuration", "double", unsupported, read_nothing, advice_interval},
    {"io.debezium.time.Year", "int32", ValueType::integer, read_integer<std::int32_t>},
    {"org.apache.kafka.connect.data.Date", "int32", ValueType::date, read_date},
    {"org.apache.kafka.connect.data.Time", "int32", ValueType::time, read_time<1'000>},
    {"org.apache.kafka.connect.data.Timestamp", "int64", ValueType::timestamp,
     read_timestamp<1'000>},
    {"org.apache.kafka.connect.data.Decimal", "bytes", ValueType::numeric, read_decimal},
    {"io.debezium.data.VariableScaleDecimal", "struct", ValueType::numeric,
     read_variable_scale_decimal},
    {"io.debezium.data.Bits", "bytes", ValueType::bits, read_bits},
    {"io.debezium.data.Uuid", "string", ValueType::text, read_text},
    {"io.debezium.data.Json", "string", ValueType::text, read_text},
    {"io.debezium.data.Xml", "string", ValueType::text, read_text},
    {"io.debezium.data.Enum", "string", ValueType::text, read_text},
    {"io.debezium.data.EnumSet", "string", ValueType::text, read_text},
    {"io.debezium.data.Ltree", "string", ValueType::text, read_text},
    {"io.debezium.data.Tsvector", "string", ValueType::text, read_text},
    {"io.debezium.data.geometry.Point", "struct", ValueType::point, read_point},
    {"", "boolean", ValueType::boolean, read_boolean},
    {"", "int8", ValueType::integer, read_integer<std::int8_t>},
    {"", "int16", ValueType::integer, read_integer<std::int16_t>},
    {"", "int32", ValueType::integer, read_integer<std::int32_t>},
    {"", "int64", ValueType::integer, read_integer<std::int64_t>},
    {"", "float", ValueType::floating, read_float<float>},
    {"", "double", ValueType::floating, read_float<double>},
    {"", "string", ValueType::text, read_text},
    {"", "bytes", ValueType::bytes, read_bytes},
    {"", "array", unsupported, read_nothing, "arrays are not supported yet"},
    {"", "map", unsupported, read_nothing, "for hstore, set hstore.handling.mode=json"},
};

constexpr Reader numeric_text{"", "string", ValueType::numeric, read_numeric_text};
constexpr Reader single_bit{"", "boolean", ValueType::bits, read_single_bit};
constexpr Reader bit_varying{"", "", unsupported, read_nothing, advice_bit_varying};
constexpr Reader binary_text{"", "string", unsupported, read_nothing, advice_binary};
constexpr Reader unknown{"", "", unsupported, read_nothing};

template <std::size_t size>
bool is_one_of(std::string_view name, const std::string_view (&names)[size]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// decimal.handling.mode=string: these are sent as plain strings.
constexpr std::string_view numeric_source_types[] = {
    "NUMERIC", "MONEY", "DECIMAL", "NUMBER", "DECIMAL UNSIGNED", "NUMERIC UNSIGNED"};

/// binary.handling.mode=hex or base64: these are sent as plain strings, and which of the two it is
/// the message does not say.
constexpr std::string_view binary_source_types[] = {
    "BYTEA",          "BOX",           "LINE",           "LSEG",         "PATH",
    "POLYGON",        "CIRCLE",        "PG_LSN",         "BLOB",         "TINYBLOB",
    "MEDIUMBLOB",     "LONGBLOB",      "BINARY",         "VARBINARY",    "INT4MULTIRANGE",
    "INT8MULTIRANGE", "NUMMULTIRANGE", "TSTZMULTIRANGE", "TSMULTIRANGE", "DATEMULTIRANGE"};

}  // namespace

const Reader& reader_of(const ConnectType& type) {
  if (type.name.empty() && type.type == "string") {
    if (is_one_of(type.source_type, numeric_source_types)) return numeric_text;
    if (is_one_of(type.source_type, binary_source_types)) return binary_text;
  }
  if (type.name.empty() && type.type == "boolean") {
    if (type.source_type == "BIT") return single_bit;
    if (type.source_type == "VARBIT") return bit_varying;
  }
  if (type.name == "io.debezium.data.Bits" &&
      (type.length == "2147483647" || type.source_type == "VARBIT")) {
    return bit_varying;
  }
  const auto found = std::find_if(
      std::begin(readers), std::end(readers),
      [&](const Reader& reader) { return reader.name == type.name && reader.type == type.type; });
  return found != std::end(readers) ? *found : unknown;
}

Result<Cell, Problem> read_untyped(JsonValue& value, Arena& arena) {
  if (value.is_null()) return Cell{};
  if (value.is_string()) return text_cell(value, arena);
  if (value.token() == "true") return Cell{"t"};
  if (value.token() == "false") return Cell{"f"};
  if (value.is_object() || value.is_array()) {
    const auto raw = value.raw();
    simdjson::dom::parser parser;
    if (!raw || parser.parse(raw->data(), raw->size()).error() != simdjson::SUCCESS) {
      return Problem{"malformed JSON"};
    }
    return Cell{arena.copy(*raw)};
  }
  if (!is_number(value.token())) return Problem{"malformed JSON"};
  return Cell{arena.copy(value.token()), Cell::Kind::bare_number};
}

}  // namespace lockstep::debezium
