#include "error.hpp"

#include <new>
#include <pqxx/pqxx>
#include <stdexcept>
#include <type_traits>

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;
using Kind = SinkError::Kind;

namespace {

/// As libpq writes it with PQERRORS_VERBOSE.
std::string verbose(const std::string& message, const std::string& rest) {
  return "ERROR:  " + message + "\n" + rest + "LOCATION:  ExecConstraints, execMain.c:1890\n";
}

/// libpqxx 6 has no SQLSTATE in these.
template <class E>
E thrown(const char* sqlstate) {
  if constexpr (std::is_constructible_v<E, std::string>) {
    return E{"ERROR:  x"};
  } else {
    return E{"ERROR:  x", "SELECT 'secret'", sqlstate};
  }
}

}  // namespace

TEST_CASE("error: who has to wait, by the whole SQLSTATE") {
  for (const auto* state : {"55P03", "55006", "40P01", "40001", "57014"}) {
    CAPTURE(state);
    CHECK(kind_of(state) == Kind::busy);
  }
  for (const auto* state : {"08006", "40003", "53100", "53300", "57P01", "57P02", "57P03", "57P04",
                            "57P05", "58030", "28P01", "25P03", "25P04", "25006", ""}) {
    CAPTURE(state);
    CHECK(kind_of(state) == Kind::unavailable);
  }
  for (const auto* state : {"22001", "22P02", "23505", "42P01", "42501", "0A000", "55000", "P0001",
                            "25001", "54000", "XX000"}) {
    CAPTURE(state);
    CHECK(kind_of(state) == Kind::refused);
  }
}

TEST_CASE("error: the words never hold a value") {
  struct Case {
    std::string name;
    std::string sqlstate;
    std::string what;
    std::string want;
  };
  const std::string fields = "SCHEMA NAME:  s\nTABLE NAME:  t\n";
  const Case cases[] = {
      {"an enum's value", "22P02",
       verbose("22P02: invalid input value for enum mood: \"secret\"", ""), "invalid input value"},
      {"a number", "22003", verbose("22003: value \"77\" is out of range for type integer", ""),
       "number out of range"},
      {"bytes", "22P05",
       verbose("22P05: character with byte sequence 0xe2 0x82 0xac in encoding \"UTF8\" has no "
               "equivalent in encoding \"LATIN1\"",
               ""),
       "a character that the encoding of the target's database lacks"},
      {"the text of a type with a syntax", "42601",
       verbose("42601: syntax error in tsvector: \"secret\"", ""), "syntax error in the value"},
      {"an internal error", "XX000", verbose("XX000: unexpected: secret", ""),
       "the server's words are left out, they may hold values"},
      {"a trigger's own text", "P0001",
       verbose("P0001: secret is bad", "CONTEXT:  PL/pgSQL function f() line 1 at RAISE\n"),
       "raised by a trigger or function of the target"},
      {"a trigger's own text with another's SQLSTATE", "42501",
       verbose("42501: secret may not", "CONTEXT:  PL/pgSQL function f() line 1 at RAISE\n"),
       "the server's words are left out, they may hold values"},
      {"the same for a constraint", "23514",
       verbose("23514: secret is bad", "CONTEXT:  PL/pgSQL function f() line 1 at RAISE\n"),
       "violates check constraint"},
      {"a constraint's row", "23514",
       verbose("23514: new row for relation \"t\" violates check constraint \"c\"",
               "DETAIL:  Failing row contains (1, secret).\n" + fields + "CONSTRAINT NAME:  c\n"),
       "violates check constraint \"c\""},
      {"a domain's", "23514",
       verbose("23514: value for domain s.d violates check constraint \"c\"",
               "SCHEMA NAME:  s\nDATATYPE NAME:  d\nCONSTRAINT NAME:  c\n"),
       "violates check constraint \"c\" of domain s.d"},
      {"a column that is not null", "23502",
       verbose("23502: null value in column \"v\" of relation \"t\" violates not-null constraint",
               "DETAIL:  Failing row contains (1, null).\n" + fields + "COLUMN NAME:  v\n"),
       "null value in column \"v\""},
      {"a key of another table", "23503",
       verbose("23503: insert or update on table \"t\" violates foreign key constraint \"f\"",
               "DETAIL:  Key (a)=(secret) is not present in table \"u\".\n" + fields +
                   "CONSTRAINT NAME:  f\n"),
       "violates foreign key constraint \"f\" of table s.t"},
      {"names only: the server's words", "42703",
       verbose("42703: column \"v\" of relation \"t\" does not exist", ""),
       "column \"v\" of relation \"t\" does not exist"},
      {"without fields, in another language", "42501",
       "FEHLER:  42501: keine Berechtigung für Tabelle t\n", "keine Berechtigung für Tabelle t"},
      {"not verbose", "42501", "ERROR:  permission denied for table t\nDETAIL:  secret\n",
       "permission denied for table t"},
      {"a class that we don't know", "HV000", verbose("HV000: secret", ""),
       "the server's words are left out, they may hold values"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(words_of(c.sqlstate, c.what) == c.want);
  }
}

TEST_CASE("error: long words are cut between two characters") {
  std::string name = "x";
  for (int i = 0; i < 200; ++i) name += "ä";
  CHECK(words_of("42703", "ERROR:  " + name) == name.substr(0, 299));
}

TEST_CASE("error: a value that looks like a field is none") {
  SECTION("before the fields") {
    const auto fields = fields_of(verbose("23502: null value",
                                          "DETAIL:  Failing row contains (x\nCOLUMN NAME:  secret\n"
                                          "CONSTRAINT NAME:  secret\n).\nSCHEMA NAME:  s\n"
                                          "TABLE NAME:  t\nCOLUMN NAME:  v\n"));
    CHECK(fields.schema == "s");
    CHECK(fields.table == "t");
    CHECK(fields.column == "v");
    CHECK(fields.constraint.empty());
  }
  SECTION("where there are none") {
    CHECK(fields_of(verbose("P0001: x\nCONSTRAINT NAME:  secret", "")).constraint.empty());
    CHECK(fields_of("ERROR:  P0001: x\nSCHEMA NAME:  s\nCOLUMN NAME:  secret\n").column.empty());
  }
  SECTION("in front of a schema's own line") {
    const auto fields =
        fields_of(verbose("23505: x",
                          "DETAIL:  (v)=(\nTABLE NAME:  secret\nSCHEMA NAME:  secret\n"
                          ").\nSCHEMA NAME:  s\nCONSTRAINT NAME:  c\n"));
    CHECK(fields.schema == "s");
    CHECK(fields.table.empty());
    CHECK(fields.constraint == "c");
  }
}

TEST_CASE("error: whatever is thrown becomes an answer") {
  const auto of = [](auto exception) {
    const auto result = translating_errors([&] { throw exception; });
    REQUIRE_FALSE(result.has_value());
    return result.error();
  };
  CHECK(translating_errors([] {}).has_value());
  CHECK(of(std::bad_alloc{}).kind == Kind::unavailable);
  CHECK(of(std::out_of_range{"map::at"}).kind == Kind::refused);
  CHECK(of(std::out_of_range{"map::at"}).message == "unexpected: map::at");
  CHECK(of(pqxx::usage_error{"two transactions at once"}).kind == Kind::refused);
  CHECK(of(pqxx::broken_connection{"gone"}).kind == Kind::unavailable);
  CHECK(of(pqxx::in_doubt_error{"?"}).kind == Kind::unavailable);
  CHECK(of(thrown<pqxx::deadlock_detected>("40P01")).kind == Kind::busy);
  CHECK(of(thrown<pqxx::deadlock_detected>("40P01")).sqlstate == "40P01");
  CHECK(of(thrown<pqxx::serialization_failure>("40001")).sqlstate == "40001");
  CHECK(of(thrown<pqxx::statement_completion_unknown>("40003")).kind == Kind::unavailable);
  CHECK(of(pqxx::insufficient_privilege{"ERROR:  x", "q"}).kind == Kind::refused);
  CHECK(of(pqxx::insufficient_privilege{"ERROR:  x", "q"}).sqlstate == "42501");
  const auto canceled = of(pqxx::sql_error{"ERROR:  canceling statement due to user request\n",
                                           "SELECT 'secret'", "57014"});
  CHECK(canceled.kind == Kind::busy);
  CHECK(canceled.sqlstate == "57014");
  CHECK(canceled.message == "canceling statement due to user request (SQLSTATE 57014)");
}
