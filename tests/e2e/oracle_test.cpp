// Random values of every type, made by PostgreSQL and rendered by it on both sides.
#include "catch.hpp"
#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "seed.hpp"
#include "stack.hpp"

using namespace lockstep::test;

namespace {

/// What arrays of a type may hold: what no setting of the connector keeps would only hide the rest.
enum class Arrays { with_nulls, without_nulls, none };

struct Random {
  std::string type;   ///< % stands for what makes a name unique
  std::string value;  ///< an SQL expression; text%() is a short random text
  Arrays arrays = Arrays::with_nulls;
  std::string element{};  ///< of an array, where it must be another than `value`
};

std::string whole(const std::string& from, const std::string& count) {
  return "(floor(random() * " + count + ")::int8 + " + from + ")";
}

const std::vector<Random> random_columns{
    {"boolean", "random() < 0.5"},
    {"smallint", whole("-32768", "65536") + "::int2"},
    {"integer", whole("-2147483648", "4294967296") + "::int4"},
    {"bigint", "(" + whole("0", "4294967296") + " << 32 | " + whole("0", "4294967296") + ")"},
    {"oid", whole("0", "4294967296") + "::oid"},
    {"real", "((random() * 2 - 1) * power(10, random() * 70 - 35))::float4"},
    {"double precision", "(random() * 2 - 1) * power(10, random() * 600 - 300)"},
    {"numeric", "round(" + whole("-500000000000000", "1e15") +
                    "::numeric / power(7::numeric, (random() * 30)::int), (random() * 40)::int)"},
    {"numeric(12,3)", "((random() * 2 - 1) * 1e8)::numeric(12,3)"},
    {"money", "((random() * 2 - 1) * 1e9)::numeric::money", Arrays::none},
    {"text", "text%()"},
    {"varchar(12)", "left(text%(), 12)::varchar(12)"},
    {"char(12)", "left(text%(), 12)::char(12)"},
    {"citext", "text%()::citext"},
    {"bytea", "substr(decode(md5(random()::text), 'hex'), 1, (random() * 16)::int)"},
    {"bit(9)", whole("0", "512") + "::int4::bit(9)", Arrays::none},
    {"date", "'0001-01-01'::date + " + whole("0", "3000000") + "::int4"},
    {"time", "'00:00'::time + random() * interval '24 hours'", Arrays::with_nulls,
     "date_trunc('milliseconds', random() * interval '23 hours')::time"},
    // In arrays the ten days that the Julian calendar does not have are lost.
    {"timestamp", "'0001-01-01'::timestamp + random() * interval '8000 years'", Arrays::with_nulls,
     "CASE WHEN random() < 0.5 THEN '0001-01-01'::timestamp + random() * interval '1581 years' "
     "ELSE "
     "'1583-01-01'::timestamp + random() * interval '6400 years' END"},
    {"timestamp(2)", "('1970-01-01'::timestamp + random() * interval '90 years')::timestamp(2)"},
    {"timestamptz", "'0001-01-01'::timestamptz + random() * interval '8000 years'",
     Arrays::with_nulls, "'0001-01-01'::timestamptz + random() * interval '8000 years'"},
    {"interval",
     "make_interval(months => " + whole("-500", "1000") + "::int4, days => " +
         whole("-500", "1000") + "::int4) + (random() - 0.5) * interval '200 hours'",
     Arrays::none},
    {"uuid", "md5(random()::text)::uuid"},
    {"json", "json_build_object('k', text%(), 'n', random())"},
    {"jsonb", "jsonb_build_array(text%(), random(), NULL)"},
    {"inet", "'10.0.0.0/8'::inet + " + whole("0", "1000000")},
    {"macaddr", "substr(md5(random()::text), 1, 12)::macaddr"},
    {"point", "point(random() * 1e9, random() / 7)", Arrays::none},
    {"box", "box(point(random() * 1e9, random()), point(-random(), -random()))",
     Arrays::without_nulls},
    {"circle", "circle(point(random(), random() * 1e9), random())", Arrays::without_nulls},
    {"int4range", "int4range((random() * 9)::int, (random() * 9)::int + 9, '[]')"},
    {"tstzrange", "tstzrange('epoch', 'epoch'::timestamptz + random() * interval '90 years')"},
    {"nummultirange", "nummultirange(numrange(NULL, random()::numeric))", Arrays::without_nulls},
    {"mood%", "(ARRAY['sad', 'it''s \"odd\"'])[1 + (random())::int]::mood%", Arrays::without_nulls},
    {"addr%", "ROW(text%(), (random() * 9)::int)::addr%", Arrays::without_nulls},
    {"hstore", "hstore(text%(), CASE WHEN random() < 0.8 THEN text%() END)"},
    {"tsvector", "array_to_tsvector(ARRAY['b ' || text%(), 'a'])", Arrays::without_nulls},
    {"pg_lsn", "'0/0'::pg_lsn + " + whole("0", "1e15") + "::numeric", Arrays::without_nulls},
};

constexpr int rows_of_a_batch = 300;

struct OracleModes {
  std::string name;
  Connector::Settings connector;
  Connector::Settings told;  ///< in the pipeline's configuration
};

const std::vector<OracleModes> oracle_modes{
    {"file", {}, {}},
    {"strings",
     {{"time.precision.mode", "isostring"}, {"binary.handling.mode", "hex"}},
     {{"binary.handling.mode", "hex"}}},
    {"bare",
     {{"time.precision.mode", "microseconds"},
      {"hstore.handling.mode", "map"},
      {"key.converter", "org.apache.kafka.connect.json.JsonConverter"},
      {"key.converter.schemas.enable", "false"},
      {"value.converter", "org.apache.kafka.connect.json.JsonConverter"},
      {"value.converter.schemas.enable", "false"},
      {"value.converter.replace.null.with.default", "false"}},
     {{"time.precision.mode", "microseconds"},
      {"decimal.handling.mode", "string"},
      {"binary.handling.mode", "bytes"}}},
};

/// The columns' definitions, and an expression for each that makes values. Defines functions.
struct Generated {
  std::string definitions;
  std::string names;
  std::string values;
};

Generated generate(Database& source, const std::string& run) {
  const auto named = [&](std::string sql) {
    for (auto at = sql.find('%'); at != std::string::npos; at = sql.find('%')) {
      sql.replace(at, 1, run);
    }
    return sql;
  };
  // Volatile functions: called for each row and element.
  source.exec(
      named("CREATE FUNCTION text%() RETURNS text LANGUAGE sql VOLATILE AS $f$ SELECT "
            "coalesce(string_agg("
            "(ARRAY['a','Z','0',' "
            "',',','{','}','\"','\\','''','NULL','ä','😀',E'\\n',E'\\t',E'\\x01','=>',"
            "'(',')',':','_'])[1 + floor(random() * 21)::int], ''), '') FROM generate_series(1, "
            "(random() * 9)::int) $f$"));
  Generated made;
  for (std::size_t i = 0; i < random_columns.size(); ++i) {
    const auto& column = random_columns[i];
    const auto type = named(column.type);
    const auto n = std::to_string(i);
    made.definitions += ", s" + n + " " + type;
    made.names += ", s" + n;
    made.values += ", CASE WHEN random() < 0.9 THEN " + named(column.value) + " END";
    if (column.arrays == Arrays::none) continue;
    const auto element = named(column.element.empty() ? column.value : column.element);
    const bool with_nulls = column.arrays == Arrays::with_nulls;
    source.exec("CREATE FUNCTION a" + n + run + "(size int) RETURNS " + type +
                "[] LANGUAGE sql VOLATILE AS $f$ SELECT coalesce(array_agg(" +
                (with_nulls ? "CASE WHEN random() < 0.8 THEN " + element + " END" : element) +
                "), '{}')::" + type + "[] FROM generate_series(1, size) $f$");
    made.definitions += ", a" + n + " " + type + "[]";
    made.names += ", a" + n;
    made.values += ", a" + n + run + "((random() * 4)::int)";
  }
  return made;
}

}  // namespace

TEST_CASE("random values of every type, alone and in arrays, are the same text on both sides") {
  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const auto seeded = new_seed();
  INFO("LOCKSTEP_SEED=" << seeded);
  const std::string run = unique("");
  for (Database* database : {&source, &target}) {
    database->exec(
        "CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;"
        "CREATE TYPE mood" +
        run + " AS ENUM ('sad', 'it''s \"odd\"'); CREATE TYPE addr" + run +
        " AS (street text, zip integer)");
  }
  const auto made = generate(source, run);
  const std::string create = " (id integer PRIMARY KEY" + made.definitions;
  std::vector<std::string> tables;
  for (const auto& modes : oracle_modes) {
    const auto& table = tables.emplace_back("oracle_" + modes.name + run);
    source.exec("CREATE TABLE " + table + create + ")");
    target.exec("CREATE TABLE " + table + create + ", synced_at timestamptz)");
  }
  const auto insert = [&](int from) {
    const auto to = std::to_string(from + rows_of_a_batch - 1);
    source.exec("INSERT INTO " + tables[0] + " (id" + made.names + ") SELECT g" + made.values +
                " FROM generate_series(" + std::to_string(from) + ", " + to + ") g");
    for (std::size_t i = 1; i < tables.size(); ++i) {
      source.exec("INSERT INTO " + tables[i] + " SELECT * FROM " + tables[0] +
                  " WHERE id BETWEEN " + std::to_string(from) + " AND " + to);
    }
  };
  source.exec("SELECT setseed(" + std::to_string(seeded % 1'000'000U) + " / 1e6)");
  insert(0);
  std::vector<std::unique_ptr<Connector>> connectors;
  std::vector<DaemonConfig> configs;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    connectors.push_back(
        std::make_unique<Connector>(tables[i], std::vector{tables[i]}, oracle_modes[i].connector));
    DaemonConfig config{tables[i], {connectors.back()->topic(tables[i])}};
    config.connector = oracle_modes[i].told;
    configs.push_back(config);
  }
  Daemon daemon{"oracle" + run, configs};
  for (const auto& table : tables) await_equal(source, target, table);
  insert(rows_of_a_batch);
  for (const auto& table : tables) {
    source.exec("UPDATE " + table + " AS t SET (" + made.names.substr(2) + ") = (SELECT " +
                made.names.substr(2) + " FROM " + table + " AS o WHERE o.id = t.id + " +
                std::to_string(rows_of_a_batch) + ") WHERE id < " +
                std::to_string(rows_of_a_batch));
  }
  for (const auto& table : tables) await_equal(source, target, table);
  CHECK(daemon.count_in_log("table stopped") == 0);
  CHECK(daemon.stop() == 0);
}
