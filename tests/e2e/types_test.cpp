// Every built-in type, alone and in arrays, under several sets of the connector's modes: source and
// target hold the same text, or the daemon tells what the source has lost.
#include <algorithm>
#include <future>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "stack.hpp"

using namespace lockstep::test;
using std::chrono::seconds;

namespace {

struct Type {
  std::string name;                          ///< of its table
  std::string sql;                           ///< % stands for what makes a name unique
  std::vector<std::string> values;           ///< SQL literals
  std::vector<std::string> streamed_only{};  ///< values that Debezium's snapshot spoils
  bool unknown = false;  ///< to Debezium: an array of it with a NULL arrives as NULL
};

/// Values that some mode loses are types of their own: what is lost shows by name.
const std::vector<Type> scalars{
    {"bool", "boolean", {"true", "false"}},
    {"int2", "smallint", {"-32768", "32767", "0"}},
    {"int4", "integer", {"-2147483648", "2147483647"}},
    {"int8", "bigint", {"-9223372036854775808", "9223372036854775807"}},
    {"float4",
     "real",
     {"3.4028235e38", "-3.4028235e38", "1e-45", "'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1",
      "16777217"}},
    {"float8",
     "double precision",
     {"1.7976931348623157e308", "5e-324", "'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1",
      "0.30000000000000004", "9007199254740993"}},
    {"numeric", "numeric", {"12345678.25", "-0.5", "1e20"}},
    {"numeric_long",
     "numeric",
     {"123456789012345678901234567890.123456789", "1e-30", "1e130", "0"}},
    {"numeric_zeros", "numeric", {"1.500", "0.00", "100.0"}},
    {"numeric_nan", "numeric", {"'NaN'", "'Infinity'", "'-Infinity'"}},
    {"numeric_20_4", "numeric(20,4)", {"99999.9999", "-1.5", "0"}},
    {"numeric_20_4_last", "numeric(20,4)", {"9999999999999999.9999"}},
    {"numeric_20_4_nan", "numeric(20,4)", {"'NaN'"}},
    {"numeric_5_m2", "numeric(5,-2)", {"1234500", "-100"}},
    {"money", "money", {"'$1,234.50'", "'-0.01'"}},
    {"money_last", "money", {"'-92233720368547758.08'", "'92233720368547758.07'"}},
    {"bpchar", "char(5)", {"'ab'", "'äöüß€'", "''"}},
    {"varchar", "varchar(20)", {"'vär'", "''", "'20 characters in all'", "'blanks  '"}},
    {"text",
     "text",
     {"'emoji 😀 \"q\" \\ ''s'", "E'line\\nend\\r\\t\\b\\f\\u0001'", "''", "'NULL'", "'{a,b}'",
      "' '", "'a__debezium_unavailable_value'"}},
    {"char", "\"char\"", {"'z'", "''"}},
    {"name", "name", {"'nme'"}},
    {"bytea", "bytea", {"'\\x00ff10'", "'\\x'", "'\\x5c7b7d22'", "'\\xdeadbeefcafe'"}},
    {"bit1", "bit", {"B'1'", "B'0'"}},
    {"bit5", "bit(5)", {"B'10101'", "B'00000'", "B'00001'", "B'10000'"}},
    {"bit70", "bit(70)", {"B'1' || repeat('0', 69)::bit(69)", "repeat('10', 35)::bit(70)"}},
    {"varbit", "varbit", {"B'101'", "B'1'"}},
    {"varbit_zeros", "varbit", {"B'0101'", "B''", "B'000'"}},
    {"varbit8", "varbit(8)", {"B'11111111'", "B'10000000'"}},
    {"date", "date", {"'2024-02-29'", "'0001-01-01'", "'5874897-12-31'", "'1969-12-31'"}},
    {"date_bc", "date", {}, {"'4713-01-01 BC'", "'0044-03-15 BC'"}},
    {"date_infinity", "date", {"'infinity'"}, {"'-infinity'"}},
    {"date_minus_infinity", "date", {"'-infinity'"}},
    {"time", "time", {"'00:00:00'", "'23:59:59.999'"}},
    {"time6", "time", {"'23:59:59.999999'"}},
    {"time_24", "time", {"'24:00:00'"}},
    {"time3", "time(3)", {"'00:00:00.001'"}},
    {"timetz", "timetz", {"'12:00:00.123456+00'", "'23:59:59.999999+00'"}},
    {"timetz_offset", "timetz", {"'12:00:00.123456+05:30'", "'24:00:00+00'"}},
    {"timestamp", "timestamp", {"'2024-01-01 00:00:00.123'", "'1969-12-31 23:59:59.999'"}},
    {"timestamp6", "timestamp", {"'2024-01-01 00:00:00.123456'", "'1969-12-31 23:59:59.999999'"}},
    {"timestamp_infinity", "timestamp", {"'infinity'", "'-infinity'"}},
    {"timestamp_bc",
     "timestamp",
     {"'0044-03-15 12:00:00 BC'", "'1582-10-04 23:59:59'", "'1000-02-28'", "'1000-03-01'"}},
    {"timestamp_2263", "timestamp", {"'2262-04-12 00:00:00'", "'294246-12-31 23:59:59.999'"}},
    {"timestamp_last", "timestamp", {"'294276-12-31 23:59:59.999999'"}},
    {"timestamp3", "timestamp(3)", {"'2024-01-01 00:00:00.123'"}},
    {"timestamp3_far",
     "timestamp(3)",
     {"'294276-12-31 23:59:59.999'", "'infinity'", "'-infinity'"}},
    {"timestamptz",
     "timestamptz",
     {"'2024-06-01 12:00:00.123456+02'", "'294276-12-31 23:59:59.999999+00'"}},
    {"timestamptz_bc", "timestamptz", {"'0001-01-01 00:00:00+00 BC'"}},
    {"timestamptz_infinity", "timestamptz", {"'infinity'", "'-infinity'"}},
    {"timestamptz3", "timestamptz(3)", {"'2024-06-01 12:00:00.123+02'"}},
    {"interval", "interval", {"'04:05:06.789'", "'0'", "'-00:00:00.000001'"}},
    {"interval_days",
     "interval",
     {"'1 year 2 mons 3 days 04:05:06.789'", "'-1 mons +2 days -03:00:00'", "'40 days 100:00:00'"}},
    {"interval_last", "interval", {"'178000000 years'"}},
    {"uuid", "uuid", {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
    {"json", "json", {"'{\"a\": 1.0, \"b\":  12345678901234567890}'", "'null'", "' [ ] '"}},
    {"jsonb", "jsonb", {"'{\"a\":1,\"b\":[1,2,{\"c\":\"ü\"}]}'", "'null'", "'1e400'", "'\"x\"'"}},
    {"xml", "xml", {"'<a>x</a>'", "'text &amp; more'"}},
    {"inet", "inet", {"'192.168.0.1/24'", "'::1'", "'10.0.0.1'"}},
    {"cidr", "cidr", {"'10.0.0.0/8'", "'2001:db8::/32'"}},
    {"macaddr", "macaddr", {"'08:00:2b:01:02:03'"}},
    {"macaddr8", "macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
    {"point", "point", {"'(1,2)'", "'(-1e-300,0.1)'", "'(NaN,Infinity)'"}},
    {"box", "box", {"'((0,0),(1,1))'"}, {}, true},
    {"line", "line", {"'{1,2,3}'"}, {}, true},
    {"lseg", "lseg", {"'((0,0),(1,1))'"}, {}, true},
    {"path", "path", {"'((0,0),(1,1),(2,0))'", "'[(0,0),(1,1)]'"}, {}, true},
    {"polygon", "polygon", {"'((0,0),(1,1),(2,0))'"}, {}, true},
    {"circle", "circle", {"'<(0,0),1>'"}, {}, true},
    {"int4range", "int4range", {"'[1,5)'", "'empty'", "'(,)'"}},
    {"int8range", "int8range", {"'[1,9223372036854775807)'"}},
    {"numrange", "numrange", {"'[1.5,2.50)'"}},
    {"tsrange", "tsrange", {"'[2024-01-01,2024-01-02 03:04:05.000006)'", "'[-infinity,infinity]'"}},
    {"tstzrange", "tstzrange", {"'[2024-01-01 00:00+05,2024-01-02 00:00+00)'"}},
    {"daterange", "daterange", {"'[2024-01-01,2024-01-05)'", "'[0044-03-15 BC,)'"}},
    {"int4multirange", "int4multirange", {"'{[1,3),[5,7)}'", "'{}'"}, {}, true},
    {"nummultirange", "nummultirange", {"'{[1.50,3)}'"}, {}, true},
    {"tsmultirange", "tsmultirange", {"'{[2024-01-01,2024-01-02)}'"}, {}, true},
    {"tstzmultirange", "tstzmultirange", {"'{[2024-01-01 00:00+05,)}'"}, {}, true},
    {"datemultirange", "datemultirange", {"'{[2024-01-01,2024-01-02)}'"}, {}, true},
    {"citext", "citext", {"'CiText'"}},
    {"ltree", "ltree", {"'a.b.c'"}, {}, true},
    {"hstore", "hstore", {"'a=>1'", "'a=>\"\", \"b c\"=>\"q \\\" \\\\ {}\"'", "''"}},
    {"hstore_null", "hstore", {"'a=>NULL,b=>1'"}},
    {"enum", "mood%", {"'sad'", "'happy'", "'it''s \"odd\"'"}, {}, true},
    {"domain", "posint%", {"5", "2147483647"}, {}, true},
    {"domain_numeric", "price%", {"5.10", "-0.01"}, {}, true},
    {"composite", "addr%", {"'(main,123)'", "'(\"a, \"\"b\"\" \\\\ c\",)'"}, {}, true},
    {"oid", "oid", {"0", "4294967295"}},
    {"tsvector", "tsvector", {"'a fat cat'", "'''it''''s'':1A ''b c'':2'"}, {}, true},
    {"tsquery", "tsquery", {"'fat & ''b c'''"}, {}, true},
    {"pg_lsn", "pg_lsn", {"'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"}, {}, true},
    {"xid8", "xid8", {"'18446744073709551615'"}, {}, true},
    {"jsonpath", "jsonpath", {"'$.\"a\"[*]'"}, {}, true},
    {"odd_enum", "\"Odd%\".\"Mo\"\"od\"", {"'a b'", "'ü'"}, {}, true},
    {"odd_domain", "\"Odd%\".\"po int\"", {"5"}, {}, true},
    {"odd_composite", "\"Odd%\".\"Ad dr\"", {"'(\"{1,2}\",\"{a,\"\"b c\"\"}\")'"}, {}, true},
    {"nested", "\"Odd%\".nested", {"'(\"({1},{x})\",\"{sad,happy}\")'"}, {}, true},
    {"floatrange", "\"Odd%\".floatrange", {"'[1.5,2.5)'", "'empty'"}, {}, true},
};

/// Of a type: each value alone in an array, all with a NULL between, an empty array.
Type array_of(const Type& type) {
  Type array{type.name + "_array", type.sql + "[]", {}, {}};
  const auto literal = [&](const std::string& elements) {
    return "ARRAY[" + elements + "]::" + array.sql;
  };
  const auto all = [&](const std::vector<std::string>& values) {
    std::string elements = values.front();
    for (const auto& value : values) elements += (type.unknown ? ", " : ", NULL, ") + value;
    return literal(elements);
  };
  for (const auto& value : type.values) array.values.push_back(literal(value));
  if (!type.values.empty()) {
    array.values.push_back(all(type.values));
    array.values.emplace_back("'{}'");
  }
  if (!type.streamed_only.empty()) array.streamed_only.push_back(all(type.streamed_only));
  return array;
}

std::vector<Type> all_types() {
  std::vector<Type> types = scalars;
  for (const auto& type : scalars) types.push_back(array_of(type));
  types.push_back({"enum_null_array", "mood%[]", {"'{sad,NULL}'"}});
  types.push_back({"composite_null_array", "addr%[]", {"'{NULL}'"}});
  types.push_back({"int4_null_array", "integer[]", {"'{NULL}'"}});
  types.push_back({"text_null_array", "text[]", {"'{NULL}'", "'{NULL,NULL}'"}});
  types.push_back({"inet_null_array", "inet[]", {"'{NULL}'"}});
  types.push_back({"domain_of_array", "ints%", {"'{1,2}'", "'{}'"}});
  types.push_back({"text_matrix", "text[]", {"'{{a,b},{c,d}}'"}});
  types.push_back({"uuid_matrix", "uuid[]", {"'{{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}}'"}});
  types.push_back({"inet_matrix", "inet[]", {"'{{10.0.0.1},{10.0.0.2}}'"}});
  types.push_back({"enum_matrix", "mood%[]", {"'{{sad},{happy}}'"}});
  types.push_back({"int4_bounds", "integer[]", {"'[0:2]={1,2,3}'"}});
  types.push_back({"int4_matrix", "integer[]", {"'{{1,2},{3,4}}'"}});
  return types;
}

/// Debezium has no schema for arrays of these: its messages don't have the column.
const std::set<std::string> never_sent{
    "money_array",         "money_last_array", "name_array",     "varbit_array",
    "varbit_zeros_array",  "varbit8_array",    "interval_array", "interval_days_array",
    "interval_last_array", "xml_array",        "point_array"};

/// What no setting keeps (debezium-config/README.md).
const std::set<std::string> lost_by_all{
    "varbit_zeros",         "timetz_offset",   "numeric_nan_array",    "numeric_20_4_nan_array",
    "bit1_array",           "bit5_array",      "bit70_array",          "date_bc_array",
    "time6_array",          "time_24_array",   "timetz_array",         "timetz_offset_array",
    "timestamptz_bc_array", "enum_null_array", "composite_null_array", "int4_matrix",
    "text_matrix",          "uuid_matrix",     "inet_matrix",          "enum_matrix",
    "int4_bounds"};

/// What neither a value nor its type shows.
const std::set<std::string> lost_without_a_word{"int4_bounds"};

using Settings = Connector::Settings;
struct ModeSet {
  std::string name;
  Settings connector;
  Settings told{};               ///< in the pipeline's configuration
  std::set<std::string> lost{};  ///< beside what all sets lose
  bool only_times = false;       ///< its tables are those whose names begin with "time" and "date"

  bool has(const std::string& type) const {
    return !only_times || type.starts_with("time") || type.starts_with("date");
  }

  bool loses(const std::string& type) const {
    return lost.contains(type) || lost_by_all.contains(type) || never_sent.contains(type);
  }
};

const Settings schemaless{{"time.precision.mode", "microseconds"},
                          {"key.converter", "org.apache.kafka.connect.json.JsonConverter"},
                          {"key.converter.schemas.enable", "false"},
                          {"value.converter", "org.apache.kafka.connect.json.JsonConverter"},
                          {"value.converter.schemas.enable", "false"},
                          {"value.converter.replace.null.with.default", "false"}};

const std::vector<ModeSet> mode_sets{
    {"file", {}, {}, {"timestamp_last", "timestamp_last_array"}},
    {"defaults",
     {{"decimal.handling.mode", ""},
      {"interval.handling.mode", ""},
      {"time.precision.mode", ""},
      {"binary.handling.mode", ""},
      {"hstore.handling.mode", ""},
      {"datatype.propagate.source.type", ""}},
     {},
     {"numeric_zeros", "numeric_zeros_array", "numeric_nan", "numeric_20_4_nan", "varbit8",
      "timestamp_last", "timestamp_last_array", "interval_days", "interval_last"}},
    {"strings",
     {{"time.precision.mode", "isostring"}, {"binary.handling.mode", "base64"}},
     {{"binary.handling.mode", "base64"}},
     {"time_24"}},
    {"nanos",
     {{"time.precision.mode", "nanoseconds"},
      {"decimal.handling.mode", "double"},
      {"interval.handling.mode", "numeric"},
      {"hstore.handling.mode", "map"},
      {"binary.handling.mode", "hex"}},
     {{"binary.handling.mode", "hex"}},
     {"numeric_long", "numeric_long_array", "numeric_zeros", "numeric_zeros_array",
      "numeric_20_4_last", "numeric_20_4_last_array", "money_last", "domain_numeric",
      "timestamp_bc", "timestamp_bc_array", "timestamp_2263", "timestamp_2263_array",
      "timestamp_last", "timestamp_last_array", "timestamp3_far", "timestamp3_far_array",
      "interval_days", "interval_last"}},
    {"connect",
     {{"time.precision.mode", "connect"},
      {"decimal.handling.mode", "precise"},
      {"binary.handling.mode", "base64-url-safe"}},
     {{"binary.handling.mode", "base64-url-safe"}},
     {"numeric_zeros", "numeric_zeros_array", "numeric_nan", "numeric_20_4_nan", "time6",
      "timestamp6", "timestamp6_array", "timestamp_last", "timestamp_last_array"}},
    {"schemaless",
     schemaless,
     {{"time.precision.mode", "microseconds"},
      {"decimal.handling.mode", "string"},
      {"binary.handling.mode", "bytes"}},
     {"varbit", "varbit8", "timestamp_last", "timestamp_last_array", "timestamp3_far",
      "timestamp3_far_array", "domain_array", "domain_numeric_array", "odd_domain_array"}},
    {"micros",
     {{"time.precision.mode", "microseconds"}},
     {},
     {"timestamp_last", "timestamp_last_array", "timestamp3_far", "timestamp3_far_array"},
     true},
    {"micro_times",
     {{"time.precision.mode", "adaptive_time_microseconds"}},
     {},
     {"timestamp_last", "timestamp_last_array"},
     true},
};

std::string values_list(const std::vector<std::string>& values, int from) {
  std::string list;
  for (const auto& value : values) {
    list += (list.empty() ? "(" : ", (") + std::to_string(from++) + ", " + value + ")";
  }
  return list;
}

/// Each value twice, at other places of the batch.
std::vector<std::string> shuffled(const std::vector<std::string>& values) {
  std::vector<std::string> twice = values;
  twice.emplace_back("NULL");
  twice.insert(twice.end(), values.rbegin(), values.rend());
  return twice;
}

void create_types(Database& database, const std::string& run) {
  database.exec(
      "CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS ltree;"
      "CREATE EXTENSION IF NOT EXISTS hstore;"
      "CREATE TYPE mood" +
      run +
      " AS ENUM ('sad', 'happy', 'it''s \"odd\"');"
      "CREATE DOMAIN posint" +
      run +
      " AS integer CHECK (VALUE > 0);"
      "CREATE DOMAIN price" +
      run +
      " AS numeric(10,2);"
      "CREATE TYPE addr" +
      run +
      " AS (street text, zip integer);"
      "CREATE DOMAIN ints" +
      run + " AS integer[]");
  const std::string odd = "\"Odd" + run + "\".";
  database.exec("CREATE SCHEMA \"Odd" + run + "\"; GRANT USAGE ON SCHEMA \"Odd" + run +
                "\" TO PUBLIC; CREATE TYPE " + odd +
                "\"Mo\"\"od\" AS ENUM ('a b', 'ü'); CREATE DOMAIN " + odd +
                "\"po int\" AS integer; CREATE TYPE " + odd +
                "\"Ad dr\" AS (\"N o\" integer[], t text[]); CREATE TYPE " + odd + "nested AS (a " +
                odd + "\"Ad dr\", m mood" + run + "[]); CREATE TYPE " + odd +
                "floatrange AS RANGE (subtype = float8)");
}

/// The rows of a table that are not the same text on both sides; empty: none.
std::string differing(Database& source, Database& target, const std::string& ours,
                      const std::string& theirs) {
  const std::string columns = "SELECT id, v::text FROM ";
  const Rows want = source.exec(columns + ours + " ORDER BY id");
  const Rows have = target.exec(columns + theirs + " ORDER BY id");
  const auto shown = [](const Rows& rows, std::size_t row) {
    return row < rows.size() ? *rows[row][0] + "=" + rows[row][1].value_or("NULL") : "none";
  };
  std::string text;
  for (std::size_t row = 0; row < std::max(want.size(), have.size()); ++row) {
    if (row < want.size() && row < have.size() && want[row] == have[row]) continue;
    text += " " + shown(want, row) + " -> " + shown(have, row);
    if (text.size() > 300) break;
  }
  return text;
}

/// The run's name for each %.
std::string with_run(std::string sql, const std::string& run) {
  for (auto at = sql.find('%'); at != std::string::npos; at = sql.find('%')) {
    sql.replace(at, 1, run);
  }
  return sql;
}

}  // namespace

TEST_CASE("every type, in a snapshot and streamed, is the same text on both sides") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  const auto types = all_types();
  create_types(source, run);
  create_types(target, run);
  const auto named = [&](std::string sql) { return with_run(std::move(sql), run); };
  std::vector<std::string> tables;
  std::string create_source;
  std::string create_target;
  for (const auto& set : mode_sets) create_target += "CREATE SCHEMA " + set.name + run + ";";
  for (const auto& type : types) {
    const auto& table = tables.emplace_back("t_" + type.name + run);
    const std::string columns = table + "(id integer PRIMARY KEY, v " + named(type.sql);
    create_source += "CREATE TABLE " + columns + ");";
    for (const auto& set : mode_sets) {
      if (!set.has(type.name)) continue;
      create_target +=
          "CREATE TABLE " + set.name + run + "." + columns + ", synced_at timestamptz);";
    }
    const auto rows = values_list(shuffled(type.values), 1);
    create_source += "INSERT INTO " + table + " VALUES " + named(rows) + ";";
  }
  source.exec(create_source);
  target.exec(create_target);

  std::vector<std::vector<std::string>> tables_of(mode_sets.size());
  std::size_t all_tables = 0;
  std::vector<std::future<std::unique_ptr<Connector>>> starting;
  for (std::size_t i = 0; i < mode_sets.size(); ++i) {
    for (std::size_t t = 0; t < types.size(); ++t) {
      if (mode_sets[i].has(types[t].name)) tables_of[i].push_back(tables[t]);
    }
    all_tables += tables_of[i].size();
    starting.push_back(std::async(std::launch::async, [&, i] {
      return std::make_unique<Connector>(mode_sets[i].name + run, tables_of[i],
                                         mode_sets[i].connector);
    }));
  }
  std::vector<std::unique_ptr<Connector>> connectors;
  std::vector<DaemonConfig> configs;
  for (std::size_t i = 0; i < mode_sets.size(); ++i) {
    connectors.push_back(starting[i].get());
    DaemonConfig config{mode_sets[i].name + run, {}};
    for (const auto& table : tables_of[i]) config.topics.push_back(connectors[i]->topic(table));
    config.sink["schema"] = mode_sets[i].name + run;
    config.connector = mode_sets[i].told;
    configs.push_back(config);
  }
  Daemon daemon{"types" + run, configs};

  eventually(seconds{120}, "the snapshots of all tables", [&]() -> std::string {
    const auto reading =
        target.number("SELECT count(DISTINCT topic) FROM lockstep.progress WHERE pipeline LIKE '%" +
                      run + "'") +
        daemon.count_in_log("table stopped");
    return reading >= static_cast<long long>(all_tables) ? "" : std::to_string(reading) + " tables";
  });
  std::string stream;
  for (std::size_t i = 0; i < types.size(); ++i) {
    auto values = types[i].values;
    values.insert(values.begin(), types[i].streamed_only.begin(), types[i].streamed_only.end());
    const auto& table = tables[i];
    stream += "INSERT INTO " + table + " VALUES " + named(values_list(shuffled(values), 100)) + ";";
    // An update to and from each value, too.
    stream += "UPDATE " + table + " SET v = NULL WHERE id = 100;";
    stream += "UPDATE " + table + " SET v = (SELECT v FROM " + table +
              " WHERE id = 101) WHERE v IS NULL AND id > 100;";
    stream += "DELETE FROM " + table + " WHERE id = 2;";
    // What comes last tells that all before it is there.
    stream += "INSERT INTO " + table + " VALUES (999);";
  }
  source.exec(stream);

  const auto how_reported = [&](const std::string& topic) -> std::string {
    const std::string of_topic = " topic=" + topic + " ";
    if (daemon.logged("table stopped, the others go on pipeline=" +
                      topic.substr(0, topic.find('.')) + of_topic)) {
      return "stopped";
    }
    for (const std::string line : {"lossy values", "column may be lossy"}) {
      for (const auto& logged : daemon.lines_with(line)) {
        if (logged.find(of_topic) != std::string::npos) return line;
      }
    }
    return "";
  };
  for (std::size_t s = 0; s < mode_sets.size(); ++s) {
    const auto& set = mode_sets[s];
    std::ostringstream wrong;
    int exact = 0;
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (!set.has(types[i].name)) continue;
      const auto topic = connectors[s]->topic(tables[i]);
      const std::string theirs = set.name + run + "." + tables[i];
      eventually(seconds{60}, types[i].name + " is through", [&] {
        return target.number("SELECT count(*) FROM " + theirs + " WHERE id = 999") == 1 ||
               how_reported(topic) == "stopped";
      });
      const auto report = how_reported(topic);
      const auto difference =
          report == "stopped" ? report : differing(source, target, tables[i], theirs);
      const bool is_lost = set.loses(types[i].name);
      exact += difference.empty() ? 1 : 0;
      if (difference.empty() != !is_lost) {
        wrong << set.name << " " << types[i].name << " " << report << ": "
              << (difference.empty() ? "nothing is lost any more" : difference) << "\n";
      }
      if (is_lost && report.empty() && !never_sent.contains(types[i].name) &&
          !lost_without_a_word.contains(types[i].name)) {
        wrong << set.name << " " << types[i].name << ": lost without a word: " << difference
              << "\n";
      }
    }
    std::cout << exact << " of " << tables_of[s].size() << " types exact: " << set.name
              << std::endl;
    std::cout << wrong.str();
    INFO(wrong.str());
    CHECK(wrong.str().empty());
  }
  CHECK(daemon.stop() == 0);
}

TEST_CASE("values that an update leaves as they were stay, or are told as lost") {
  struct Large {
    std::string name;
    std::string type;
    std::string value;
  };
  const std::string text = "repeat(md5(random()::text), 100)";
  const auto array = [](const std::string& element) {
    return "(SELECT array_agg(" + element + ") FROM generate_series(1, 900) i)";
  };
  const std::vector<Large> columns{
      {"text", "text NOT NULL", text},
      {"bytea", "bytea", text + "::bytea"},
      {"json", "json", "to_json(" + text + ")"},
      {"jsonb", "jsonb", "to_jsonb(" + text + ")"},
      {"xml", "xml", "('<a>' || " + text + " || '</a>')::xml"},
      {"hstore", "hstore", "hstore('k', " + text + ")"},
      {"numeric", "numeric", "repeat('123456789', 900)::numeric"},
      {"varbit", "varbit", "repeat('10', 9000)::varbit"},
      {"bit", "bit(20000)", "repeat('10', 10000)::bit(20000)"},
      {"citext", "citext", text + "::citext"},
      {"varchar", "varchar(9000)", text},
      {"path", "path", "('(' || repeat('(1,2),', 300) || '(3,4))')::path"},
      {"composite", "addr%", "ROW(" + text + ", 1)::addr%"},
      {"tsvector", "tsvector", "array_to_tsvector(" + array("md5(i::text)") + ")"},
      {"texts", "text[] NOT NULL", "ARRAY[" + text + ", NULL]"},
      {"int4s", "integer[]", array("i")},
      {"int8s", "bigint[]", array("i::int8")},
      {"uuids", "uuid[]", array("md5(i::text)::uuid")},
      {"jsons", "json[]", "ARRAY[to_json(" + text + ")]"},
      {"byteas", "bytea[]", "ARRAY[" + text + "::bytea]"},
      {"dates", "date[]", array("'2024-01-01'::date + i::int")},
      {"int2s", "smallint[]", array("i::int2")},
      {"floats", "float8[]", array("i::float8")},
      {"numerics", "numeric[]", array("i::numeric")},
      {"timestamps", "timestamp[]", array("'2024-01-01'::timestamp + i * interval '1 day'")},
      {"bools", "boolean[]", "(SELECT array_agg(mod(i, 2) = 0) FROM generate_series(1, 3000) i)"},
      {"inets", "inet[]", array("'10.0.0.0'::inet + i")},
      {"enums", "mood%[]", array("'sad'::mood%")},
      {"holds", "text", text + " || '__debezium_unavailable_value'"},
      {"is_like", "text", "'a __debezium_unavailable_value'"},
  };
  const std::set<std::string> always_null{"varbit",     "bit",   "int2s", "floats", "numerics",
                                          "timestamps", "bools", "inets", "enums"};
  struct Set {
    std::string name;
    Settings connector;
    Settings told;
    std::set<std::string> null;  ///< beside always_null
    bool has_schema = true;

    /// A bit varying needs a schema.
    bool has(const std::string& column) const { return has_schema || column != "varbit"; }
  };
  Settings untyped = schemaless;
  untyped["hstore.handling.mode"] = "map";
  const std::vector<Set> sets{
      {"kept",
       {{"unavailable.value.placeholder", "hex:67c3b66e6520227b7d22"}},
       {{"unavailable.value.placeholder", "hex:67c3b66e6520227b7d22"}},
       {}},
      {"kept_text",
       {{"time.precision.mode", "isostring"},
        {"binary.handling.mode", "base64"},
        {"decimal.handling.mode", "precise"},
        {"hstore.handling.mode", "map"}},
       {{"binary.handling.mode", "base64"}},
       {"bytea", "numeric", "path", "composite", "byteas", "dates"}},
      {"kept_bare",
       untyped,
       {{"time.precision.mode", "microseconds"},
        {"decimal.handling.mode", "string"},
        {"binary.handling.mode", "bytes"}},
       {},
       false},
  };
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  create_types(source, run);
  create_types(target, run);
  const auto named = [&](std::string sql) { return with_run(std::move(sql), run); };
  std::vector<std::string> tables;
  std::vector<std::unique_ptr<Connector>> connectors;
  std::vector<DaemonConfig> configs;
  for (const auto& set : sets) {
    const auto& table = tables.emplace_back(set.name + run);
    std::string definitions = "(id integer PRIMARY KEY, n integer";
    std::string values;
    for (const auto& column : columns) {
      if (!set.has(column.name)) continue;
      definitions += ", c_" + column.name + " " + named(column.type);
      values += ", " + named(column.value);
    }
    source.exec("CREATE TABLE " + table + definitions + ")");
    target.exec("CREATE TABLE " + table + definitions + ", synced_at timestamptz)");
    for (const auto& column : columns) {
      if (!set.has(column.name)) continue;
      source.exec("ALTER TABLE " + table + " ALTER c_" + column.name + " SET STORAGE " +
                  (column.name == "is_like" ? "EXTENDED" : "EXTERNAL"));
    }
    source.exec("INSERT INTO " + table + " SELECT g, 0" + values + " FROM generate_series(1, 3) g");
    connectors.push_back(std::make_unique<Connector>(table, std::vector{table}, set.connector));
    DaemonConfig config{table, {connectors.back()->topic(table)}};
    config.connector = set.told;
    config.max_events = 3;  // the changes of a row are folded, and cut off from each other
    configs.push_back(config);
  }
  Daemon daemon{"kept" + run, configs};
  for (const auto& table : tables) await_equal(source, target, table);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto& table = tables[i];
    std::string changes = "BEGIN;";
    for (int n = 1; n < 8; ++n) {
      changes += "UPDATE " + table + " SET n = " + std::to_string(n) +
                 " WHERE id = " + std::to_string(1 + n % 2) + ";";
    }
    source.exec(changes + "UPDATE " + table + " SET n = 9 WHERE id = 1; COMMIT");
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto& set = sets[i];
    const auto& table = tables[i];
    eventually(seconds{60}, set.name, [&] {
      return target.number("SELECT count(*) FROM " + table + " WHERE n = 9") == 1;
    });
    for (const auto& column : columns) {
      if (!set.has(column.name)) continue;
      INFO(set.name << " " << column.name);
      const std::string query = "SELECT string_agg(coalesce(md5(c_" + column.name +
                                "::text), 'NULL'), ' ' ORDER BY id) FROM " + table;
      const bool is_lost = always_null.contains(column.name) || set.null.contains(column.name);
      const std::string lost = "lossy values pipeline=" + table +
                               " topic=" + connectors[i]->topic(table) + " column=\"c_" +
                               column.name + "\": NULL";
      if (is_lost) {
        CHECK(target.text("SELECT count(c_" + column.name + ") FROM " + table) == "1");
      } else {
        CHECK(source.text(query) == target.text(query));
      }
      // Of a composite's base64 nothing says that it is no text.
      CHECK(daemon.logged(lost) == (is_lost && set.has_schema && column.name != "composite"));
    }
    // What the warning advises.
    source.exec("ALTER TABLE " + table + " REPLICA IDENTITY FULL; UPDATE " + table +
                " SET n = n + 1");
  }
  for (const auto& table : tables) await_equal(source, target, table);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("columns that the target fills by itself, or refuses to be told") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string table = unique("filled");
  const std::string columns =
      "(id integer PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY, "
      "m integer GENERATED BY DEFAULT AS IDENTITY, twice integer GENERATED ALWAYS AS (id * 2) "
      "STORED, d text DEFAULT 'none', v text";
  source.exec("CREATE TABLE " + table + columns + ")");
  target.exec("CREATE TABLE " + table + columns + ", synced_at timestamptz)");
  source.exec("INSERT INTO " + table +
              " (id, d, v) VALUES (1, NULL, 'a'), (2, DEFAULT, 'b'), "
              "(3, NULL, 'c')");
  const Connector connector{table, {table}};
  Daemon daemon{table, DaemonConfig{table, {connector.topic(table)}}};
  await_equal(source, target, table);
  source.exec("INSERT INTO " + table + " (id, d, v) VALUES (4, NULL, 'd'), (5, DEFAULT, NULL)");
  source.exec("UPDATE " + table + " SET v = 'x', d = NULL WHERE id IN (1, 2, 4)");
  await_equal(source, target, table);
  // An identity that changes, beside one that does not.
  source.exec("UPDATE " + table + " SET n = DEFAULT, m = 77 WHERE id IN (2, 5)");
  source.exec("UPDATE " + table + " SET v = 'y' WHERE id IN (2, 3)");
  await_equal(source, target, table);
  CHECK(target.number("SELECT count(*) FROM " + table + " WHERE n > 5") == 2);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a value that the target would round or cut stops its table with the ALTER that helps") {
  struct Narrow {
    std::string ours;
    std::string theirs;
    std::string value;
    std::string advice;
  };
  const std::vector<Narrow> narrow{
      {"numeric", "numeric(10,1)", "1.25", " TYPE numeric"},
      {"numeric[]", "numeric(10,1)[]", "'{1.2,1.25}'", " TYPE numeric[]"},
      {"timestamp", "timestamp(0)", "'2024-01-01 00:00:00.5'", " TYPE timestamp"},
      {"timestamptz", "timestamptz(3)", "'2024-01-01 00:00:00.0005+00'", " TYPE timestamptz"},
      {"time", "time(3)", "'00:00:00.0001'", " TYPE time"},
      {"interval", "interval(0)", "'00:00:00.5'", " TYPE interval"},
      {"double precision", "real", "0.1000000001", " TYPE double precision"},
      {"text", "varchar(3)", "'abc '", " TYPE text"},
      {"text", "char(3)", "'abc '", " TYPE text"},
      {"interval", "interval year", "'14 mons'", " TYPE interval"},
      {"interval", "interval month", "'1 mon 1 day'", " TYPE interval"},
      {"interval", "interval day", "'1 day 01:00'", " TYPE interval"},
      {"interval", "interval day to hour", "'1 day 01:30'", " TYPE interval"},
      {"interval", "interval hour to minute", "'01:00:01'", " TYPE interval"},
      {"interval", "interval day to second(3)", "'00:00:00.0005'", " TYPE interval"},
      {"text", "name", "repeat('x', 64)", " TYPE text"},
      {"text[]", "name[]", "ARRAY['a', repeat('x', 64)]", " TYPE text[]"},
      {"text", "\"char\"", "'ab'", " TYPE text"},
      {"numeric", "numeric(5,-2)", "1234550", " TYPE numeric"},
      {"numeric", "tenths%", "1.25", " TYPE numeric"},
      {"varchar(9)", "three%", "'abc  '", " TYPE text"},
      {"numeric", "money", "1.005", " TYPE numeric"},
      {"timetz", "timetz(3)", "'00:00:00.0001+00'", " TYPE timetz"},
      {"timestamp[]", "timestamp(0)[]", "'{2024-01-01 00:00:00.5}'", " TYPE timestamp[]"},
      {"double precision[]", "real[]", "'{0.1000000001}'", " TYPE double precision[]"},
  };
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  target.exec("CREATE DOMAIN tenths" + run + " AS numeric(10,1); CREATE DOMAIN three" + run +
              " AS varchar(3)");
  std::vector<std::string> tables;
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    auto theirs = narrow[i].theirs;
    if (theirs.ends_with('%')) theirs.replace(theirs.size() - 1, 1, run);
    const auto& table = tables.emplace_back("narrow" + std::to_string(i) + run);
    source.exec("CREATE TABLE " + table + " (id integer PRIMARY KEY, v " + narrow[i].ours + ")");
    target.exec("CREATE TABLE " + table + " (id integer PRIMARY KEY, v " + theirs +
                ", synced_at timestamptz)");
    source.exec("INSERT INTO " + table + " VALUES (1, NULL), (2, " + narrow[i].value + ")");
  }
  const Connector connector{"narrow" + run, tables};
  DaemonConfig config{"narrow" + run, {}};
  config.sink["schema_change"] = "pause";
  for (const auto& table : tables) config.topics.push_back(connector.topic(table));
  Daemon daemon{config.pipeline, config};
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    INFO(narrow[i].ours << " " << narrow[i].theirs);
    daemon.await_log("topic=" + connector.topic(tables[i]) + " cause: ", seconds{60});
    const auto lines = daemon.lines_with("topic=" + connector.topic(tables[i]) + " cause: ");
    const std::string alter =
        "ALTER TABLE \"public\".\"" + tables[i] + "\" ALTER COLUMN \"v\"" + narrow[i].advice;
    CHECK_THAT(lines.at(0), ContainsSubstring(alter));
    CHECK(target.number("SELECT count(*) FROM " + tables[i] + " WHERE id = 2") == 0);
    // What it says helps.
    target.exec(alter);
  }
  daemon.reload();
  for (const auto& table : tables) await_equal(source, target, table);
  CHECK(daemon.stop() == 0);
}
