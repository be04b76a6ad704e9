#include "lockstep/postgres/mapping.hpp"

#include "catch.hpp"

using namespace lockstep;
using namespace lockstep::postgres;

namespace {

Layout layout_of(const std::vector<std::string>& names) {
  Layout layout;
  for (const auto& name : names) layout.columns.push_back({name, ValueType::text, "string", ""});
  return layout;
}

std::vector<std::string> names_in(const Layout& layout) {
  std::vector<std::string> names;
  for (const auto& column : layout.columns) names.push_back(column.name);
  return names;
}

using Lines = std::vector<std::string>;
const Relation source_users{"public", "users"};

}  // namespace

TEST_CASE("mapping: a pattern matches a whole name") {
  struct Case {
    std::string pattern, text;
    bool want;
    std::string star;
  };
  const Case cases[] = {
      {"public.users", "public.users", true, ""},
      {"public.users", "public.users2", false, ""},
      {"public.*", "public.users", true, "users"},
      {"public.*", "public.", true, ""},
      {"*.users", "crm.users", true, "crm"},
      {"public.user?", "public.users", true, ""},
      {"public.user?", "public.user", false, ""},
      {"public.*_log", "public.a_log_log", true, "a_log"},
      {"*", "public.users", true, "public.users"},
      {"public.*.x", "public.users", false, ""},
      {"Public.users", "public.users", false, ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.pattern, c.text);
    std::string star;
    CHECK(matches(c.pattern, c.text, &star) == c.want);
    CHECK(star == c.star);
  }
}

TEST_CASE("mapping: the first rule that matches says where a table goes") {
  struct Case {
    std::string name, schema;
    std::vector<TableRule> rules;
    Relation source, want;
  };
  const Case cases[] = {
      {"no rule", "", {}, source_users, {"public", "users"}},
      {"no rule, a schema", "copy", {}, source_users, {"copy", "users"}},
      {"schema and table",
       "copy",
       {{"public.users", "crm.people", {}, {}}},
       source_users,
       {"crm", "people"}},
      {"only a table",
       "",
       {{"public.users", "people", {}, {}}},
       source_users,
       {"public", "people"}},
      {"only a table, a schema",
       "copy",
       {{"*.*", "people", {}, {}}},
       source_users,
       {"copy", "people"}},
      {"only columns", "copy", {{"public.users", "", {"a"}, {}}}, source_users, {"copy", "users"}},
      {"the table's name", "", {{"public.*", "crm.p_*", {}, {}}}, source_users, {"crm", "p_users"}},
      {"the schema's name",
       "",
       {{"*.users", "*.people", {}, {}}},
       source_users,
       {"public", "people"}},
      {"the first",
       "",
       {{"*.orders", "a.b", {}, {}}, {"public.*", "c.d", {}, {}}, {"*.*", "e.f", {}, {}}},
       source_users,
       {"c", "d"}},
      {"dots and quotes are a part of the table",
       "",
       {{"public.a.b", "x.\"y.z\"", {}, {}}},
       {"public", "a.b"},
       {"x", "\"y.z\""}},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(Mapping{c.schema, c.rules}.target_of(c.source) == c.want);
    }
  }
}

TEST_CASE("mapping: columns are left out and renamed, cells keep their places") {
  const Mapping mapping{"",
                        {{"public.users", "", {"password"}, {{"full_name", "name"}, {"a", "b"}}}}};
  const auto mapped = mapping.columns_of(source_users, layout_of({"id", "password", "full_name"}));
  CHECK(names_in(mapped.layout) == Lines{"id", "name"});
  CHECK(mapped.cells == std::vector<std::size_t>{0, 2});
  CHECK(mapping.unknown_columns(source_users, layout_of({"id", "full_name"})) ==
        Lines{"password", "a"});
  CHECK(Mapping{"", {{"public.*", "", {"password"}, {}}}}
            .unknown_columns(source_users, layout_of({"id"}))
            .empty());
  CHECK(mapping.name_of(source_users, "full_name") == "name");
  CHECK(names_in(mapping.columns_of({"public", "orders"}, layout_of({"id", "password"})).layout) ==
        Lines{"id", "password"});
}

TEST_CASE("mapping: what a rule can't do is told") {
  const auto row = layout_of({"id", "a", "b", "synced_at"});
  const auto key = layout_of({"id"});
  const auto problems = [&](const TableRule& rule, const std::string& synced_at) {
    return Mapping{"", {rule}}.problems(source_users, row, &key, synced_at);
  };
  CHECK(problems({"public.users", "", {"a"}, {{"b", "c"}}}, "").empty());
  CHECK(problems({"public.users", "", {}, {{"a", "b"}, {"b", "a"}}}, "").empty());
  CHECK(problems({"public.users", "", {"id"}, {}}, "") ==
        Lines{"would lack column \"id\" of the key, which tables excludes: take it out of "
              "columns.exclude"});
  CHECK(problems({"public.users", "", {}, {{"a", "b"}}}, "") ==
        Lines{"would have two columns \"b\": change columns.rename in tables"});
  CHECK(problems({"public.users", "", {}, {}}, "synced_at") ==
        Lines{"would have the source's column \"synced_at\" overwritten by the time that synced_at "
              "stamps: rename it in tables, or set another synced_at"});
  CHECK(problems({"public.users", std::string(64, 'x'), {}, {}}, "") ==
        Lines{"has a name of more than 63 bytes, PostgreSQL's limit: change the rule in tables"});
}
