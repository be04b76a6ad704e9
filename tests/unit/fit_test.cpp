#include "fit.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

TEST_CASE("fit: what the target's column would round or cut") {
  using Rule = Fit::Rule;
  struct Case {
    Rule rule;
    int limit;
    std::string_view value;
    bool fits;
  };
  const std::string sixty_three(63, 'x');
  const Case cases[] = {
      {Rule::decimals, 1, "1.2", true},
      {Rule::decimals, 1, "1.25", false},
      {Rule::decimals, 1, "1.200", true},
      {Rule::decimals, 1, "-0.05", false},
      {Rule::decimals, 0, "0.00", true},
      {Rule::decimals, 0, "NaN", true},
      {Rule::decimals, 2, "125E-2", true},
      {Rule::decimals, 2, "1.25E-1", false},
      {Rule::decimals, 0, "1.25E2", true},
      {Rule::decimals, -2, "300", true},
      {Rule::decimals, -2, "310", false},
      {Rule::decimals, -2, "3E+2", true},
      {Rule::second_decimals, 3, "12:00:00.123", true},
      {Rule::second_decimals, 3, "2024-01-01 12:00:00.1230+00 BC", true},
      {Rule::second_decimals, 3, "2024-01-01 12:00:00.1234+00", false},
      {Rule::second_decimals, 0, "P0Y0M0DT0H0M0.5S", false},
      {Rule::second_decimals, 0, "infinity", true},
      {Rule::interval_field, Fit::years, "P2Y0M0DT0H0M0S", true},
      {Rule::interval_field, Fit::years, "P1Y12M", true},
      {Rule::interval_field, Fit::years, "P1Y2M", false},
      {Rule::interval_field, Fit::months, "P-1Y3M0DT0H0M0S", true},
      {Rule::interval_field, Fit::months, "P0Y3M1DT0H0M0S", false},
      {Rule::interval_field, Fit::days, "P0Y3M1DT0H0M0S", true},
      {Rule::interval_field, Fit::days, "P0Y0M0DT0H0M0.000001S", false},
      {Rule::interval_field, Fit::hours, "P0Y0M0DT1H60M0S", true},
      {Rule::interval_field, Fit::hours, "P0Y0M0DT1H30M0S", false},
      {Rule::interval_field, Fit::minutes, "P0Y0M0DT1H30M60S", true},
      {Rule::interval_field, Fit::minutes, "P0Y0M0DT9000000000H0M0S", false},
      {Rule::interval_field, Fit::minutes, "9000000000:00:00", false},
      {Rule::interval_field, Fit::minutes, "-9223372036854:00:00", false},
      {Rule::interval_field, Fit::minutes, "P0Y0M0DT0H0M-0.5S", false},
      {Rule::interval_field, Fit::hours, "-2 days -03:00:00", true},
      {Rule::interval_field, Fit::hours, "-2 days -03:00:00.5", false},
      {Rule::interval_field, Fit::days, "2 days 00:00:00", true},
      {Rule::interval_field, Fit::minutes, "60000000", true},
      {Rule::interval_field, Fit::minutes, "-60000001", false},
      {Rule::interval_field, Fit::minutes, "what", false},
      {Rule::bytes, 63, std::string_view{sixty_three}, true},
      {Rule::bytes, 62, std::string_view{sixty_three}, false},
      {Rule::bytes, 1, "\xc3\xa4", false},
      {Rule::multiple, 1000, "1704067200123000", true},
      {Rule::multiple, 1000, "-1", false},
      {Rule::characters, 3, "abc", true},
      {Rule::characters, 3, "äöü", true},
      {Rule::characters, 3, "abc ", false},
      {Rule::characters, 3, "äöü  ", false},
      {Rule::characters, 3, "    ", false},
      {Rule::characters, 3, "abcd", true},  // the target refuses it
      {Rule::single_precision, 0, "0.1", true},
      {Rule::single_precision, 0, "16777217.0", false},
      {Rule::single_precision, 0, "0.10000000149011612", true},
      {Rule::single_precision, 0, "0.100000001", false},
      {Rule::single_precision, 0, "1.4E-45", true},
      {Rule::single_precision, 0, "1e-60", false},
      {Rule::single_precision, 0, "NaN", true},
      {Rule::single_precision, 9, "-0.0100000001e5", true},
      {Rule::single_precision, 9, "0.1000000001", false},
      {Rule::sure_decimal, 0, "10.50", true},
      {Rule::sure_decimal, 0, "123", true},
      {Rule::sure_decimal, 0, "1234", false},
  };
  for (const auto& c : cases) {
    INFO(static_cast<int>(c.rule) << " " << c.limit << " " << c.value);
    CHECK(fits({c.rule, c.limit}, Cell{c.value}) == c.fits);
  }
}

TEST_CASE("fit: a schemaless number") {
  const Cell number{"1234", Cell::Kind::bare_number};
  CHECK_FALSE(fits({Fit::Rule::text}, number));
  CHECK(fits({Fit::Rule::text}, Cell{"1234"}));
  CHECK(fits({Fit::Rule::sure_decimal}, number));
  CHECK(fits({Fit::Rule::day_micros}, number));
  CHECK(fits({Fit::Rule::day_micros}, Cell{"P1Y"}));
  CHECK_FALSE(fits({Fit::Rule::day_micros}, Cell{"86400000000", Cell::Kind::bare_number}));
  CHECK_FALSE(fits({Fit::Rule::day_micros}, Cell{"-86400000000", Cell::Kind::bare_number}));
  CHECK_FALSE(fits({Fit::Rule::second_decimals, 3}, number));  // an interval's microseconds
  CHECK(fits({Fit::Rule::second_decimals, 3}, Cell{"1000", Cell::Kind::bare_number}));
}

TEST_CASE("fit: all elements of an array") {
  const Fit numbers{Fit::Rule::decimals, 1, true};
  CHECK(fits(numbers, Cell{"{}"}));
  CHECK(fits(numbers, Cell{"{1.2,NULL,3.40}"}));
  CHECK_FALSE(fits(numbers, Cell{"{1.2,NULL,3.45}"}));
  CHECK_FALSE(fits(numbers, Cell{"[1.2,null,3.45]"}));
  CHECK(fits({Fit::Rule::interval_field, Fit::days, true}, Cell{"{NULL,P1D}"}));
  const Fit texts{Fit::Rule::characters, 3, true};
  CHECK(fits(texts, Cell{R"({"a,b","q\"",NULL})"}));
  CHECK_FALSE(fits(texts, Cell{R"({a,"q\"c ",b})"}));
  CHECK_FALSE(fits(texts, Cell{R"({"a,b "})"}));
  CHECK(fits(texts, Cell{R"(["\u0001a ","\n\t "])"}));
  CHECK_FALSE(fits(texts, Cell{R"(["\u0001ab "])"}));
  CHECK(fits(texts, Cell{R"(["\uD83D\uDE00a "])"}));
  CHECK_FALSE(fits(texts, Cell{R"(["\uD83D\uDE00ab "])"}));
}

TEST_CASE("fit: labels that an enum lacks") {
  Fit fit{Fit::Rule::label};
  fit.labels = {"sad", "NULL", "a,\"b\""};
  fit.type = "public.mood";
  CHECK_FALSE(missing_label(fit, Cell{"sad"}));
  const auto missing = missing_label(fit, Cell{"ok"});
  REQUIRE(missing);
  CHECK(missing->name == "ok");
  CHECK(missing->type == "public.mood");
  fit.in_array = true;
  CHECK_FALSE(missing_label(fit, Cell{R"({sad,NULL,"NULL","a,\"b\""})"}));
  CHECK_FALSE(missing_label(fit, Cell{"{}"}));
  CHECK(missing_label(fit, Cell{R"({sad,"not sad",ok})"}).value().name == "not sad");
}
