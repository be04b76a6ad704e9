#include "ddl.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

namespace {

constexpr std::int32_t unlimited = 2147483647;

/// A column as Debezium tells it with datatype.propagate.source.type.
Column told(const std::string& declared, ValueType type,
            std::optional<std::int32_t> length = unlimited, std::optional<std::int32_t> scale = 0) {
  Column column{"v", type, "described", declared};
  column.declared = declared;
  column.length = length;
  column.scale = scale;
  return column;
}

TargetColumn made(const Column& source) {
  const auto own = own_type(source);
  REQUIRE(own);
  return own->column;
}

}  // namespace

TEST_CASE("ddl: a column gets the type that its source has") {
  struct Case {
    Column column;
    std::string want;
  };
  const Case cases[] = {
      {told("INT4", ValueType::integer, 10), "int4"},
      {told("SERIAL", ValueType::integer, 10), "int4"},
      {told("BIGSERIAL", ValueType::integer, 19), "int8"},
      {told("NUMERIC", ValueType::numeric, 0, std::nullopt), "numeric"},
      {told("NUMERIC", ValueType::numeric, 131089), "numeric"},
      {told("NUMERIC", ValueType::numeric, 10, 2), "numeric(10,2)"},
      {told("NUMERIC", ValueType::numeric, 5, 0), "numeric(5,0)"},
      {told("NUMERIC", ValueType::numeric, 3, 2046), "numeric(3,-2)"},
      {told("NUMERIC", ValueType::numeric, 3, 5), "numeric(3,5)"},
      {told("BPCHAR", ValueType::text, 5), "bpchar(5)"},
      {told("BPCHAR", ValueType::text), "bpchar"},
      {told("VARCHAR", ValueType::text, 20), "varchar(20)"},
      {told("VARCHAR", ValueType::text), "varchar"},
      {told("CHAR", ValueType::text, 1), "\"char\""},
      {told("BIT", ValueType::bits, 5), "bit(5)"},
      {told("VARBIT", ValueType::unsupported), "varbit"},
      {told("VARBIT", ValueType::unsupported, 7), "varbit(7)"},
      {told("TIME", ValueType::time, 15, 6), "time"},
      {told("TIMESTAMP", ValueType::timestamp, 26, 3), "timestamp(3)"},
      {told("TIMESTAMPTZ", ValueType::timestamptz, 28, 0), "timestamptz(0)"},
      {told("INTERVAL", ValueType::interval, 49, 65535), "interval"},
      {told("INTERVAL", ValueType::interval, 49, 3), "interval(3)"},
      {told("INT4MULTIRANGE", ValueType::bytes), "int4multirange"},
      {told("TSTZRANGE", ValueType::text), "tstzrange"},
      {told("PG_LSN", ValueType::bytes), "pg_lsn"},
      {told("JSONB", ValueType::text), "jsonb"},
  };
  for (const auto& c : cases) {
    const auto own = own_type(c.column);
    REQUIRE(own);
    CHECK(own->sql == c.want);
  }
}

TEST_CASE("ddl: a type that the target can't have is one that takes all values") {
  struct Case {
    Column column;
    std::string want;
  };
  const Case cases[] = {
      {told("MOOD", ValueType::text), "text"},
      {told("POSINT", ValueType::integer, 10), "int8"},
      {told("MONEY2", ValueType::numeric, 12, 2), "numeric"},
      {told("ADDR", ValueType::bytes), "text"},
      {told("REGCLASS", ValueType::bytes), "text"},
      {told("XID", ValueType::unsupported), "text"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.column.declared);
    CHECK_FALSE(own_type(c.column));
    CHECK(any_type(c.column).sql == c.want);
  }
  Column plain{"v", ValueType::bytes, "bytes", ""};
  plain.declared = "BYTEA";
  CHECK(own_type(plain)->sql == "bytea");
}

TEST_CASE("ddl: which changes of a type PostgreSQL makes without changing a value") {
  struct Case {
    Column have, want;
    TypeFit fit;
  };
  const auto number = [](std::int32_t precision, std::int32_t scale) {
    return told("NUMERIC", ValueType::numeric, precision, scale);
  };
  const auto any_number = told("NUMERIC", ValueType::numeric, 0, std::nullopt);
  const auto text = [](const std::string& type, std::int32_t length = unlimited) {
    return told(type, ValueType::text, length);
  };
  const auto whole = [](const std::string& type) { return told(type, ValueType::integer, 10); };
  const auto time = [](std::int32_t precision) {
    return told("TIMESTAMP", ValueType::timestamp, 29, precision);
  };
  const Case cases[] = {
      {whole("INT2"), whole("INT4"), TypeFit::widens},
      {whole("INT4"), whole("INT8"), TypeFit::widens},
      {whole("INT8"), whole("INT4"), TypeFit::same},
      {whole("INT4"), whole("SERIAL"), TypeFit::same},
      {whole("INT8"), any_number, TypeFit::widens},
      {whole("INT4"), number(10, 0), TypeFit::widens},
      {whole("INT4"), number(10, 2), TypeFit::another},
      {whole("INT4"), number(12, 2), TypeFit::widens},
      {whole("INT4"), text("TEXT"), TypeFit::another},
      {number(10, 2), number(12, 2), TypeFit::widens},
      {number(10, 2), number(12, 4), TypeFit::widens},
      {number(10, 2), number(10, 4), TypeFit::another},
      {number(10, 2), number(8, 2), TypeFit::same},
      {number(10, 2), any_number, TypeFit::widens},
      {any_number, number(10, 2), TypeFit::same},
      {number(3, 2046), number(5, 2046), TypeFit::widens},
      {number(3, 2046), number(5, 0), TypeFit::widens},
      {told("FLOAT4", ValueType::floating, 8, 8), told("FLOAT8", ValueType::floating, 17, 17),
       TypeFit::widens},
      {text("VARCHAR", 20), text("VARCHAR", 21), TypeFit::widens},
      {text("VARCHAR", 20), text("VARCHAR", 19), TypeFit::same},
      {text("VARCHAR", 20), text("VARCHAR"), TypeFit::widens},
      {text("VARCHAR"), text("VARCHAR", 20), TypeFit::same},
      {text("VARCHAR", 20), text("TEXT"), TypeFit::widens},
      {text("BPCHAR", 5), text("BPCHAR", 6), TypeFit::widens},
      {text("BPCHAR", 5), text("TEXT"), TypeFit::widens},
      {text("TEXT"), text("BPCHAR", 5), TypeFit::another},
      {time(3), time(6), TypeFit::widens},
      {time(6), time(3), TypeFit::same},
      {told("INTERVAL", ValueType::interval, 49, 65535),
       told("INTERVAL", ValueType::interval, 49, 6), TypeFit::same},
      {told("BIT", ValueType::bits, 5), told("BIT", ValueType::bits, 6), TypeFit::another},
      {told("VARBIT", ValueType::unsupported, 5), told("VARBIT", ValueType::unsupported, 6),
       TypeFit::widens},
      {told("DATE", ValueType::date, 13), time(6), TypeFit::another},
  };
  for (const auto& c : cases) {
    CAPTURE(made(c.have).type, made(c.want).type);
    CHECK(compare(made(c.have), made(c.want)) == c.fit);
  }
  auto domain = made(whole("INT4"));
  domain.is_domain = true;
  CHECK(compare(domain, made(whole("INT8"))) == TypeFit::another);
}

TEST_CASE("ddl: a table is made with its key, what may be NULL, and the stamp") {
  const auto column = [](const std::string& name, const std::string& declared, ValueType type,
                         bool optional) {
    Column made = told(declared, type);
    made.name = name;
    made.optional = optional;
    return made;
  };
  const Layout row{{column("a", "INT4", ValueType::integer, false),
                    column("B\"b", "TEXT", ValueType::text, true),
                    column("c", "TEXT", ValueType::text, false)}};
  const Layout key{{column("c", "TEXT", ValueType::text, false),
                    column("a", "INT4", ValueType::integer, false)}};
  std::vector<ColumnType> types;
  for (const auto& one : row.columns) types.push_back(*own_type(one));
  CHECK(create_table({"s", "t"}, row, types, &key, "at") ==
        R"(CREATE TABLE "s"."t" ("a" int4 NOT NULL, "B""b" text, "c" text NOT NULL, )"
        R"("at" timestamptz, PRIMARY KEY ("c", "a")))");
  CHECK(create_table({"s", "t"}, row, types, nullptr, "") ==
        R"(CREATE TABLE "s"."t" ("a" int4 NOT NULL, "B""b" text, "c" text NOT NULL))");
  CHECK(quote_text("it's") == "'it''s'");
}
