#include "ddl.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "plan.hpp"

namespace lockstep::postgres {

namespace {

/// What stands in brackets behind a type's name.
enum class Modifier : std::uint8_t { none, length, precision, precision_and_scale };

struct OwnType {
  std::string_view declared;  ///< as Debezium tells it
  std::string_view name;      ///< pg_type.typname
  Modifier modifier = Modifier::none;
  char kind = 'b';
};

constexpr OwnType own_types[] = {
    {"BOOL", "bool"},
    {"INT2", "int2"},
    {"SMALLSERIAL", "int2"},
    {"INT4", "int4"},
    {"SERIAL", "int4"},
    {"INT8", "int8"},
    {"BIGSERIAL", "int8"},
    {"FLOAT4", "float4"},
    {"FLOAT8", "float8"},
    {"NUMERIC", "numeric", Modifier::precision_and_scale},
    {"MONEY", "money"},
    {"BPCHAR", "bpchar", Modifier::length},
    {"VARCHAR", "varchar", Modifier::length},
    {"TEXT", "text"},
    {"NAME", "name"},
    {"CHAR", "char"},
    {"BYTEA", "bytea"},
    {"BIT", "bit", Modifier::length},
    {"VARBIT", "varbit", Modifier::length},
    {"DATE", "date"},
    {"TIME", "time", Modifier::precision},
    {"TIMETZ", "timetz", Modifier::precision},
    {"TIMESTAMP", "timestamp", Modifier::precision},
    {"TIMESTAMPTZ", "timestamptz", Modifier::precision},
    {"INTERVAL", "interval", Modifier::precision},
    {"UUID", "uuid"},
    {"JSON", "json"},
    {"JSONB", "jsonb"},
    {"JSONPATH", "jsonpath"},
    {"XML", "xml"},
    {"INET", "inet"},
    {"CIDR", "cidr"},
    {"MACADDR", "macaddr"},
    {"MACADDR8", "macaddr8"},
    {"POINT", "point"},
    {"BOX", "box"},
    {"LINE", "line"},
    {"LSEG", "lseg"},
    {"PATH", "path"},
    {"POLYGON", "polygon"},
    {"CIRCLE", "circle"},
    {"OID", "oid"},
    {"XID8", "xid8"},
    {"PG_LSN", "pg_lsn"},
    {"TSVECTOR", "tsvector"},
    {"TSQUERY", "tsquery"},
    {"INT4RANGE", "int4range", Modifier::none, 'r'},
    {"INT8RANGE", "int8range", Modifier::none, 'r'},
    {"NUMRANGE", "numrange", Modifier::none, 'r'},
    {"TSRANGE", "tsrange", Modifier::none, 'r'},
    {"TSTZRANGE", "tstzrange", Modifier::none, 'r'},
    {"DATERANGE", "daterange", Modifier::none, 'r'},
    {"INT4MULTIRANGE", "int4multirange", Modifier::none, 'm'},
    {"INT8MULTIRANGE", "int8multirange", Modifier::none, 'm'},
    {"NUMMULTIRANGE", "nummultirange", Modifier::none, 'm'},
    {"TSMULTIRANGE", "tsmultirange", Modifier::none, 'm'},
    {"TSTZMULTIRANGE", "tstzmultirange", Modifier::none, 'm'},
    {"DATEMULTIRANGE", "datemultirange", Modifier::none, 'm'},
};

constexpr std::int32_t header = 4;  // in the modifiers of lengths and of numeric
constexpr std::int32_t full_precision = 6;

/// Where the type's own name begins: behind a schema, "\"OTHER\".\"_PAIR\"".
std::size_t begin_of_name(std::string_view declared) {
  const auto schema = declared.find("\".\"");
  return schema == std::string_view::npos ? 0 : schema + 3;
}

bool is_array_name(std::string_view declared) {
  const auto begin = begin_of_name(declared);
  return declared.size() > begin + 1 && declared[begin] == '_';
}

std::string bracketed(std::int32_t number) {
  return "(" + std::to_string(number) + ")";
}

/// What the brackets hold, as SQL and as the catalog has it.
struct Brackets {
  std::string sql;
  std::int32_t modifier = -1;
};

Brackets numeric_brackets(std::int32_t precision, std::int32_t scale) {
  constexpr std::int32_t most_digits = 1000;
  constexpr std::int32_t scale_mask = 0x7FF;  // 11 bits with a sign
  if (scale > most_digits && scale <= scale_mask) scale -= scale_mask + 1;
  if (precision < 1 || precision > most_digits || scale > most_digits) return {};
  return {"(" + std::to_string(precision) + "," + std::to_string(scale) + ")",
          static_cast<std::int32_t>((static_cast<std::uint32_t>(precision) << 16U) |
                                    (static_cast<std::uint32_t>(scale) & scale_mask)) +
              header};
}

/// Debezium tells a length that is not limited as the largest int32.
Brackets brackets(const Column& source, const OwnType& type) {
  constexpr std::int32_t longest = 83'886'080;  // of a bit string; other texts end earlier
  switch (type.modifier) {
    case Modifier::none:
      break;
    case Modifier::length: {
      const bool is_bits = type.name == "bit" || type.name == "varbit";
      if (!source.length || *source.length < 1 || *source.length > longest) break;
      return {bracketed(*source.length), *source.length + (is_bits ? 0 : header)};
    }
    case Modifier::precision:
      if (!source.scale || *source.scale < 0 || *source.scale >= full_precision) break;
      return {bracketed(*source.scale), *source.scale};
    case Modifier::precision_and_scale:
      if (!source.length || !source.scale) break;
      return numeric_brackets(*source.length, *source.scale);
  }
  return {};
}

struct Digits {
  std::int32_t before = 0;
  std::int32_t after = 0;
};

Digits digits_of(std::int32_t numeric_modifier) {
  const std::int32_t packed = numeric_modifier - header;
  const std::int32_t precision = packed >> 16 & 0xFFFF;
  std::int32_t scale = packed & 0x7FF;
  if (scale > 1000) scale -= 0x800;
  return {precision - scale, scale};
}

/// Digits of a whole number's type, 0: it is none.
std::int32_t digits_of(std::string_view type) {
  if (type == "int2") return 5;
  if (type == "int4") return 10;
  return type == "int8" ? 19 : 0;
}

std::int32_t precision_of(std::int32_t modifier) {
  constexpr std::int32_t mask = 0xFFFF;  // an interval's fields stand above
  const std::int32_t precision = modifier & mask;
  return modifier < 0 || precision == mask ? full_precision : precision;
}

TypeFit compare_modifiers(const OwnType& type, std::int32_t have, std::int32_t want) {
  const auto fit = [](bool same, bool widens) {
    if (same) return TypeFit::same;
    return widens ? TypeFit::widens : TypeFit::another;
  };
  switch (type.modifier) {
    case Modifier::none:
      return TypeFit::same;
    case Modifier::length:
      if (type.name == "bit") return fit(have == want, false);
      return fit(have < 0 || (want >= 0 && want <= have), true);
    case Modifier::precision:
      return fit(precision_of(want) <= precision_of(have), true);
    case Modifier::precision_and_scale: {
      if (have < 0) return TypeFit::same;
      if (want < 0) return TypeFit::widens;
      const Digits has = digits_of(have);
      const Digits wants = digits_of(want);
      return fit(wants.before <= has.before && wants.after <= has.after,
                 wants.before >= has.before && wants.after >= has.after);
    }
  }
  return TypeFit::another;
}

const OwnType* find_own(std::string_view name) {
  const auto* const found = std::find_if(std::begin(own_types), std::end(own_types),
                                         [&](const OwnType& type) { return type.name == name; });
  return found == std::end(own_types) ? nullptr : found;
}

/// Between two types of PostgreSQL's own.
TypeFit compare_bases(std::string_view have, std::int32_t have_modifier, std::string_view want,
                      std::int32_t want_modifier) {
  if (have == want) {
    const OwnType* const type = find_own(have);
    return type == nullptr ? TypeFit::same : compare_modifiers(*type, have_modifier, want_modifier);
  }
  if (digits_of(have) > 0 && digits_of(want) > 0) {
    return digits_of(want) > digits_of(have) ? TypeFit::widens : TypeFit::same;
  }
  if (digits_of(have) > 0 && want == "numeric") {
    const bool has_room = want_modifier < 0 || digits_of(want_modifier).before >= digits_of(have);
    return has_room ? TypeFit::widens : TypeFit::another;
  }
  if (have == "float4" && want == "float8") return TypeFit::widens;
  if (have == "varchar" && want == "text") return TypeFit::widens;
  if (have == "bpchar" && (want == "text" || (want == "varchar" && want_modifier < 0))) {
    return TypeFit::widens;
  }
  return TypeFit::another;
}

/// What Debezium would call a type that takes all values of the column.
std::string_view fitting_name(const Column& source) {
  switch (source.type) {
    case ValueType::boolean:
      return "BOOL";
    case ValueType::integer:
      return "INT8";
    case ValueType::floating:
      return "FLOAT8";
    case ValueType::numeric:
      return "NUMERIC";
    case ValueType::bytes:  // of a type's own text, where the type is told
      return source.source_type.empty() || source.source_type == "BYTEA" ? "BYTEA" : "TEXT";
    case ValueType::bits:
      return "BIT";
    case ValueType::varbits:
      return "VARBIT";
    case ValueType::date:
      return "DATE";
    case ValueType::time:
      return "TIME";
    case ValueType::timetz:
      return "TIMETZ";
    case ValueType::timestamp:
      return "TIMESTAMP";
    case ValueType::timestamptz:
      return "TIMESTAMPTZ";
    case ValueType::interval:
      return "INTERVAL";
    case ValueType::point:
      return "POINT";
    case ValueType::text:
    case ValueType::untyped:
    case ValueType::unsupported:
      return "TEXT";
  }
  return "TEXT";
}

/// The array of a type; `name`: the array type's, as the catalog quotes it.
void make_array(ColumnType& type, std::string name) {
  type.sql += "[]";
  type.column.type = type.sql;
  type.column.array_type = std::move(name);
}

}  // namespace

std::string element_name(const Column& source) {
  std::string name = source.declared;
  if (is_array_name(name)) name.erase(begin_of_name(name), 1);
  return name;
}

std::optional<ColumnType> own_type(const Column& source, const ConnectorModes& modes) {
  const bool is_array = is_array_name(source.declared);
  const std::string name = element_name(source);
  const auto* const type = std::find_if(std::begin(own_types), std::end(own_types),
                                        [&](const OwnType& own) { return own.declared == name; });
  if (type == std::end(own_types)) return std::nullopt;
  const auto [in_brackets, modifier] = brackets(source, *type);
  ColumnType result;
  TargetColumn& column = result.column;
  const std::string quoted = type->name == "char" ? "\"char\"" : std::string{type->name};
  result.sql = column.type = quoted + in_brackets;
  column.base_type = type->name;
  column.cast_type = "pg_catalog." + quoted;
  column.kind = type->kind;
  column.modifier = modifier;
  if (is_array) make_array(result, "pg_catalog._" + std::string{type->name});
  if (!can_take(source, column, modes)) return std::nullopt;
  return result;
}

std::optional<ColumnType> type_like(const Column& source, const TargetColumn& type,
                                    const ConnectorModes& modes) {
  ColumnType result{type.type, type};
  if (is_array_name(source.declared)) {
    if (type.is_array()) return std::nullopt;
    make_array(result, type.type + "[]");
  }
  if (!can_take(source, result.column, modes)) return std::nullopt;
  return result;
}

ColumnType any_type(const Column& source, const ConnectorModes& modes) {
  Column as = source;
  as.declared = (is_array_name(source.declared) ? "_" : "") + std::string{fitting_name(source)};
  if (source.type != ValueType::bits) as.length = as.scale = std::nullopt;
  if (auto own = own_type(as, modes)) return *own;
  ColumnType text;
  text.sql = text.column.type = text.column.base_type = "text";
  text.column.cast_type = "pg_catalog.text";
  return text;
}

TypeFit compare(const TargetColumn& have, const TargetColumn& want) {
  if (have.is_domain || want.is_domain || have.is_array() != want.is_array())
    return TypeFit::another;
  if (!have.cast_type.starts_with("pg_catalog.") || !want.cast_type.starts_with("pg_catalog.")) {
    return have.cast_type == want.cast_type ? TypeFit::same : TypeFit::another;
  }
  return compare_bases(have.base_type, have.modifier, want.base_type, want.modifier);
}

std::string quote_text(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

std::string create_table(const Relation& name, const Layout& row,
                         const std::vector<ColumnType>& types, const Layout* key,
                         const std::string& synced_at) {
  std::string sql = "CREATE TABLE " + quoted_name(name) + " (";
  for (std::size_t i = 0; i < row.columns.size(); ++i) {
    const Column& column = row.columns[i];
    sql += (i == 0 ? "" : ", ") + quote_name(column.name) + " " + types[i].sql +
           (column.optional ? "" : " NOT NULL");
  }
  if (!synced_at.empty()) sql += ", " + quote_name(synced_at) + " timestamptz";
  if (key != nullptr && !key->columns.empty()) {
    sql += ", PRIMARY KEY (";
    for (const auto& column : key->columns) {
      sql += (&column == &key->columns.front() ? "" : ", ") + quote_name(column.name);
    }
    sql += ")";
  }
  return sql + ")";
}

}  // namespace lockstep::postgres
