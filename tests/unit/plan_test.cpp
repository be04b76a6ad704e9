#include "plan.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

namespace {

TargetColumn column(const std::string& name, const std::string& base_type, char kind = 'b') {
  return {name, base_type, base_type, "pg_catalog." + base_type, kind};
}

TargetColumn array(const std::string& name, const std::string& base_type, char kind = 'b') {
  auto column =
      postgres::TargetColumn{name, base_type + "[]", base_type, "pg_catalog." + base_type, kind};
  column.array_type = "pg_catalog._" + base_type;
  return column;
}

Column source(const std::string& name, ValueType type, const std::string& described = "described") {
  return {name, type, described, ""};
}

const Layout id_key{{source("id", ValueType::integer)}};

TargetTable users() {
  return {{"public", "users"},
          {column("id", "int8"), column("name", "text"), column("synced_at", "timestamptz")},
          {"id"}};
}

/// A table with primary key id and one more column v.
TargetTable table_with(const TargetColumn& v) {
  return {{"s", "t"}, {column("id", "int4"), v}, {"id"}};
}

/// One line each.
std::string error_of(const Result<StatementPlan, PlanErrors>& plan) {
  if (plan) return "no error: " + plan->sql;
  std::string lines;
  for (const auto& error : plan.error()) lines += (lines.empty() ? "" : "\n") + error.message;
  return lines;
}

}  // namespace

TEST_CASE("plan: an upsert is one statement for any number of rows") {
  const Layout row{{source("id", ValueType::integer), source("name", ValueType::text)}};

  SECTION("synced_at is the transaction's time") {
    const auto plan = plan_upsert(users(), row, id_key, "synced_at", Wire::binary);
    REQUIRE(plan);
    CHECK(plan->sql ==
          "INSERT INTO \"public\".\"users\" (\"id\", \"name\", \"synced_at\") "
          "SELECT u.c1, u.c2::pg_catalog.text, pg_catalog.now() "
          "FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int8[]), "
          "pg_catalog.unnest($2::pg_catalog.text[])) AS u(c1, c2) "
          "ON CONFLICT (\"id\") DO UPDATE SET \"name\" = excluded.\"name\", "
          "\"synced_at\" = excluded.\"synced_at\"");
    REQUIRE(plan->parameters.size() == 2);
    CHECK(plan->parameters[0].cell == 0);
    CHECK(plan->parameters[1].cell == 1);
  }
  SECTION("without synced_at and other columns there is nothing to update") {
    const auto plan = plan_upsert(users(), id_key, id_key, "", Wire::binary);
    REQUIRE(plan);
    CHECK(plan->sql ==
          "INSERT INTO \"public\".\"users\" (\"id\") SELECT u.c1 "
          "FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int8[])) AS u(c1) "
          "ON CONFLICT (\"id\") DO NOTHING");
  }
  SECTION("a generated column is left to the target, an identity is written") {
    auto table = users();
    table.columns[0].identity_always = true;
    table.columns[1].generated = true;
    const auto plan = plan_upsert(table, row, id_key, "", Wire::binary);
    REQUIRE(plan);
    CHECK(plan->sql ==
          "INSERT INTO \"public\".\"users\" (\"id\") OVERRIDING SYSTEM VALUE "
          "SELECT u.c1 FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int8[])) AS u(c1) "
          "ON CONFLICT (\"id\") DO NOTHING");
  }
  SECTION("an identity outside the key can't be updated: rows in which it differs are made anew") {
    auto table = users();
    table.columns[1].base_type = "int8";
    table.columns[1].cast_type = "pg_catalog.int8";
    table.columns[1].identity_always = true;
    const Layout numbers{{source("id", ValueType::integer), source("name", ValueType::integer)}};
    const auto plan = plan_upsert(table, numbers, id_key, "", Wire::binary);
    REQUIRE(plan);
    CHECK_THAT(plan->sql, ContainsSubstring("ON CONFLICT (\"id\") DO NOTHING"));
    CHECK(plan->before ==
          "DELETE FROM \"public\".\"users\" AS t USING "
          "ROWS FROM (pg_catalog.unnest($1::pg_catalog.int8[]), "
          "pg_catalog.unnest($2::pg_catalog.int8[])) AS u(c1, c2) "
          "WHERE t.\"id\" OPERATOR(pg_catalog.=) u.c1 AND (t.\"name\" <> u.c2)");
  }
  SECTION("names are quoted, whatever is in them") {
    const TargetTable table{{"my schema", "a\"b"}, {column("I d", "int4")}, {"I d"}};
    const Layout key{{source("I d", ValueType::integer)}};
    const auto plan = plan_upsert(table, key, key, "", Wire::binary);
    REQUIRE(plan);
    CHECK_THAT(plan->sql, ContainsSubstring("INSERT INTO \"my schema\".\"a\"\"b\" (\"I d\")"));
  }
}

TEST_CASE("plan: a delete finds rows by all columns of the key") {
  const TargetTable table{{"s", "t"}, {column("a", "int4"), column("b", "text")}, {"a", "b"}};
  const Layout key{{source("b", ValueType::text), source("a", ValueType::integer)}};
  const auto plan = plan_remove(table, key, Wire::binary);
  REQUIRE(plan);
  CHECK(plan->sql ==
        "DELETE FROM \"s\".\"t\" AS t USING "
        "ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), "
        "pg_catalog.unnest($2::pg_catalog.int4[])) AS u(c1, c2) "
        "WHERE t.\"b\" OPERATOR(pg_catalog.=) u.c1::pg_catalog.text AND "
        "t.\"a\" OPERATOR(pg_catalog.=) u.c2");
}

TEST_CASE("plan: how a value gets into the target's type") {
  struct Case {
    std::string_view name;
    ValueType from;
    TargetColumn to;
    std::string expression;
    Element element = Element::text;
  };
  const Case cases[] = {
      {"an integer in binary", ValueType::integer, column("v", "int2"), "u.c2", Element::int2},
      {"an integer for another type", ValueType::integer, column("v", "oid"),
       "u.c2::pg_catalog.oid"},
      {"a decimal", ValueType::numeric, column("v", "numeric"), "u.c2::pg_catalog.numeric"},
      {"money goes through numeric, which knows no locale", ValueType::numeric,
       column("v", "money"), "u.c2::pg_catalog.numeric::pg_catalog.money"},
      {"bytes stay bytes", ValueType::bytes, column("v", "bytea"), "u.c2", Element::bytea},
      {"a box comes as the bytes of its text", ValueType::bytes, column("v", "box"),
       "u.c2::pg_catalog.box"},
      {"so does a multirange", ValueType::bytes, column("v", "int4multirange", 'm'),
       "u.c2::pg_catalog.int4multirange"},
      {"bit(1) comes as a boolean", ValueType::boolean, column("v", "bit"),
       "u.c2::pg_catalog.bool::pg_catalog.int4::bit(1)"},
      {"an enum comes as its label", ValueType::text, column("v", "mood", 'e'),
       "u.c2::pg_catalog.mood"},
      {"a range comes as its text", ValueType::text, column("v", "tsrange", 'r'),
       "u.c2::pg_catalog.tsrange"},
      {"a timestamp with time zone", ValueType::timestamptz, column("v", "timestamptz"), "u.c2",
       Element::timestamptz},
      {"a date", ValueType::date, column("v", "date"), "u.c2::pg_catalog.date"},
      {"text takes anything that is text", ValueType::interval, column("v", "text"),
       "u.c2::pg_catalog.text"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const Layout row{{source("id", ValueType::integer), source("v", c.from)}};
      const auto plan = plan_upsert(table_with(c.to), row, id_key, "", Wire::binary);
      REQUIRE(plan);
      CHECK_THAT(plan->sql, ContainsSubstring("SELECT u.c1, " + c.expression + " FROM"));
      CHECK(plan->parameters[1].element == c.element);
      const bool is_money = c.to.base_type == "money";  // it has two digits after the point
      const auto& fits = plan->parameters[1].fits;
      if (is_money) {
        REQUIRE(fits.size() == 1);
        CHECK(fits[0].rule == Fit::Rule::decimals);
      } else {
        CHECK(fits.empty());
      }
    }
  }
}

TEST_CASE("plan: what would be a guess is refused, with column, types and what to do") {
  struct Case {
    std::string_view name;
    ValueType from;
    TargetColumn to;
    std::string want;
  };
  const Case cases[] = {
      {"a timestamp without zone is no moment", ValueType::timestamp, column("v", "timestamptz"),
       "has column \"v\" (timestamptz), which can't take the source's described: make it "
       "timestamp"},
      {"a moment has no local time", ValueType::timestamptz, column("v", "timestamp"),
       "has column \"v\" (timestamp), which can't take the source's described: make it "
       "timestamptz"},
      {"a double has lost the decimal's digits", ValueType::floating, column("v", "numeric"),
       "has column \"v\" (numeric), which can't take the source's described: digits may be lost "
       "already; set decimal.handling.mode=string on the connector"},
      {"text for bytea may be hex or base64", ValueType::text, column("v", "bytea"),
       "has column \"v\" (bytea), which can't take the source's described: hex and base64 can't "
       "be told apart; say connector: {binary.handling.mode: …} in the pipeline's configuration, "
       "or "
       "set binary.handling.mode=bytes on the connector"},
      {"an integer for a date may be days or seconds", ValueType::integer, column("v", "date"),
       "has column \"v\" (date), which can't take the source's described: make it bigint"},
      {"schemaless bytes", ValueType::untyped, column("v", "bytea"),
       "has column \"v\" (bytea), which can't take the source's described: a schemaless message "
       "does not say how its bytes are written; say connector: {binary.handling.mode: …} in the "
       "pipeline's configuration"},
      {"a bit varying has lost its length", ValueType::bits, column("v", "varbit"),
       "has column \"v\" (varbit), which can't take the source's described: its length "
       "is lost; set datatype.propagate.source.type=.+ on the connector, which then tells a bit "
       "varying by name"},
      {"a text is no array", ValueType::text, array("v", "int4"),
       "has column \"v\" (int4[]), which can't take the source's described: make it text"},
      {"a number is no text for hstore", ValueType::integer, column("v", "hstore"),
       "has column \"v\" (hstore), which can't take the source's described: make it bigint"},
      {"a bit varying is no bit string of a length", ValueType::varbits, column("v", "bit"),
       "has column \"v\" (bit), which can't take the source's described: make it bit varying"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const Layout row{{source("id", ValueType::integer), source("v", c.from)}};
      CHECK(error_of(plan_upsert(table_with(c.to), row, id_key, "", Wire::binary)) == c.want);
    }
  }
}

TEST_CASE("plan: a schemaless number is no time, a schemaless text may be one") {
  const Layout row{{source("id", ValueType::untyped), source("v", ValueType::untyped)}};
  for (const auto* type : {"time", "timetz", "timestamp", "timestamptz"}) {
    const auto plan = plan_upsert(table_with(column("v", type)), row, id_key, "", Wire::binary);
    REQUIRE(plan);
    CHECK(plan->parameters[0].fits.empty());
    REQUIRE(plan->parameters[1].fits.size() == 1);
    CHECK(plan->parameters[1].fits[0].rule == Fit::Rule::text);
  }
  SECTION("unless it is of days") {
    const auto plan = plan_upsert(table_with(column("v", "date")), row, id_key, "", Wire::binary);
    REQUIRE(plan);
    CHECK(plan->parameters[1].fits.empty());
  }
  SECTION("unless the mode is told") {
    ConnectorModes modes;
    modes.time = ConnectorModes::Time::microseconds;
    const auto plan =
        plan_upsert(table_with(column("v", "timestamp")), row, id_key, "", Wire::binary, modes);
    REQUIRE(plan);
    CHECK(plan->parameters[1].fits.empty());
  }
}

TEST_CASE("plan: arrays are cast as a whole, or element by element where that takes more") {
  struct Case {
    std::string_view name;
    ValueType from;
    TargetColumn to;
    std::string expression;
  };
  const auto each = [](const std::string& expression, const std::string& of) {
    return "CASE WHEN u.c2 IS NULL THEN NULL ELSE ARRAY(SELECT " + expression +
           " FROM pg_catalog.unnest(u.c2::pg_catalog." + of +
           ") WITH ORDINALITY AS x(e, n) ORDER BY x.n) END";
  };
  const Case cases[] = {
      {"of numbers", ValueType::integer, array("v", "int4"),
       "u.c2::pg_catalog._text::pg_catalog._int4"},
      {"of enums", ValueType::text, array("v", "mood", 'e'),
       "u.c2::pg_catalog._text::pg_catalog._mood"},
      {"of money", ValueType::numeric, array("v", "money"),
       each("x.e::pg_catalog.numeric::pg_catalog.money", "_text")},
      {"of bytes", ValueType::bytes, array("v", "bytea"), each("x.e", "_bytea")},
      {"of what arrives as the bytes of its text", ValueType::bytes, array("v", "box"),
       each("pg_catalog.convert_from(x.e, 'UTF8')::pg_catalog.box", "_bytea")},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      Layout row{{source("id", ValueType::integer), source("v", c.from)}};
      row.columns[1].is_array = true;
      const auto plan = plan_upsert(table_with(c.to), row, id_key, "", Wire::binary);
      REQUIRE(plan);
      CHECK_THAT(plan->sql, ContainsSubstring("SELECT u.c1, " + c.expression + " FROM ROWS"));
      CHECK(plan->parameters[1].element == Element::text);
      CHECK(error_of(plan_upsert(table_with(column("v", "int4")), row, id_key, "", Wire::binary))
                .starts_with("has column \"v\" (int4), which can't take"));
    }
  }
}

TEST_CASE("plan: a table that does not fit is told how to make it fit") {
  const Layout row{{source("id", ValueType::integer), source("city", ValueType::text, "string")}};
  SECTION("a column that the target lacks") {
    CHECK(error_of(plan_upsert(users(), row, id_key, "synced_at", Wire::binary)) ==
          "has no column \"city\" (string at the source): add it");
  }
  SECTION("no synced_at") {
    CHECK(error_of(plan_upsert(users(), id_key, id_key, "stamped", Wire::binary)) ==
          "has no column \"stamped\": set synced_at: \"\" in the pipeline's sink, or add it "
          "(timestamptz)");
  }
  SECTION("no primary key") {
    auto table = users();
    table.primary_key.clear();
    CHECK(error_of(plan_remove(table, id_key, Wire::binary)) ==
          "has no primary key: add one on (id)");
  }
  SECTION("another primary key than the records'") {
    auto table = users();
    table.primary_key = {"id", "name"};
    table.unique_keys = {{"users_pkey", {"id", "name"}}};
    CHECK(error_of(plan_upsert(table, id_key, id_key, "", Wire::binary)) ==
          "has primary key (id, name) but the records' key is (id): ALTER TABLE "
          "\"public\".\"users\" DROP CONSTRAINT \"users_pkey\", ADD PRIMARY KEY (\"id\"), or set "
          "message.key.columns on the connector; a unique index on (id) will do, too, if all its "
          "columns are NOT NULL");
  }
  SECTION("a column that nothing gives a value, but for one that is stamped") {
    auto table = users();
    for (auto& one : table.columns) one.wants_value = true;
    CHECK(error_of(plan_upsert(table, id_key, id_key, "synced_at", Wire::binary)) ==
          "has column \"name\" (text), NOT NULL without a default, which the source does not "
          "send: give it a default, or drop NOT NULL");
    CHECK(plan_remove(table, id_key, Wire::binary));
  }
  SECTION("all of it at once") {
    auto table = table_with(column("v", "bytea"));
    table.primary_key = {"v"};
    const Layout wrong{{source("id", ValueType::integer), source("v", ValueType::text, "string"),
                        source("w", ValueType::text, "string")}};
    CHECK(
        error_of(plan_upsert(table, wrong, id_key, "stamped", Wire::binary)) ==
        "has primary key (v) but the records' key is (id): ALTER TABLE \"s\".\"t\" ADD PRIMARY "
        "KEY (\"id\"), or set "
        "message.key.columns on the connector; a unique index on (id) will do, too, if all its "
        "columns are NOT NULL\n"
        "has no column \"stamped\": set synced_at: \"\" in the pipeline's sink, or add it "
        "(timestamptz)\n"
        "has column \"v\" (bytea), which can't take the source's string: hex and base64 can't be "
        "told apart; say connector: {binary.handling.mode: …} in the pipeline's configuration, or "
        "set binary.handling.mode=bytes on the connector\n"
        "has no column \"w\" (string at the source): add it");
  }
}

TEST_CASE("plan: the text form of a statement leaves all reading to the target") {
  const Layout row{{source("id", ValueType::integer), source("v", ValueType::timestamp)}};
  const auto plan = plan_upsert(table_with(column("v", "timestamp")), row, id_key, "", Wire::text);
  REQUIRE(plan);
  CHECK_THAT(plan->sql,
             ContainsSubstring("SELECT u.c1::pg_catalog.int4, u.c2::pg_catalog.timestamp FROM "
                               "ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), "
                               "pg_catalog.unnest($2::pg_catalog.text[]))"));
  CHECK(plan->parameters[1].element == Element::text);
}
