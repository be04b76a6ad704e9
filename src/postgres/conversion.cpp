#include "conversion.hpp"

#include <algorithm>
#include <cctype>
#include <initializer_list>

namespace lockstep::postgres {

namespace {

using Names = std::initializer_list<std::string_view>;
using Binary = ConnectorModes::Binary;
using Time = ConnectorModes::Time;

bool is_one_of(std::string_view name, Names names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool holds_text(const TargetColumn& column) {
  return is_one_of(column.base_type, {"text", "varchar", "bpchar", "name", "char", "citext"});
}

/// Whether it is known that these bytes are a text: they come of a type that has no converter.
bool holds_bytes_of_text(const Column& source) {
  return !source.source_type.empty() && source.source_type != "BYTEA";
}

bool is_whole_number(const TargetColumn& column) {
  return is_one_of(column.base_type, {"int2", "int4", "int8", "oid"});
}

bool is_of_time(const TargetColumn& column) {
  return is_one_of(column.base_type,
                   {"date", "time", "timetz", "timestamp", "timestamptz", "interval"});
}

/// Types whose values Debezium sends as their PostgreSQL text, in a string.
bool sent_as_string(const TargetColumn& column) {
  return column.kind == 'e' || holds_text(column) ||
         is_one_of(column.base_type, {"int4range", "int8range", "numrange", "tsrange", "tstzrange",
                                      "daterange", "uuid", "json", "jsonb", "xml", "inet", "cidr",
                                      "macaddr", "macaddr8", "ltree", "tsvector", "numeric"});
}

/// Types that Debezium has no converter for and sends as the bytes of their PostgreSQL text.
bool sent_as_bytes_of_text(const TargetColumn& column) {
  return !sent_as_string(column) && !is_whole_number(column) && !is_of_time(column) &&
         !is_one_of(column.base_type, {"bool", "float4", "float8", "money", "bytea", "bit",
                                       "varbit", "point", "hstore"});
}

/// Of arrays these are all whose elements' schema is not of a type: Debezium takes the elements of
/// an array of a domain for unknown ones.
bool may_be_bytes_of_text(const Column& source, const TargetColumn& target) {
  return sent_as_bytes_of_text(target) ||
         (source.is_array && target.base_type != "bytea" && source.source_type != "_BYTEA");
}

std::string as_text(const TargetColumn& column, const std::string& text) {
  // money reads text by the server's lc_monetary; numeric does not.
  if (column.base_type == "money") return text + "::pg_catalog.numeric::pg_catalog.money";
  // Without its length: a cast to varchar(3) would cut, the assignment to the column refuses.
  return text + "::" + column.cast_type;
}

/// decimal.handling.mode=string has words of its own where the message does not say the type.
std::string numeric_of(const TargetColumn& target, const std::string& text) {
  return as_text(target, "CASE " + text +
                             " WHEN 'POSITIVE_INFINITY' THEN 'Infinity' WHEN 'NEGATIVE_INFINITY' "
                             "THEN '-Infinity' ELSE " +
                             text + " END");
}

std::string unless_null(const std::string& value, const std::string& expression) {
  return "CASE WHEN " + value + " IS NULL THEN NULL ELSE " + expression + " END";
}

/// From the JSON of an object of strings.
std::string as_hstore(const TargetColumn& column, const std::string& json) {
  const auto& hstore = column.cast_type;  // the extension's function is called as its type
  return unless_null(
      json, "(SELECT coalesce(" + hstore +
                "(pg_catalog.array_agg(j.key), pg_catalog.array_agg(j.value)), ''::" + hstore +
                ") FROM pg_catalog.json_each_text(" + json + "::pg_catalog.json) AS j)");
}

/// From hexadecimal digits or base64; empty: nothing says which.
std::string decoded(const std::string& text, Binary mode) {
  switch (mode) {
    case Binary::hex:
      return "pg_catalog.decode(" + text + ", 'hex')";
    case Binary::bytes:
    case Binary::base64:
    case Binary::base64_url_safe:
      return "pg_catalog.decode(pg_catalog.translate(" + text + ", '-_', '+/'), 'base64')";
    case Binary::untold:
      return {};
  }
  return {};
}

std::string text_of_bytes(const std::string& bytes) {
  return "pg_catalog.convert_from(" + bytes + ", 'UTF8')";
}

/// From text in which the connector's mode has put bytes; nullopt: the mode is not told.
std::optional<std::string> from_encoded_bytes(const TargetColumn& target, const std::string& text,
                                              Binary mode) {
  const auto bytes = decoded(text, mode);
  if (bytes.empty()) return std::nullopt;
  return target.base_type == "bytea" ? bytes : as_text(target, text_of_bytes(bytes));
}

// Schemaless JSON

/// How many of its units a millisecond has; 0: it depends on the source's column.
int units_per_ms(const TargetColumn& target, Time mode) {
  switch (mode) {
    case Time::microseconds:
      return 1'000;
    case Time::nanoseconds:
      return 1'000'000;
    case Time::connect:
      return 1;
    case Time::adaptive_time_microseconds:
      return target.base_type == "time" ? 1'000 : 0;
    case Time::adaptive:
    case Time::isostring:
    case Time::untold:
      return 0;
  }
  return 0;
}

/// What numbers the column stores without rounding.
std::vector<Fit> whole_units(const TargetColumn& target, int units_per_ms) {
  int smallest = units_per_ms * 1'000;  // of the column's parts of a second
  for (int digits = std::min(target.modifier, 6); digits > 0; --digits) smallest /= 10;
  if (target.modifier < 0 || smallest <= 1) return {};
  return {{Fit::Rule::multiple, smallest}};
}

std::string micros(const std::string& number, int units_per_ms) {
  if (units_per_ms == 1) return "(" + number + "::pg_catalog.int8 * 1000)";
  if (units_per_ms == 1'000) return number + "::pg_catalog.int8";
  return "(" + number + "::pg_catalog.int8 / 1000)";
}

std::string time_of(const std::string& number, int units_per_ms) {
  const auto of_day = micros(number, units_per_ms);
  return "CASE WHEN " + of_day + " = 86400000000 THEN '24:00:00'::pg_catalog.time ELSE " +
         "'00:00:00'::pg_catalog.time + " + of_day + " * '1 microsecond'::pg_catalog.interval END";
}

/// What stands for infinity is what the decoder knows of typed messages (src/debezium/convert.cpp).
std::string timestamp_of(const std::string& number, int units_per_ms) {
  const auto value = micros(number, units_per_ms);
  const bool is_nanos = units_per_ms == 1'000'000;
  const std::string positive = is_nanos ? "9223372036854775" : "9223372036825200000";
  const std::string negative = is_nanos ? "-9223372036854775" : "-9223372036832400000";
  return "CASE " + value + " WHEN " + positive + " THEN 'infinity'::pg_catalog.timestamp WHEN " +
         negative + " THEN '-infinity'::pg_catalog.timestamp ELSE " +
         "'epoch'::pg_catalog.timestamp + " + value +
         " / 86400000000 * '1 day'::pg_catalog.interval + " + value +
         " % 86400000000 * '1 microsecond'::pg_catalog.interval END";
}

/// Of arrays: what is before 1582-10-15 comes as a day of the Julian calendar (as the decoder knows
/// of typed messages), with the year counted from March.
std::string julian_timestamp_of(const std::string& number, int units_per_ms) {
  const std::string days = "(s.t::pg_catalog.date - '1970-01-01'::pg_catalog.date)";
  const std::string year = "((4 * (" + days + " + 2472670) + 3) / 1461)";
  return "(SELECT CASE WHEN s.t >= '1582-10-15' OR s.t = '-infinity' THEN s.t ELSE s.t - (" + year +
         " / 100 - " + year + " / 400 - 38) * '1 day'::pg_catalog.interval END FROM (SELECT " +
         timestamp_of(number, units_per_ms) + ") AS s(t))";
}

/// ISO 8601: years before 1 are negative, those after 9999 have a plus, and infinity is what the
/// decoder knows of typed messages.
std::string text_of_iso(const std::string& iso) {
  return "CASE WHEN " + iso +
         " IN ('+292278994-08-16Z', '-5877611-06-21Z', '+294247-01-10T04:00:25.2Z') THEN "
         "'infinity' "
         "WHEN " +
         iso +
         " IN ('+292269055-12-02Z', '-5877611-06-22Z', '-290308-12-21T19:59:27.6Z', "
         "'+292269055-12-02T23:00:00.000000Z') THEN '-infinity' WHEN " +
         iso + " ~ '^(-[0-9]|0000-)' THEN pg_catalog.lpad((1 - pg_catalog.substring(" + iso +
         ", '^-?[0-9]+')::pg_catalog.int4)::pg_catalog.text, 4, '0') || pg_catalog.substring(" +
         iso + ", '^-?[0-9]+(.*)$') || ' BC' ELSE pg_catalog.ltrim(" + iso + ", '+') END";
}

/// Days, or ISO 8601.
std::string date_of(const std::string& text) {
  return "CASE WHEN " + text + " IN ('-622191234', '-2147472692') THEN 'infinity' WHEN " + text +
         " IN ('-625821272', '-2147472691') THEN '-infinity' WHEN " + text +
         " ~ '^-?[0-9]+$' THEN '1970-01-01'::pg_catalog.date + " + text +
         "::pg_catalog.int4 ELSE (" + text_of_iso(text) + ")::pg_catalog.date END";
}

std::string point_of(const std::string& json) {
  const auto coordinate = [&](const char* name) {
    return "(" + json + "::pg_catalog.json ->> '" + name + "')::pg_catalog.float8";
  };
  return "pg_catalog.point(" + coordinate("x") + ", " + coordinate("y") + ")";
}

/// From base64 of little-endian bytes. One that is too long stays so: the column refuses it.
std::string bits_of(const TargetColumn& target, const std::string& base64) {
  const auto size = std::to_string(target.modifier);
  return unless_null(
      base64,
      "(SELECT CASE WHEN pg_catalog.length(s.b) > " + size +
          " THEN s.b ELSE pg_catalog.lpad(s.b, " + size + ", '0') END::" + target.cast_type +
          " FROM (SELECT pg_catalog.ltrim(coalesce(pg_catalog.string_agg(pg_catalog.get_bit(d.v, "
          "i)::pg_catalog.text, '' ORDER BY i DESC), ''), '0') FROM (SELECT pg_catalog.decode(" +
          base64 +
          ", 'base64')) AS d(v), pg_catalog.generate_series(0, pg_catalog.octet_length(d.v) * 8 - "
          "1) AS i) AS s(b))");
}

/// interval.handling.mode=numeric sends microseconds, string ISO 8601.
std::string interval_of(const std::string& value) {
  return "CASE WHEN " + value + " ~ '^-?[0-9]+$' THEN " + value +
         "::pg_catalog.int8 * '1 microsecond'::pg_catalog.interval ELSE " + value +
         "::pg_catalog.interval END";
}

std::optional<Conversion> of_untyped(const TargetColumn& target, const std::string& value,
                                     const ConnectorModes& modes) {
  const bool is_number = target.base_type == "numeric" || target.base_type == "money";
  const auto text =
      Conversion{Element::text, is_number ? numeric_of(target, value) : as_text(target, value)};
  if (is_number) {
    if (modes.decimal == ConnectorModes::Decimal::string ||
        modes.decimal == ConnectorModes::Decimal::as_double) {
      return text;
    }
    return Conversion{text.element, text.expression, {{Fit::Rule::sure_decimal}}};
  }
  if (target.base_type == "hstore") return Conversion{Element::text, as_hstore(target, value)};
  if (target.base_type == "bool" || is_whole_number(target) || sent_as_string(target) ||
      is_one_of(target.base_type, {"float4", "float8"})) {
    return text;
  }
  if (target.base_type == "point") return Conversion{Element::text, point_of(value)};
  if (target.base_type == "bit" && target.modifier == 1) {
    return Conversion{Element::text, value + "::pg_catalog.bool::pg_catalog.int4::bit(1)"};
  }
  if (target.base_type == "bit" && target.modifier > 1) {
    return Conversion{Element::text, bits_of(target, value)};
  }
  if (target.base_type == "date") return Conversion{Element::text, date_of(value)};
  if (target.base_type == "interval") {
    return Conversion{Element::text, interval_of(value), {{Fit::Rule::day_micros}}};
  }
  if (is_of_time(target)) {
    const int units = units_per_ms(target, modes.time);
    const auto fit = whole_units(target, units);
    if (units != 0 && target.base_type == "time") {
      return Conversion{Element::text, time_of(value, units), fit};
    }
    if (units != 0 && target.base_type == "timestamp") {
      return Conversion{
          Element::text,
          target.is_array() ? julian_timestamp_of(value, units) : timestamp_of(value, units), fit};
    }
    return Conversion{
        Element::text, as_text(target, "(" + text_of_iso(value) + ")"), {{Fit::Rule::text}}};
  }
  if (target.base_type != "bytea" && !sent_as_bytes_of_text(target)) return std::nullopt;
  const auto bytes = from_encoded_bytes(target, value, modes.binary);
  if (!bytes) return std::nullopt;
  return Conversion{Element::text, *bytes};
}

/// Of a value that is no array, or of an array's element.
std::optional<Conversion> of_scalar(const Column& source, const TargetColumn& target,
                                    const std::string& value, const ConnectorModes& modes) {
  const auto text = Conversion{Element::text, as_text(target, value)};
  const auto if_target_is = [&](Names names) -> std::optional<Conversion> {
    if (!holds_text(target) && !is_one_of(target.base_type, names)) return std::nullopt;
    return text;
  };
  switch (source.type) {
    case ValueType::boolean:
      if (target.base_type == "bit") {  // Debezium sends bit(1) as a boolean
        return Conversion{Element::text, value + "::pg_catalog.bool::pg_catalog.int4::bit(1)"};
      }
      return if_target_is({"bool"});
    case ValueType::integer:
      return if_target_is({"int2", "int4", "int8", "oid", "numeric"});
    case ValueType::floating:
      return if_target_is({"float4", "float8"});
    case ValueType::numeric:
      return if_target_is({"numeric", "money"});
    case ValueType::text:
      if (target.base_type == "numeric")
        return Conversion{Element::text, numeric_of(target, value)};
      if (sent_as_string(target)) return text;
      if (target.base_type == "hstore") return Conversion{Element::text, as_hstore(target, value)};
      if (target.base_type == "bytea" || may_be_bytes_of_text(source, target)) {
        const auto bytes = from_encoded_bytes(target, value, modes.binary);
        if (bytes && modes.binary != Binary::bytes) return Conversion{Element::text, *bytes};
      }
      return std::nullopt;
    case ValueType::bytes:
      if (target.base_type == "bytea") return Conversion{Element::bytea, value};
      if (!may_be_bytes_of_text(source, target) &&
          !(holds_text(target) && holds_bytes_of_text(source))) {
        return std::nullopt;
      }
      return text;
    case ValueType::bits:
      return if_target_is({"bit"});
    case ValueType::varbits:
      return if_target_is({"varbit"});
    case ValueType::date:
      return if_target_is({"date"});
    case ValueType::time:
      return if_target_is({"time"});
    case ValueType::timetz:
      return if_target_is({"timetz"});
    case ValueType::timestamp:
      return if_target_is({"timestamp"});
    case ValueType::timestamptz:
      return if_target_is({"timestamptz"});
    case ValueType::interval:
      return if_target_is({"interval"});
    case ValueType::point:
      return if_target_is({"point"});
    case ValueType::untyped:
      return of_untyped(target, value, modes);
    case ValueType::unsupported:  // the decoder lets nothing but NULL through
      return text;
  }
  return std::nullopt;
}

/// ARRAY(SELECT … FROM each element), in the elements' order.
std::string each_element(const std::string& value, const std::string& elements,
                         const std::string& expression) {
  return unless_null(value, "ARRAY(SELECT " + expression + " FROM " + elements +
                                " WITH ORDINALITY AS x(e, n) ORDER BY x.n)");
}

/// Cells are literals that text[] reads; schemaless ones JSON.
std::optional<Conversion> of_array(const Column& source, const TargetColumn& target,
                                   const std::string& value, const ConnectorModes& modes) {
  const std::string element = "x.e";
  if (source.type == ValueType::untyped) {
    auto converted = of_scalar(source, target, element, modes);
    if (!converted) return std::nullopt;
    const bool is_text_in_all_modes = is_one_of(target.base_type, {"timetz", "timestamptz"});
    auto& fits = converted->fits;
    if (!fits.empty() && fits.front().rule == Fit::Rule::text) {
      if (!is_text_in_all_modes) return std::nullopt;
      fits.clear();
    }
    converted->expression =
        each_element(value, "pg_catalog.json_array_elements_text(" + value + "::pg_catalog.json)",
                     converted->expression);
    return converted;
  }
  if (!source.is_array) return std::nullopt;
  const bool is_bytes = source.type == ValueType::bytes;
  const bool is_text_in_bytes =
      is_bytes && (target.base_type != "bytea" ||
                   (!source.source_type.empty() && source.source_type != "_BYTEA"));
  const auto operand = is_text_in_bytes ? text_of_bytes(element) : element;
  auto converted = of_scalar(source, target, operand, modes);
  if (!converted) return std::nullopt;
  if (is_text_in_bytes) converted->expression = as_text(target, operand);
  converted->element = Element::text;
  if (is_bytes || converted->expression != element + "::" + target.cast_type) {
    converted->expression = each_element(
        value,
        "pg_catalog.unnest(" + value + "::pg_catalog." + (is_bytes ? "_bytea" : "_text") + ")",
        converted->expression);
  } else {
    converted->expression = value + "::pg_catalog._text::" + target.array_type;
  }
  return converted;
}

/// Of Debezium's own name for it: another text's values are no labels.
bool is_enum(const Column& source) {
  return source.described.find("io.debezium.data.Enum ") != std::string::npos;
}

/// Whether the source's type (MOOD, _MOOD of an array, "\"OTHER\".\"_MOOD\"") is of that name.
bool is_called(const std::string& type, const Column& source) {
  std::string name = source.declared;
  if (const auto schema = name.find("\".\""); schema != std::string::npos) {
    name = name.substr(schema + 3, name.size() - schema - 4);
  }
  if (name.starts_with('_')) name.erase(0, 1);
  return std::equal(name.begin(), name.end(), type.begin(), type.end(), [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) ==
           std::toupper(static_cast<unsigned char>(b));
  });
}

/// Of "interval day to minute": utils/timestamp.h and datetime.h tell how a modifier is made.
Fit fit_of_interval(int modifier) {
  const auto has_field = [fields = modifier >> 16](int number) {
    return (fields >> number & 1) != 0;
  };
  if (has_field(12)) return Fit{Fit::Rule::second_decimals, modifier & 0xFFFF};
  if (has_field(11)) return Fit{Fit::Rule::interval_field, Fit::minutes};
  if (has_field(10)) return Fit{Fit::Rule::interval_field, Fit::hours};
  if (has_field(3)) return Fit{Fit::Rule::interval_field, Fit::days};
  if (has_field(1)) return Fit{Fit::Rule::interval_field, Fit::months};
  return Fit{Fit::Rule::interval_field, Fit::years};
}

/// Where the assignment to the column would round or cut in silence, and what an enum lacks.
std::optional<Fit> fit_of(const Column& source, const TargetColumn& target) {
  constexpr int header = 4;  // in the modifiers of numeric and texts
  const int modifier = target.modifier;
  if (target.kind == 'e' && is_enum(source)) {
    Fit fit{Fit::Rule::label};
    fit.labels = target.labels;
    if (is_called(target.base_type, source)) fit.type = target.cast_type;
    return fit;
  }
  const auto is = [&](Names names) { return is_one_of(target.base_type, names); };
  if (target.base_type == "money" && source.type == ValueType::numeric) {
    return Fit{Fit::Rule::decimals, 2};
  }
  if (target.base_type == "float4" &&
      (source.type == ValueType::untyped ||
       (source.type == ValueType::floating && source.described.ends_with("double")))) {
    // Java writes a float with up to nine digits, at times more than it needs.
    constexpr int most_digits = 9;
    return Fit{Fit::Rule::single_precision, source.type == ValueType::untyped ? most_digits : 0};
  }
  if (target.base_type == "name") return Fit{Fit::Rule::bytes, 63};
  if (target.base_type == "char") return Fit{Fit::Rule::bytes, 1};
  if (modifier < 0) return std::nullopt;
  if (target.base_type == "numeric") {
    const int scale = (((modifier - header) & 0x7FF) ^ 0x400) - 0x400;
    return Fit{Fit::Rule::decimals, scale};
  }
  if (is({"time", "timetz", "timestamp", "timestamptz"})) {
    return Fit{Fit::Rule::second_decimals, modifier};
  }
  if (target.base_type == "interval") return fit_of_interval(modifier);
  if (is({"varchar", "bpchar"}) &&
      !(target.base_type == "bpchar" && source.source_type.ends_with("BPCHAR"))) {
    return Fit{Fit::Rule::characters, modifier - header};
  }
  return std::nullopt;
}

/// A type that takes all values of the source column; text takes them, too.
std::string_view fitting_type(ValueType type) {
  switch (type) {
    case ValueType::boolean:
      return "boolean";
    case ValueType::integer:
      return "bigint";
    case ValueType::floating:
      return "double precision";
    case ValueType::numeric:
      return "numeric";
    case ValueType::bytes:
      return "bytea";
    case ValueType::bits:
      return "bit(n)";
    case ValueType::varbits:
      return "bit varying";
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
    case ValueType::text:
    case ValueType::untyped:
    case ValueType::unsupported:
      return "text";
  }
  return "text";
}

}  // namespace

std::optional<Conversion> conversion(const Column& source, const TargetColumn& target,
                                     const std::string& operand, const ConnectorModes& modes) {
  if (source.is_array && !target.is_array()) return std::nullopt;
  auto converted = target.is_array() ? of_array(source, target, operand, modes)
                                     : of_scalar(source, target, operand, modes);
  if (!converted) return converted;
  const bool counts_units =  // whole_units() has said what fits
      source.type == ValueType::untyped && units_per_ms(target, modes.time) != 0 &&
      is_one_of(target.base_type, {"time", "timestamp"});
  if (const auto fit = fit_of(source, target); fit && !counts_units) {
    converted->fits.push_back(*fit);
  }
  for (auto& fit : converted->fits) fit.in_array = target.is_array();
  return converted;
}

Conversion in_binary(Conversion conversion, const Column& source, const TargetColumn& target,
                     const std::string& operand) {
  if (target.is_array()) return conversion;
  for (const auto element :
       {Element::int2, Element::int4, Element::int8, Element::timestamp, Element::timestamptz}) {
    if (target.base_type != type_name(element)) continue;
    if (source.type == ValueType::integer || source.type == ValueType::timestamp ||
        source.type == ValueType::timestamptz) {
      return {element, operand, std::move(conversion.fits)};
    }
  }
  return conversion;
}

std::string advice(const Column& source, const TargetColumn& target) {
  const bool holds_bytes = target.base_type == "bytea" || sent_as_bytes_of_text(target);
  if (source.type == ValueType::untyped && holds_bytes) {
    return "a schemaless message does not say how its bytes are written; say connector: "
           "{binary.handling.mode: …} in the pipeline's configuration";
  }
  if (source.type == ValueType::untyped) {
    return "a schemaless message does not say enough of its values; set "
           "value.converter.schemas.enable=true";
  }
  if (!source.is_array && target.is_array() && source.source_type == "_BIT") {
    return "Debezium sends every array of bits as NULL; leave it out with column.exclude.list";
  }
  if (source.type == ValueType::bits && target.base_type == "varbit") {
    return "its length is lost; set datatype.propagate.source.type=.+ on the connector, which then "
           "tells a bit varying by name";
  }
  if (source.type == ValueType::floating && target.base_type == "numeric") {
    return "digits may be lost already; set decimal.handling.mode=string on the connector";
  }
  if (source.type == ValueType::text && holds_bytes) {
    return "hex and base64 can't be told apart; say connector: {binary.handling.mode: …} in the "
           "pipeline's configuration, or set binary.handling.mode=bytes on the connector";
  }
  const std::string type{fitting_type(source.type)};
  return "make it " + type + (source.is_array ? "[]" : "");
}

}  // namespace lockstep::postgres
