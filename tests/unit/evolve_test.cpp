#include "evolve.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

namespace {

using Lines = std::vector<std::string>;

Column sent(const std::string& name, const std::string& declared = "TEXT",
            ValueType type = ValueType::text, bool optional = true) {
  Column column{name, type, "described", declared};
  column.declared = declared;
  column.optional = optional;
  return column;
}

Column sent_with(const std::string& name, const std::string& default_value, bool optional = false) {
  Column column = sent(name, "INT4", ValueType::integer, optional);
  column.default_value = default_value;
  return column;
}

TargetColumn has(const std::string& name, const std::string& declared = "TEXT",
                 ValueType type = ValueType::text) {
  TargetColumn column = own_type(sent(name, declared, type))->column;
  column.name = name;
  return column;
}

const TargetColumn id_column = has("id", "INT4", ValueType::integer);
const Column sent_id = sent("id", "INT4", ValueType::integer, false);

struct Trial {
  std::vector<TargetColumn> table;
  std::vector<Column> row;
  std::optional<ColumnNames> before{};
  bool has_rows = true;
  std::string synced_at{};
  bool is_owned = true;
};

Evolution tried(const Trial& trial) {
  const TargetTable table{{"s", "t"}, trial.table, {"id"}};
  const Layout row{trial.row};
  std::vector<ColumnType> types;
  for (const auto& column : row.columns) {
    types.push_back(own_type(column).value_or(any_type(column)));
  }
  return evolve({table, row, types, trial.before, trial.has_rows, trial.is_owned, trial.synced_at,
                 lockstep::ConnectorModes{}});
}

Lines errors_of(const Evolution& evolution) {
  Lines lines;
  for (const auto& error : evolution.errors) lines.push_back(error.message);
  return lines;
}

const std::string alter_t = "ALTER TABLE \"s\".\"t\" ";

}  // namespace

TEST_CASE("evolve: a new name is a new column or a renamed one, by its place") {
  struct Case {
    std::string name;
    ColumnNames table;
    std::optional<ColumnNames> before;
    ColumnNames row;
    std::vector<Rename> renamed;
    ColumnNames added, unclear, gone;
  };
  const auto none = std::nullopt;
  const Case cases[] = {
      {"nothing new", {"id", "a"}, none, {"id", "a"}, {}, {}, {}, {}},
      {"added at the end", {"id", "a"}, none, {"id", "a", "n"}, {}, {"n"}, {}, {}},
      {"renamed in the middle", {"id", "a", "b"}, none, {"id", "n", "b"}, {{"a", "n"}}, {}, {}, {}},
      {"renamed at the beginning", {"id", "a"}, none, {"key", "a"}, {{"id", "key"}}, {}, {}, {}},
      {"two renamed in a row",
       {"id", "a", "b", "c"},
       none,
       {"id", "x", "y", "c"},
       {{"a", "x"}, {"b", "y"}},
       {},
       {},
       {}},
      {"two renamed in different places",
       {"id", "a", "b", "c", "d"},
       none,
       {"id", "x", "b", "y", "d"},
       {{"a", "x"}, {"c", "y"}},
       {},
       {},
       {}},
      {"renamed in the middle, added at the end",
       {"id", "a", "b"},
       none,
       {"id", "x", "b", "n"},
       {{"a", "x"}},
       {"n"},
       {},
       {}},
      {"dropped in the middle, added at the end",
       {"id", "a", "b"},
       none,
       {"id", "b", "n"},
       {},
       {"n"},
       {},
       {}},
      {"dropped in the middle", {"id", "a", "b"}, none, {"id", "b"}, {}, {}, {}, {}},
      {"at the end it may be either",
       {"id", "a", "b"},
       none,
       {"id", "a", "n"},
       {},
       {},
       {"n"},
       {"b"}},
      {"one of two in the middle",
       {"id", "a", "b", "c"},
       none,
       {"id", "n", "c"},
       {},
       {},
       {"n"},
       {"a", "b"}},
      {"dropped, and then added: known from the rows between",
       {"id", "a", "b"},
       ColumnNames{"id", "a"},
       {"id", "a", "n"},
       {},
       {"n"},
       {},
       {}},
      {"a column of the target's own is none that is gone",
       {"id", "a", "own"},
       ColumnNames{"id", "a"},
       {"id", "a", "n"},
       {},
       {"n"},
       {},
       {}},
      {"one of two, the other was dropped long ago",
       {"id", "old", "a", "b"},
       ColumnNames{"id", "a", "b"},
       {"id", "n", "b"},
       {{"a", "n"}},
       {},
       {},
       {}},
      {"a column that the target never had",
       {"id", "b"},
       none,
       {"id", "n", "b"},
       {},
       {"n"},
       {},
       {}},
      {"another order at the target, and nothing gone",
       {"id", "b", "a"},
       none,
       {"id", "a", "b", "n"},
       {},
       {"n"},
       {},
       {}},
      {"another order at the target",
       {"id", "x", "b", "a"},
       none,
       {"id", "a", "n", "b"},
       {},
       {},
       {"n"},
       {"x"}},
      {"back again, when older rows are sent anew",
       {"id", "n", "b"},
       ColumnNames{"id", "n", "b"},
       {"id", "a", "b"},
       {{"n", "a"}},
       {},
       {},
       {}},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const auto columns = explain_new_columns(c.table, c.before, c.row);
      CHECK(columns.renamed == c.renamed);
      CHECK(columns.added == c.added);
      CHECK(columns.unclear == c.unclear);
      CHECK(columns.gone == c.gone);
    }
  }
}

TEST_CASE("evolve: a table that fits is left alone") {
  CHECK(tried({{id_column, has("v")}, {sent_id, sent("v")}}).statements.empty());
  CHECK(tried({{id_column, has("v"), has("own")}, {sent_id, sent("v")}}).statements.empty());
  auto required = has("v");
  required.not_null = true;
  CHECK(tried({{id_column, required}, {sent_id, sent("v", "TEXT", ValueType::text, false)}})
            .statements.empty());
}

TEST_CASE(
    "evolve: a new column has its default in the rows that are there, or says that it has not") {
  struct Case {
    std::string name;
    Column column;
    std::optional<ColumnNames> before;
    bool has_rows;
    std::string want;
    std::string warning;
  };
  const std::optional<ColumnNames> before{{"id"}};
  const auto of_type = [](const std::string& declared, ValueType type, const std::string& value) {
    Column column = sent("n", declared, type, false);
    column.default_value = value;
    return column;
  };
  const std::string is_new = "column \"n\" is new: the rows that are there get ";
  const std::string not_told =
      is_new + "NULL, since Debezium does not tell the values that the source gave them";
  const Case cases[] = {
      {"a constant", sent_with("n", "7"), before, true,
       "ADD COLUMN \"n\" int4 DEFAULT '7' NOT NULL", ""},
      {"that may be NULL", sent_with("n", "7", true), before, true,
       "ADD COLUMN \"n\" int4 DEFAULT '7'", ""},
      {"without default", sent("n"), before, true, "ADD COLUMN \"n\" text", ""},
      {"required, without default, no rows", sent("n", "TEXT", ValueType::text, false), before,
       false, "ADD COLUMN \"n\" text NOT NULL", ""},
      {"required, without a default that is told", sent("n", "TEXT", ValueType::text, false),
       before, true, "ADD COLUMN \"n\" text", not_told},
      {"zero is also what a function is sent as", sent_with("n", "0"), before, true,
       "ADD COLUMN \"n\" int4 DEFAULT '0' NOT NULL",
       is_new + "its default, '0'; if that is a function at the source, they are wrong"},
      {"now()", of_type("TIMESTAMPTZ", ValueType::timestamptz, "1970-01-01 00:00:00+00"), before,
       true, "ADD COLUMN \"n\" timestamptz", not_told},
      {"nextval()", of_type("BIGSERIAL", ValueType::integer, "0"), before, true,
       "ADD COLUMN \"n\" int8", not_told},
      {"a uuid's function",
       of_type("UUID", ValueType::text, "00000000-0000-0000-0000-000000000000"), before, true,
       "ADD COLUMN \"n\" uuid", not_told},
      {"an expression", of_type("TEXT", ValueType::text, "CURRENT_USER"), before, true,
       "ADD COLUMN \"n\" text", not_told},
      {"a type whose default is never told", sent("n", "BYTEA", ValueType::bytes), before, true,
       "ADD COLUMN \"n\" bytea",
       is_new +
           "NULL; if it has a default at the source they are wrong: Debezium does not tell one "
           "of this type"},
      {"a column that the source had before", sent_with("n", "7"), ColumnNames{"id", "n"}, true,
       "ADD COLUMN \"n\" int4",
       "column \"n\" is new: the source had it before, its values in the rows that are there are "
       "not known"},
      {"nothing known of before", sent_with("n", "7"), std::nullopt, true,
       "ADD COLUMN \"n\" int4 DEFAULT '7' NOT NULL",
       is_new + "its default, '7', which is wrong if the source had the column before"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      const auto evolution = tried({{id_column}, {sent_id, c.column}, c.before, c.has_rows});
      CHECK(evolution.statements == Lines{alter_t + c.want});
      CHECK(evolution.warnings == (c.warning.empty() ? Lines{} : Lines{c.warning}));
      CHECK(evolution.errors.empty());
    }
  }
}

TEST_CASE("evolve: renames come first, then all the rest in one statement") {
  auto gone = has("gone");
  gone.not_null = gone.wants_value = true;
  auto loose = has("loose");
  loose.not_null = true;
  const auto evolution =
      tried({{id_column, has("a", "INT4", ValueType::integer), gone, loose},
             {sent_id, sent("b", "INT8", ValueType::integer), sent("loose"), sent("n")},
             ColumnNames{"id", "a", "loose"},
             true,
             "synced_at"});
  CHECK(evolution.statements ==
        Lines{alter_t + "RENAME COLUMN \"a\" TO \"b\"",
              alter_t + "ALTER COLUMN \"b\" TYPE int8, ALTER COLUMN \"loose\" DROP NOT NULL, "
                        "ADD COLUMN \"n\" text, ALTER COLUMN \"gone\" DROP NOT NULL, "
                        "ADD COLUMN \"synced_at\" timestamptz"});
}

TEST_CASE("evolve: what the operator has to decide comes with the statements to choose from") {
  CHECK(
      errors_of(tried({{id_column, has("a")}, {sent_id, sent("n")}})) ==
      Lines{"has no column \"n\", and the source has no \"a\" any more: was it renamed, or dropped "
            "and another one added? Run " +
            alter_t + "RENAME COLUMN \"a\" TO \"n\", or " + alter_t + "ADD COLUMN \"n\" text"});
  CHECK(
      errors_of(tried({{id_column, has("v", "INT4", ValueType::integer)}, {sent_id, sent("v")}})) ==
      Lines{"has column \"v\" (int4), which can't take the source's described: " + alter_t +
            "ALTER COLUMN \"v\" TYPE text USING \"v\"::text, if that is what the source did with "
            "its rows"});
}

TEST_CASE("evolve: a column that was dropped and made anew is told") {
  const auto evolution = tried({{id_column, has("a"), has("b")},
                                {sent_id, sent("b"), sent("a")},
                                ColumnNames{"id", "a", "b"}});
  CHECK(evolution.statements.empty());
  CHECK(evolution.warnings ==
        Lines{"column \"a\" was dropped and made anew at the source: the rows "
              "that are there keep the old column's values"});
}

TEST_CASE("evolve: a new column that the target has already keeps its values, which is told") {
  const Trial trial{{id_column, has("a")}, {sent_id, sent("a")}, ColumnNames{"id"}};
  CHECK(tried(trial).statements.empty());
  CHECK(tried(trial).warnings == Lines{"column \"a\" is new at the source, and the target has it "
                                       "already: the rows that are there keep what is in it"});
  auto empty = trial;
  empty.has_rows = false;
  CHECK(tried(empty).warnings.empty());
}

TEST_CASE("evolve: a table of somebody else's is used as it is while its rows fit") {
  auto strict = has("v", "INT4", ValueType::integer);
  strict.not_null = true;
  Trial trial{{id_column, strict}, {sent_id, sent("v", "INT8", ValueType::integer)}};
  trial.is_owned = false;
  const std::string begin = "the source can send what it does not take, and only its owner may ";
  CHECK(tried(trial).statements.empty());
  CHECK(tried(trial).warnings == Lines{begin + alter_t + "ALTER COLUMN \"v\" TYPE int8",
                                       begin + alter_t + "ALTER COLUMN \"v\" DROP NOT NULL"});
  trial.row.push_back(sent("n"));
  CHECK(tried(trial).statements == Lines{alter_t + "ADD COLUMN \"n\" text"});
}

TEST_CASE("evolve: a type is only taken as the source's where the message tells it") {
  Column untold = sent("v");
  untold.source_type.clear();
  auto limited = sent("v", "VARCHAR");
  limited.length = 20;
  TargetColumn column = own_type(limited)->column;
  column.name = "v";
  CHECK(tried({{id_column, column}, {sent_id, untold}}).statements.empty());
  CHECK(tried({{id_column, column}, {sent_id, sent("v")}}).statements ==
        Lines{alter_t + "ALTER COLUMN \"v\" TYPE text"});
}
