// Every scalar type whose values Debezium carries whole: source and target hold the same text.
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
};

const std::vector<Type> types{
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
    {"numeric",
     "numeric",
     {"123456789012345678901234567890.123456789", "1e-30", "1e130", "-0.5", "1.500", "0", "'NaN'",
      "'Infinity'", "'-Infinity'"}},
    {"numeric_20_4", "numeric(20,4)", {"9999999999999999.9999", "-1.5", "'NaN'"}},
    {"money", "money", {"'$1,234.50'", "'-92233720368547758.08'", "'92233720368547758.07'"}},
    {"bpchar", "char(5)", {"'ab'", "'äöüß€'", "''"}},
    {"varchar", "varchar(20)", {"'vär'", "''", "'20 characters in all'"}},
    {"text",
     "text",
     {"'emoji 😀 \"q\" \\ ''s'", "E'line\\nend\\r\\t\\b\\f\\u0001'", "''", "'NULL'"}},
    {"bytea", "bytea", {"'\\x00ff10'", "'\\x'", "'\\x5c7b7d22'"}},
    {"bit1", "bit", {"B'1'", "B'0'"}},
    {"bit5", "bit(5)", {"B'10101'", "B'00000'", "B'00001'", "B'10000'"}},
    {"bit70", "bit(70)", {"B'1' || repeat('0', 69)::bit(69)", "repeat('10', 35)::bit(70)"}},
    {"date",
     "date",
     {"'2024-02-29'", "'0001-01-01'", "'5874897-12-31'", "'1969-12-31'"},
     {"'4713-01-01 BC'", "'0044-03-15 BC'", "'infinity'", "'-infinity'"}},
    {"time", "time", {"'00:00:00'", "'23:59:59.999999'", "'24:00:00'"}},
    {"time3", "time(3)", {"'00:00:00.001'", "'24:00:00'"}},
    {"timetz", "timetz", {"'12:00:00.123456+00'", "'23:59:59.999999+00'"}},
    {"timestamp",
     "timestamp",
     {"'2024-01-01 00:00:00.123456'", "'1969-12-31 23:59:59.999999'", "'infinity'", "'-infinity'",
      "'0044-03-15 12:00:00 BC'", "'294246-12-31 23:59:59.999999'"}},
    {"timestamp3",
     "timestamp(3)",
     {"'2024-01-01 00:00:00.123'", "'294276-12-31 23:59:59.999'", "'infinity'", "'-infinity'"}},
    {"timestamptz",
     "timestamptz",
     {"'2024-06-01 12:00:00.123456+02'", "'infinity'", "'-infinity'", "'0001-01-01 00:00:00+00 BC'",
      "'294276-12-31 23:59:59.999999+00'"}},
    {"interval",
     "interval",
     {"'1 year 2 mons 3 days 04:05:06.789'", "'-1 mons +2 days -03:00:00'", "'0'",
      "'-00:00:00.000001'", "'178000000 years'", "'40 days 100:00:00'"}},
    {"uuid", "uuid", {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
    {"json", "json", {"'{\"a\": 1.0, \"b\":  12345678901234567890}'", "'null'", "' [ ] '"}},
    {"jsonb", "jsonb", {"'{\"a\":1,\"b\":[1,2,{\"c\":\"ü\"}]}'", "'null'", "'1e400'", "'\"x\"'"}},
    {"xml", "xml", {"'<a>x</a>'", "'text &amp; more'"}},
    {"inet", "inet", {"'192.168.0.1/24'", "'::1'", "'10.0.0.1'"}},
    {"cidr", "cidr", {"'10.0.0.0/8'", "'2001:db8::/32'"}},
    {"macaddr", "macaddr", {"'08:00:2b:01:02:03'"}},
    {"macaddr8", "macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
    {"point", "point", {"'(1,2)'", "'(-1e-300,0.1)'"}},
    {"box", "box", {"'((0,0),(1,1))'"}},
    {"line", "line", {"'{1,2,3}'"}},
    {"lseg", "lseg", {"'((0,0),(1,1))'"}},
    {"path", "path", {"'((0,0),(1,1),(2,0))'", "'[(0,0),(1,1)]'"}},
    {"polygon", "polygon", {"'((0,0),(1,1),(2,0))'"}},
    {"circle", "circle", {"'<(0,0),1>'"}},
    {"int4range", "int4range", {"'[1,5)'", "'empty'", "'(,)'"}},
    {"int8range", "int8range", {"'[1,9223372036854775807)'"}},
    {"numrange", "numrange", {"'[1.5,2.50)'"}},
    {"tsrange", "tsrange", {"'[2024-01-01,2024-01-02 03:04:05.000006)'", "'[-infinity,infinity]'"}},
    {"tstzrange", "tstzrange", {"'[2024-01-01 00:00+05,2024-01-02 00:00+00)'"}},
    {"daterange", "daterange", {"'[2024-01-01,2024-01-05)'", "'[0044-03-15 BC,)'"}},
    {"multirange", "int4multirange", {"'{[1,3),[5,7)}'", "'{}'"}},
    {"citext", "citext", {"'CiText'"}},
    {"ltree", "ltree", {"'a.b.c'"}},
    {"enum", "mood%", {"'sad'", "'happy'", "'it''s \"odd\"'"}},
    {"domain", "posint%", {"5", "2147483647"}},
    {"composite", "addr%", {"'(main,123)'", "'(\"a, \"\"b\"\" \\\\ c\",)'"}},
    {"oid", "oid", {"0", "4294967295"}},
    {"tsvector", "tsvector", {"'a fat cat'", "'''it''''s'':1A ''b'':2'"}},
    {"pg_lsn", "pg_lsn", {"'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"}},
    {"char", "\"char\"", {"'z'"}},
    {"name", "name", {"'nme'"}},
};

}  // namespace

TEST_CASE("every scalar type, in a snapshot and streamed, is the same text on both sides") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string run = unique("");
  std::vector<std::string> tables;
  const auto column_type = [&](const Type& type) {
    const auto at = type.sql.find('%');
    return at == std::string::npos ? type.sql : type.sql.substr(0, at) + run;
  };
  for (Database* database : {&source, &target}) {
    database->exec("CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS ltree");
    database->exec("CREATE TYPE mood" + run +
                   " AS ENUM ('sad', 'happy', 'it''s \"odd\"');"
                   "CREATE DOMAIN posint" +
                   run +
                   " AS integer CHECK (VALUE > 0);"
                   "CREATE TYPE addr" +
                   run + " AS (street text, zip integer)");
  }
  const auto insert = [&](const std::string& table, int from,
                          const std::vector<std::string>& values) {
    for (const auto& value : values) {
      source.exec("INSERT INTO " + table + " VALUES (" + std::to_string(from++) + ", " + value +
                  ")");
    }
  };
  for (const auto& type : types) {
    const auto table = tables.emplace_back("t_" + type.name + run);
    const std::string id_and_v = "(id integer PRIMARY KEY, v " + column_type(type);
    source.exec("CREATE TABLE " + table + id_and_v + ")");
    target.exec("CREATE TABLE " + table + id_and_v + ", synced_at timestamptz)");
    insert(table, 1, type.values);
    insert(table, 0, {"NULL"});
  }
  const Connector connector{"types" + run, tables};
  const std::string pipeline = "types" + run;
  DaemonConfig config{pipeline, {}};
  for (const auto& table : tables) config.topics.push_back(connector.topic(table));
  Daemon daemon{pipeline, config};

  eventually(seconds{90}, "the snapshot of all tables", [&]() -> std::string {
    const auto reading =
        target.number("SELECT count(DISTINCT topic) FROM lockstep.progress WHERE pipeline = '" +
                      pipeline + "'") +
        daemon.count_in_log("table stopped");
    return reading >= static_cast<long long>(tables.size()) ? ""
                                                            : std::to_string(reading) + " tables";
  });
  for (std::size_t i = 0; i < types.size(); ++i) {
    insert(tables[i], 100, types[i].values);
    insert(tables[i], 200, types[i].streamed_only);
    insert(tables[i], 300, {"NULL"});
    // An update to and from each value, too.
    source.exec("UPDATE " + tables[i] + " SET v = NULL WHERE id = 1");
    source.exec("UPDATE " + tables[i] + " SET v = (SELECT v FROM " + tables[i] +
                " WHERE id = 100) WHERE id = 0");
    source.exec("DELETE FROM " + tables[i] + " WHERE id = 2");
    // What comes last tells that all before it is there.
    source.exec("INSERT INTO " + tables[i] + " VALUES (999)");
  }
  std::ostringstream wrong;
  const auto stopped = [&](const std::string& table) {
    return daemon.logged("table stopped, the others go on pipeline=" + pipeline +
                         " topic=" + connector.topic(table) + " ");
  };
  for (std::size_t i = 0; i < types.size(); ++i) {
    eventually(seconds{60}, types[i].name + " is through", [&] {
      return target.number("SELECT count(*) FROM " + tables[i] + " WHERE id = 999") == 1 ||
             stopped(tables[i]);
    });
    if (!stopped(tables[i])) wrong << difference(source, target, tables[i]);
  }
  for (const auto& line : daemon.lines_with("table stopped")) wrong << line << "\n";
  INFO(wrong.str());
  CHECK(wrong.str().empty());
  CHECK(daemon.stop() == 0);
}
