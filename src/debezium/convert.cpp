#include "convert.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>

#include "array.hpp"
#include "binary.hpp"
#include "lockstep/model/text.hpp"
#include "number.hpp"
#include "temporal.hpp"

namespace lockstep::debezium {
namespace {

using Converted = Result<Cell, Problem>;

constexpr std::string_view advice_temporal = "set time.precision.mode=isostring on the connector";
constexpr std::string_view advice_interval = "set interval.handling.mode=string on the connector";

Problem no_value_of(std::string_view what) {
  return {"the value is no " + std::string{what}};
}

/// Only for numbers and times: other values may be private.
Problem out_of_range(std::string_view value, std::string_view what, std::string_view advice = {}) {
  constexpr std::size_t shown = 40;
  std::string text{beginning_of(value, shown)};
  text += value.size() > shown ? "… is no " : " is no ";
  text += what;
  if (!advice.empty()) text.append("; ").append(advice);
  return {std::move(text)};
}

Cell cell(const ShortText& text, Arena& arena) {
  return Cell{arena.copy(text.view())};
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

Converted read_boolean(const ColumnReader&, JsonValue& value, Reading&) {
  if (value.token() == "true") return Cell{"t"};
  if (value.token() == "false") return Cell{"f"};
  return no_value_of("boolean");
}

Converted read_single_bit(const ColumnReader&, JsonValue& value, Reading&) {
  if (value.token() == "true") return Cell{"1"};
  if (value.token() == "false") return Cell{"0"};
  return no_value_of("boolean");
}

template <class T>
Converted read_integer(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto number = integer_of<T>(value.token());
  if (!number) return no_value_of("integer of its type's range");
  return Cell{*number == 0 ? std::string_view{"0"} : at.arena.copy(value.token())};
}

template <class T>
Converted read_float(const ColumnReader&, JsonValue& value, Reading& at) {
  if (value.is_string()) {
    const auto text = value.text();
    if (!text || !is_special_float(*text)) return no_value_of("number");
    return Cell{at.arena.copy(*text)};
  }
  const auto token = value.token();
  T number{};
  if (!is_number(token) ||
      std::from_chars(token.data(), token.data() + token.size(), number).ec != std::errc{}) {
    return no_value_of("number of its type's range");
  }
  return Cell{at.arena.copy(token)};
}

Converted text_cell(JsonValue& value, Reading& at) {
  const auto text = value.text();
  if (!text) return no_value_of("well-formed string");
  if (at.placeholder.is(*text)) return Cell::unchanged();
  if (value.holds_nul())
    return Problem{"the text holds a NUL character: PostgreSQL can't store it"};
  return Cell{at.arena.copy(*text)};
}

Converted read_text(const ColumnReader&, JsonValue& value, Reading& at) {
  return text_cell(value, at);
}

Converted read_bytes(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, at.arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  if (at.placeholder.is(*bytes)) return Cell::unchanged();
  return Cell{*bytes};
}

bool is_hex(std::string_view text) {
  return text.size() % 2 == 0 &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// binary.handling.mode=hex, base64 or base64-url-safe. The message does not say which; most values
/// can only be one of the two.
Converted read_binary_text(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto text = value.text();
  if (!text) return no_value_of("well-formed string");
  if (at.placeholder.is(*text)) return Cell::unchanged();
  using Binary = ConnectorModes::Binary;
  const bool told_base64 =
      at.modes.binary == Binary::base64 || at.modes.binary == Binary::base64_url_safe;
  const bool may_be_hex = !told_base64 && is_hex(*text);
  const auto base64 = at.modes.binary == Binary::hex
                          ? std::nullopt
                          : bytes_of_base64(*text, at.arena, Base64::standard_or_url_safe);
  if (may_be_hex && base64 && !text->empty()) {
    return of_setup(
        "the value may be hexadecimal or base64: say connector: {binary.handling.mode: …} in the "
        "pipeline's configuration, or set binary.handling.mode=bytes on the connector");
  }
  if (may_be_hex) return Cell{bytes_of_hex(*text, at.arena)};
  if (!base64) {
    return no_value_of(at.modes.binary == Binary::hex ? "hexadecimal number"
                       : told_base64                  ? "base64"
                                                      : "hexadecimal number or base64");
  }
  return Cell{*base64};
}

// Numeric

Converted read_decimal(const ColumnReader& column, JsonValue& value, Reading& at) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, at.arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  if (at.placeholder.is(*bytes)) return Cell::unchanged();
  const auto text = decimal_of(*bytes, column.parameter, at.arena);
  if (!text) return no_value_of("number that PostgreSQL's numeric has room for");
  return Cell{*text};
}

Converted read_variable_scale_decimal(const ColumnReader&, JsonValue& value, Reading& at) {
  std::optional<std::int64_t> scale;
  std::optional<std::string_view> unscaled;
  simdjson::ondemand::object object;
  const bool well_formed = value.object().get(object) == simdjson::SUCCESS &&
                           at.json.each_member(object, [&](JsonKey& key, JsonValue& member) {
                             if (key.is("scale\"") && !scale) {
                               scale = integer_of<std::int32_t>(member.token());
                               return scale.has_value();
                             }
                             if (key.is("value\"") && !unscaled) {
                               const auto base64 = member.text();
                               unscaled =
                                   base64 ? bytes_of_base64(*base64, at.arena) : std::nullopt;
                               return unscaled.has_value();
                             }
                             return false;
                           });
  if (!well_formed || !scale || !unscaled) return no_value_of("{scale, value} of a number");
  if (at.placeholder.is(*unscaled)) return Cell::unchanged();
  const auto text = decimal_of(*unscaled, *scale, at.arena);
  if (!text) return no_value_of("number that PostgreSQL's numeric has room for");
  return Cell{*text};
}

/// decimal.handling.mode=double
Converted read_decimal_double(const ColumnReader& column, JsonValue& value, Reading& at) {
  if (value.is_string()) {
    const auto text = value.text();
    if (text && at.placeholder.is(*text)) return Cell::unchanged();
    if (!text || !is_special_float(*text)) return no_value_of("number");
    return Cell{at.arena.copy(*text)};
  }
  return read_float<double>(column, value, at);
}

/// decimal.handling.mode=string
Converted read_numeric_text(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto text = value.text();
  if (!text) return no_value_of("well-formed string");
  if (*text == "NAN") return Cell{"NaN"};
  if (*text == "POSITIVE_INFINITY") return Cell{"Infinity"};
  if (*text == "NEGATIVE_INFINITY") return Cell{"-Infinity"};
  if (is_number(*text) || is_special_float(*text)) return Cell{at.arena.copy(*text)};
  if (at.placeholder.is(*text)) return Cell::unchanged();
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

constexpr std::string_view infinity_without_sign =
    "a snapshot sends both infinities of a date as the same number: take it anew from the stream";

Converted read_date(const ColumnReader& column, JsonValue& value, Reading& at) {
  const auto days = integer_of<std::int32_t>(value.token());
  if (!days) return no_value_of("int32");
  if (const auto text = date_of_days(*days)) return cell(*text, at.arena);
  const Infinities<std::int32_t> infinities{{-622'191'234, -2'147'472'692},
                                            {-625'821'272, -2'147'472'691}};
  if (const auto infinity = infinities.find(*days)) {
    if (*days == -622'191'234 && column.element == nullptr) at.lost(column, infinity_without_sign);
    return *infinity;
  }
  return out_of_range(value.token(), "date in PostgreSQL's range", advice_temporal);
}

template <std::int64_t units_per_second>
Converted read_time(const ColumnReader&, JsonValue& value, Reading& at) {
  constexpr std::int64_t units_per_day = 86'400 * units_per_second;
  const auto units = integer_of<std::int64_t>(value.token());
  if (!units || *units < 0 || *units > units_per_day) {
    return out_of_range(value.token(), "time of the day");
  }
  return cell(*time_of_nanos(*units * (nanos_per_second / units_per_second)), at.arena);
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

template <std::int64_t units_per_second, Calendar calendar = Calendar::gregorian>
Converted read_timestamp(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto units = integer_of<std::int64_t>(value.token());
  if (!units) return no_value_of("int64");
  if (const auto infinity = infinite_timestamp<units_per_second>(*units)) return *infinity;
  // Where the connector's multiplication by 1,000,000 stops.
  const bool is_saturated = *units == std::numeric_limits<std::int64_t>::max();
  if (is_saturated) return out_of_range(value.token(), "certain timestamp", advice_temporal);
  std::int64_t seconds = *units / units_per_second;
  std::int64_t fraction = *units % units_per_second;
  if (fraction < 0) {
    fraction += units_per_second;
    --seconds;
  }
  const auto text =
      timestamp_of(seconds, fraction * (nanos_per_second / units_per_second), calendar);
  if (!text) return out_of_range(value.token(), "timestamp in PostgreSQL's range", advice_temporal);
  return cell(*text, at.arena);
}

const Infinities<std::string_view> iso_dates{{"+292278994-08-16Z", "-5877611-06-21Z"},
                                             {"+292269055-12-02Z", "-5877611-06-22Z"}};
const Infinities<std::string_view> iso_timestamps{{"+294247-01-10T04:00:25.2Z"},
                                                  {"-290308-12-21T19:59:27.6Z"}};
// The second of each is of arrays.
const Infinities<std::string_view> by_name{{"infinity"},
                                           {"-infinity", "+292269055-12-02T23:00:00.000000Z"}};

template <std::optional<ShortText> (*convert)(std::string_view),
          const Infinities<std::string_view>& infinities = by_name>
Converted read_iso(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto iso = value.text();
  if (!iso) return no_value_of("well-formed string");
  if (const auto infinity = infinities.find(*iso)) return *infinity;
  if (const auto text = convert(*iso)) return cell(*text, at.arena);
  return out_of_range(*iso, "ISO 8601 value in PostgreSQL's range");
}

/// PostgreSQL reads ISO 8601 durations with the parts' own signs as Debezium writes them.
Converted read_interval(const ColumnReader&, JsonValue& value, Reading& at) {
  const auto iso = value.text();
  if (!iso) return no_value_of("well-formed string");
  if (iso->size() < 3 || iso->front() != 'P' ||
      iso->find_first_not_of("0123456789.-+PYMWDTHS") != std::string_view::npos) {
    return out_of_range(*iso, "ISO 8601 duration");
  }
  return Cell{at.arena.copy(*iso)};
}

/// interval.handling.mode=numeric: months are gone, counted as 30.4375 days, and days as 24 hours.
Converted read_micro_duration(const ColumnReader& column, JsonValue& value, Reading& at) {
  constexpr std::int64_t micros_per_day = 86'400'000'000;
  const auto micros = integer_of<std::int64_t>(value.token());
  if (!micros) return no_value_of("int64");
  if (*micros == std::numeric_limits<std::int64_t>::max() ||
      *micros == std::numeric_limits<std::int64_t>::min()) {
    return out_of_range(value.token(), "certain interval", advice_interval);
  }
  const auto text = interval_of_micros(*micros);
  if (*micros >= micros_per_day || *micros <= -micros_per_day) {
    at.lost(column,
            "months and days of an interval arrive as hours: set interval.handling.mode=string on "
            "the connector");
  }
  return cell(text, at.arena);
}

// Other types

Converted read_bits(const ColumnReader& column, JsonValue& value, Reading& at) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, at.arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  const auto bits = bits_of(*bytes, static_cast<std::size_t>(column.parameter), at.arena);
  if (!bits) return no_value_of("string of " + std::to_string(column.parameter) + " bits");
  return Cell{*bits};
}

constexpr std::string_view lost_zeros =
    "a bit varying arrives without the zeros in front: no setting keeps them";

Converted read_varbits(const ColumnReader& column, JsonValue& value, Reading& at) {
  const auto base64 = value.text();
  const auto bytes = base64 ? bytes_of_base64(*base64, at.arena) : std::nullopt;
  if (!bytes) return no_value_of("base64");
  if (at.placeholder.is(*bytes)) return Cell::unchanged();
  at.lost(column, lost_zeros);
  const auto bits = bits_of(*bytes, bytes->size() * 8, at.arena);
  return Cell{bits->substr(std::min(bits->find('1'), bits->size()))};
}

/// hstore.handling.mode=map: its JSON.
Converted read_map(const ColumnReader&, JsonValue& value, Reading& at) {
  if (!value.is_object()) return no_value_of("map of strings");
  const auto raw = value.raw();
  simdjson::dom::parser parser;
  if (!raw || parser.parse(raw->data(), raw->size()).error() != simdjson::SUCCESS) {
    return Problem{"malformed JSON"};
  }
  if (at.placeholder.is(*raw)) return Cell::unchanged();
  return Cell{at.arena.copy(*raw)};
}

/// What Java makes of an array within an array: "[Ljava.lang.String;@1b18475c".
bool is_java_array(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('['), text.size()));
  const auto at = text.rfind(";@");
  return text.starts_with("Ljava.") && at != std::string_view::npos &&
         text.find_first_not_of("0123456789abcdef", at + 2) == std::string_view::npos;
}

Problem several_dimensions() {
  return {
      "an array of several dimensions, whose elements the connector does not send: no setting "
      "keeps them; leave the column out with column.exclude.list"};
}

Converted read_array(const ColumnReader& column, JsonValue& value, Reading& at) {
  if (value.is_string()) {  // the placeholder of array types that have none of their own
    const auto text = value.text();
    if (text && at.placeholder.is(*text)) return Cell::unchanged();
  }
  static const Placeholder none{""};
  Arena scratch;
  Reading of_elements{at.json, scratch, at.modes, none, at.losses};
  ArrayLiteral literal;
  bool is_all_null = true;
  bool is_empty = true;
  std::optional<Problem> problem;
  simdjson::ondemand::array array;
  const bool well_formed = value.array().get(array) == simdjson::SUCCESS &&
                           at.json.each_element(array, [&](JsonValue& element) {
                             is_empty = false;
                             if (element.is_null()) {
                               literal.add_null();
                               return true;
                             }
                             is_all_null = false;
                             const auto read = column.element->read(column, element, of_elements);
                             if (!read) {
                               problem = read.error();
                               return false;
                             }
                             if (is_java_array(read->view())) {
                               problem = several_dimensions();
                               return false;
                             }
                             if (column.element->value_type == ValueType::bytes) {
                               literal.add_bytes(read->view());
                             } else {
                               literal.add(read->view());
                             }
                             return true;
                           });
  if (problem) return *std::move(problem);
  if (!well_formed) return no_value_of("array");
  if (is_all_null && !is_empty && !column.shows_dimensions) at.lost(column, lost_dimensions);
  const std::string text = std::move(literal).finish();
  if (at.placeholder.is_array(text)) return Cell::unchanged();
  return Cell{at.arena.copy(text)};
}

Converted read_point(const ColumnReader&, JsonValue& value, Reading& at) {
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
                           at.json.each_member(object, [&](JsonKey& key, JsonValue& member) {
                             if (key.is("x\"")) return take(x, member);
                             if (key.is("y\"")) return take(y, member);
                             return true;
                           });
  if (!well_formed || x.empty() || y.empty()) return no_value_of("point {x, y}");
  return Cell{at.arena.copy("(" + x + "," + y + ")")};
}

Converted read_nothing(const ColumnReader& column, JsonValue&, Reading&) {
  std::string text = "no converter for values of this type";
  if (!column.reader->advice.empty()) text.append("; ").append(column.reader->advice);
  return of_setup(std::move(text));
}

constexpr auto unsupported = ValueType::unsupported;

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
    {"io.debezium.time.MicroDuration", "int64", ValueType::interval, read_micro_duration},
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
    {"", "map", ValueType::text, read_map},
};

/// As elements of arrays.
constexpr Reader timestamps_in_arrays[] = {
    {"io.debezium.time.Timestamp", "int64", ValueType::timestamp,
     read_timestamp<1'000, Calendar::julian_before_1582>},
    {"io.debezium.time.MicroTimestamp", "int64", ValueType::timestamp,
     read_timestamp<1'000'000, Calendar::julian_before_1582>},
    {"org.apache.kafka.connect.data.Timestamp", "int64", ValueType::timestamp,
     read_timestamp<1'000, Calendar::julian_before_1582>},
    {"io.debezium.time.NanoTimestamp", "int64", ValueType::timestamp,
     read_timestamp<nanos_per_second, Calendar::julian_before_1582>},
    {"io.debezium.time.IsoTimestamp", "string", ValueType::timestamp,
     read_iso<julian_timestamp_of_iso, iso_timestamps>},
};

constexpr Reader numeric_text{"", "string", ValueType::numeric, read_numeric_text};
constexpr Reader single_bit{"", "boolean", ValueType::bits, read_single_bit};
constexpr Reader decimal_double{"", "double", ValueType::numeric, read_decimal_double};
constexpr Reader bit_varying{"", "bytes", ValueType::varbits, read_varbits};
constexpr Reader single_varbit{"", "boolean", ValueType::varbits, read_single_bit};
constexpr Reader binary_text{"", "string", ValueType::bytes, read_binary_text};
constexpr Reader unknown{"", "", unsupported, read_nothing};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
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
    if (type.source_type == "VARBIT") return single_varbit;
  }
  if (type.name.empty() && type.type == "double" &&
      is_one_of(type.source_type, numeric_source_types)) {
    return decimal_double;
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

const Reader& element_reader_of(const ConnectType& type) {
  // Elements of a type that Debezium does not know (domains, too) are bytes of their text; only
  // theirs may not be NULL.
  const bool is_unknown = type.name.empty() && type.type == "string" && !type.is_optional;
  if (is_unknown) return binary_text;
  const auto timestamp =
      std::find_if(std::begin(timestamps_in_arrays), std::end(timestamps_in_arrays),
                   [&](const Reader& reader) { return reader.name == type.name; });
  return timestamp != std::end(timestamps_in_arrays) ? *timestamp : reader_of(type);
}

const Reader array_reader{"", "array", ValueType::unsupported, read_array};

std::string_view unseen_loss(const ConnectType& type, bool in_array) {
  const auto is = [&](std::string_view name) { return type.name == name; };
  if (is("io.debezium.time.ZonedTime")) {
    return in_array ? "timetz in arrays is moved to UTC and loses the fractions of its seconds: no "
                      "setting keeps them"
                    : "timetz is moved to UTC: no setting keeps its offset";
  }
  if (in_array && (is("io.debezium.time.MicroTime") || is("io.debezium.time.NanoTime") ||
                   is("io.debezium.time.IsoTime") || is("io.debezium.time.Time") ||
                   is("org.apache.kafka.connect.data.Time"))) {
    return "times in arrays lose their microseconds, and 24:00:00 arrives as 00:00:00: no setting "
           "keeps them";
  }
  if (is("io.debezium.time.IsoTime")) {
    return "24:00:00 arrives as 00:00:00: set time.precision.mode=adaptive on the connector";
  }
  const bool is_connect_time =
      is("org.apache.kafka.connect.data.Time") || is("org.apache.kafka.connect.data.Timestamp");
  if (is_connect_time && !is_one_of(type.source_scale, {"0", "1", "2", "3"})) {
    return "microseconds are cut off: set time.precision.mode=adaptive on the connector";
  }
  if (is("io.debezium.time.NanoTimestamp")) {
    return "timestamps before 1677 or after 2262 arrive as NULL: set time.precision.mode=adaptive "
           "on the connector";
  }
  const bool is_day = is("io.debezium.time.Date") || is("io.debezium.time.IsoDate") ||
                      is("org.apache.kafka.connect.data.Date");
  if (is_day && !in_array) return "a snapshot sends dates BC without their era";
  if (in_array &&
      (is_day || is("io.debezium.time.ZonedTimestamp") || is("io.debezium.time.Timestamp") ||
       is("io.debezium.time.MicroTimestamp") || is("io.debezium.time.IsoTimestamp") ||
       is("org.apache.kafka.connect.data.Timestamp"))) {
    return "dates BC in arrays arrive as others: no setting keeps them";
  }
  if (is("org.apache.kafka.connect.data.Decimal")) {
    return "NaN arrives as NULL: set decimal.handling.mode=string on the connector";
  }
  if (is("io.debezium.data.VariableScaleDecimal")) {
    return "NaN and infinity arrive as NULL, and zeros at the end are cut off: set "
           "decimal.handling.mode=string on the connector";
  }
  if (&reader_of(type) == &decimal_double) {
    return "digits after the 15th and zeros at the end are lost: set decimal.handling.mode=string "
           "on the connector";
  }
  if (in_array && &reader_of(type) == &numeric_text) {
    return "an array with NaN or infinity in it arrives as NULL: no setting keeps it";
  }
  if (in_array && !type.is_optional) {
    return "an array of this type with NULL in it arrives as NULL: no setting keeps it";
  }
  return {};
}

const std::string_view lost_dimensions =
    "an array of nothing but NULL may have been one of several dimensions: no setting keeps those";

bool shows_dimensions(const ConnectType& element) {
  return element.name == "io.debezium.data.Uuid" ||
         is_one_of(element.source_type, {"TEXT", "VARCHAR", "BPCHAR", "JSON", "JSONB", "INET",
                                         "CIDR", "MACADDR", "MACADDR8", "INT4RANGE", "INT8RANGE",
                                         "NUMRANGE", "TSRANGE", "TSTZRANGE", "DATERANGE"});
}

const std::string_view unchanged_as_null =
    "NULL in an update may be a large value that it left as it was: ALTER TABLE … REPLICA IDENTITY "
    "FULL at the source tells them apart";

bool has_no_placeholder(const ConnectType& type, bool in_array) {
  // As measured in each mode. A value of up to 24 bytes is never TOASTed.
  constexpr std::int64_t most_bits = 128;
  constexpr std::int64_t most_digits = 40;
  const auto is_large = [](std::string_view size, std::int64_t most) {
    const auto number = integer_of<std::int64_t>(size);
    return !number || *number > most;
  };
  const auto is = [&](std::string_view name) { return type.name == name; };
  if (in_array) {
    if (is("io.debezium.data.Uuid") || is("io.debezium.time.Date")) return false;
    if (!type.name.empty()) return !is_one_of(type.source_type, {"JSON", "JSONB"});
    // Where the source's type is not told a text may be an inet, an int64 an oid.
    return type.type != "int32" &&
           !is_one_of(type.source_type, {"TEXT", "VARCHAR", "BPCHAR", "INT8"}) &&
           !(type.type == "bytes" && type.source_type == "BYTEA");
  }
  if (is("io.debezium.data.Bits")) return is_large(type.length, most_bits);
  if (is("org.apache.kafka.connect.data.Decimal")) return is_large(type.precision, most_digits);
  if (is("io.debezium.data.VariableScaleDecimal")) return true;
  return &reader_of(type) == &binary_text || &reader_of(type) == &decimal_double;
}

namespace {

/// Arrays in arrays are not what they were; of NULLs nothing says so.
Result<Cell, Problem> read_untyped_array(simdjson::dom::array array, std::string_view raw,
                                         Reading& at, bool& is_all_null) {
  is_all_null = array.size() > 0;
  ArrayLiteral literal;
  for (const simdjson::dom::element element : array) {
    is_all_null = is_all_null && element.is_null();
    std::string_view text;
    std::int64_t number = 0;
    if (element.get(text) == simdjson::SUCCESS) {
      if (is_java_array(text)) return several_dimensions();
      literal.add(text);
    } else if (element.get(number) == simdjson::SUCCESS) {
      literal.add(std::to_string(number));
    } else {
      literal.add_null();
    }
  }
  if (at.placeholder.is_untyped_array(std::move(literal).finish())) return Cell::unchanged();
  return Cell{at.arena.copy(raw)};
}

/// decimal.handling.mode=precise sends a numeric without scale as {"scale": 2, "value": base64}; no
/// other type comes as an object with a number called scale and a text called value.
std::optional<Cell> read_untyped_decimal(simdjson::dom::object object, Arena& arena) {
  std::int64_t scale = 0;
  std::string_view base64;
  if (object.size() != 2 || object["scale"].get(scale) != simdjson::SUCCESS ||
      object["value"].get(base64) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  const auto unscaled = bytes_of_base64(base64, arena);
  const auto text = unscaled ? decimal_of(*unscaled, scale, arena) : std::nullopt;
  if (!text) return std::nullopt;
  return Cell{*text, Cell::Kind::bare_number};
}

}  // namespace

Result<Cell, Problem> read_untyped(JsonValue& value, Reading& at, bool& is_all_null) {
  if (value.is_null()) return Cell{};
  if (value.is_string()) return text_cell(value, at);
  if (value.token() == "true") return Cell{"t"};
  if (value.token() == "false") return Cell{"f"};
  if (value.is_object() || value.is_array()) {
    const auto raw = value.raw();
    simdjson::dom::parser parser;
    simdjson::dom::element parsed;
    if (!raw || parser.parse(raw->data(), raw->size()).get(parsed) != simdjson::SUCCESS) {
      return Problem{"malformed JSON"};
    }
    simdjson::dom::array array;
    if (parsed.get(array) == simdjson::SUCCESS) {
      return read_untyped_array(array, *raw, at, is_all_null);
    }
    simdjson::dom::object object;
    if (parsed.get(object) == simdjson::SUCCESS) {
      if (const auto decimal = read_untyped_decimal(object, at.arena)) return *decimal;
    }
    if (at.placeholder.is(*raw)) return Cell::unchanged();
    return Cell{at.arena.copy(*raw)};
  }
  if (!is_number(value.token())) return Problem{"malformed JSON"};
  return Cell{at.arena.copy(value.token()), Cell::Kind::bare_number};
}

}  // namespace lockstep::debezium
