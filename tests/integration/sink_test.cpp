#include "lockstep/postgres/sink.hpp"
#include "array.hpp"
#include "catch.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "sink_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using namespace lockstep::test;
using Kind = SinkError::Kind;

TEST_CASE("sink: a batch's rows and its position become visible together") {
  Fixture f{"together"};
  const Made first =
      std::move(Made{f.relation, std::nullopt, 3}.upsert(1, "a").upsert(2, "b").upsert(3, "c"));
  REQUIRE(f.sink->apply(first.batch));
  CHECK(f.rows() == "1:a 2:b 3:c");
  CHECK(f.progress() == "3");
  CHECK(f.target.text("SELECT bool_and(synced_at = updated_at) FROM " + f.table +
                      ", lockstep.progress WHERE pipeline = '" + f.table + "'") == "t");

  const Made second = std::move(Made{f.relation, 3, 6}.upsert(1, "z").remove(2).upsert(4, "d"));
  REQUIRE(f.sink->apply(second.batch));
  CHECK(f.rows() == "1:z 3:c 4:d");
  CHECK(f.progress() == "6");
  CHECK(f.target.text("SELECT source_position || ' ' || extract(epoch FROM source_time)::bigint "
                      "FROM lockstep.progress WHERE pipeline = '" +
                      f.table + "'") == "[\"1\",\"2\"] 1700000000");
  CHECK((*f.sink->positions({{"t", 0}, {"t", 1}})) == SinkPositions{{{"t", 0}, {{6}}}});
}

TEST_CASE("sink: the table of a partition's changes is kept with its position") {
  Fixture f{"tables"};
  const Relation a{"public", "a"};
  const Relation b{"odd.schema", "b"};
  std::optional<std::int64_t> at;
  const auto apply = [&](const Relation* relation, bool has_several) {
    const std::int64_t next = at.value_or(0) + 1;
    Made made{f.relation, at, next};
    made.upsert(1, "a");
    made.batch.slices[0].relation = relation;
    made.batch.slices[0].has_several_relations = has_several;
    REQUIRE(f.sink->apply(made.batch));
    at = next;
  };
  const auto kept = [&] { return f.open()->positions({{"t", 0}})->at({"t", 0}).tables; };
  apply(nullptr, false);
  CHECK(kept() == std::nullopt);
  SECTION("the newest counts, and a slice without one changes nothing") {
    apply(&a, false);
    CHECK(kept() == SourceTables{a, false});
    apply(&a, false);
    apply(nullptr, false);
    CHECK(kept() == SourceTables{a, false});
  }
  SECTION("a second one, in the same slice or in a later one, is not forgotten") {
    apply(&a, false);
    const bool in_one_slice = GENERATE(true, false);
    apply(in_one_slice ? &a : &b, in_one_slice);
    CHECK(kept() == SourceTables{in_one_slice ? a : b, true});
    apply(&b, false);
    CHECK(kept() == SourceTables{b, true});
  }
}

TEST_CASE("sink: a first slice of several tables keeps that") {
  Fixture f{"first_tables"};
  const Relation a{"", "a"};  // of a source without schemas
  Made made{f.relation, std::nullopt, 1};
  made.upsert(1, "a");
  made.batch.slices[0].relation = &a;
  made.batch.slices[0].has_several_relations = true;
  REQUIRE(f.sink->apply(made.batch));
  CHECK(f.sink->positions({{"t", 0}})->at({"t", 0}).tables == SourceTables{a, true});
}

TEST_CASE("sink: a truncate empties the table before the rows that came after it") {
  Fixture f{"truncated"};
  REQUIRE(f.sink->apply(
      std::move(Made{f.relation, std::nullopt, 2}.upsert(1, "a").upsert(2, "b")).batch));
  REQUIRE(f.sink->apply(
      std::move(Made{f.relation, 2, 5}.upsert(3, "c").truncate().upsert(4, "d")).batch));
  CHECK(f.rows() == "4:d");
}

TEST_CASE("sink: whoever finds the position moved by another changes nothing") {
  Fixture f{"fenced"};
  REQUIRE(f.sink->apply(std::move(Made{f.relation, std::nullopt, 2}.upsert(1, "new")).batch));
  const auto another = f.open();
  SECTION("a stalled owner that still believes in an older position") {
    REQUIRE(f.sink->apply(std::move(Made{f.relation, 2, 9}.upsert(1, "newer")).batch));
    CHECK(kind_of(another->apply(std::move(Made{f.relation, 2, 4}.upsert(1, "old")).batch)) ==
          Kind::moved);
    CHECK(f.rows() == "1:newer");
    CHECK(f.progress() == "9");
  }
  SECTION("one that believes there is none") {
    CHECK(kind_of(another->apply(
              std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "old")).batch)) == Kind::moved);
    CHECK(f.rows() == "1:new");
    CHECK(f.progress() == "2");
  }
}

TEST_CASE("sink: a batch that took effect although its answer was lost is not applied twice") {
  Fixture f{"lost_answer"};
  const Made batch = std::move(Made{f.relation, std::nullopt, 2}.upsert(1, "a"));
  REQUIRE(f.sink->apply(batch.batch));
  const auto version = f.target.text("SELECT xmin FROM " + f.table);
  const auto after_reconnect = f.open();
  CHECK(after_reconnect->apply(batch.batch));
  CHECK(f.target.text("SELECT xmin FROM " + f.table) == version);
}

TEST_CASE("sink: a lost connection is unavailable once, then the same batch is applied") {
  Fixture f{"lost_connection"};
  REQUIRE(f.sink->apply(std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "a")).batch));
  f.target.exec(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
      "WHERE application_name = 'lockstep' AND pid <> pg_backend_pid()");
  const Made batch = std::move(Made{f.relation, 1, 2}.upsert(1, "b"));
  CHECK(kind_of(f.sink->apply(batch.batch)) == Kind::unavailable);
  CHECK(f.sink->apply(batch.batch));
  CHECK(f.rows() == "1:b");
}

TEST_CASE("sink: a role whose idle sessions are ended keeps ours") {
  Fixture f{"idle"};
  f.target.exec(
      "DO $$ BEGIN CREATE ROLE sink_test_idle LOGIN SUPERUSER PASSWORD 'r'; EXCEPTION WHEN "
      "duplicate_object THEN NULL; END $$; ALTER ROLE sink_test_idle SET idle_session_timeout = "
      "'500ms'");
  auto url = Stack::from_environment().target_url;
  url.replace(url.find("postgres:postgres@"), 18, "sink_test_idle:r@");
  const auto sink = postgres::make_sink({unique("idle"), url, "", "synced_at"});
  const auto first = sink->apply(std::move(Made{f.relation, std::nullopt, 1}.upsert(1, "a")).batch);
  INFO((first ? std::string{} : first.error().message));
  REQUIRE(first);
  const std::string others =
      "FROM pg_stat_activity WHERE usename = 'sink_test_idle' AND application_name <> 'lockstep'";
  Database other{url};
  other.exec("SELECT 1");
  eventually(std::chrono::seconds{10}, "another's session is ended",
             [&] { return f.target.number("SELECT count(*) " + others) == 0; });
  CHECK(sink->apply(std::move(Made{f.relation, 1, 2}.upsert(1, "b")).batch));
}

TEST_CASE("sink: a target that is not there is unavailable, and says why in one line") {
  const auto sink = postgres::make_sink(
      {"p", "postgresql://postgres:secret@127.0.0.1:1/target_db", "", "synced_at"});
  const auto positions = sink->positions({{"t", 0}});
  REQUIRE_FALSE(positions.has_value());
  CHECK(positions.error().kind == Kind::unavailable);
  CHECK(positions.error().message.find('\n') == std::string::npos);
  CHECK(positions.error().message.find("secret") == std::string::npos);
}

TEST_CASE("sink: a batch of many megabytes goes in several statements, whole") {
  Fixture f{"large"};
  Made batch{f.relation, std::nullopt, 1};
  const std::string value(100'000, 'x');
  for (int id = 0; id < 300; ++id) batch.upsert(id, value + std::to_string(id));
  REQUIRE(f.sink->apply(batch.batch));
  CHECK(f.target.text("SELECT count(*) || ' ' || sum(length(v)) || ' ' || "
                      "count(*) FILTER (WHERE v LIKE '%x' || id) FROM " +
                      f.table) == "300 30000790 300");
}

TEST_CASE("sink: two daemons that meet a target without schema lockstep both get one") {
  const auto& url = Stack::from_environment().target_url;
  Database admin{url};
  admin.exec("DROP DATABASE IF EXISTS sink_test_empty");
  admin.exec("CREATE DATABASE sink_test_empty");
  const auto other = url.substr(0, url.rfind('/')) + "/sink_test_empty";
  for (int round = 0; round < 2; ++round) {
    const auto sink = postgres::make_sink({"p", other, "", ""});
    const auto positions = sink->positions({{"t", 0}});
    REQUIRE(positions);
    CHECK(positions->empty());
  }
  admin.exec("DROP DATABASE sink_test_empty WITH (FORCE)");
}

TEST_CASE("array: the bytes are those of PostgreSQL's array_send") {
  Database target{Stack::from_environment().target_url};
  const auto hex = [](const std::string& bytes) {
    std::string text = "\\x";
    for (const unsigned char c : bytes) {
      constexpr auto digits = "0123456789abcdef";
      text += digits[c >> 4];
      text += digits[c & 15];
    }
    return text;
  };
  postgres::BinaryArray texts{postgres::Element::text};
  texts.add("ab");
  texts.add("");
  CHECK(hex(std::move(texts).take()) == target.text("SELECT array_send('{ab,\"\"}'::text[])"));
  postgres::BinaryArray bytes{postgres::Element::bytea};
  bytes.add(std::string_view{"\x00\xff", 2});
  bytes.add_null();
  CHECK(hex(std::move(bytes).take()) ==
        target.text("SELECT array_send(array['\\x00ff'::bytea, NULL])"));
  for (const auto* text :
       {"2024-02-29 12:30:45", "0001-01-01 00:00:00", "1999-12-31 23:59:59.999999"}) {
    postgres::BinaryArray timestamps{postgres::Element::timestamp};
    REQUIRE(timestamps.add(text));
    CHECK(hex(std::move(timestamps).take()) ==
          target.text(std::string{"SELECT array_send(array['"} + text + "'::timestamp])"));
  }
}
