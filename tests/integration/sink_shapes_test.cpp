// Rows that move to other keys, values that are not sent, tables without keys, and what stands in
// each other's way: with changes made by hand.
#include <chrono>

#include "catch.hpp"
#include "database.hpp"
#include "lockstep/postgres/sink.hpp"
#include "sink_fixture.hpp"
#include "stack.hpp"

using namespace lockstep;
using namespace lockstep::test;
using Kind = SinkError::Kind;

namespace {

/// Changes that Made has no words for.
class Shapes {
 public:
  explicit Shapes(Made& made) : made_{made} {}

  Shapes& unchanged(int id) {
    made_.upsert(id, "");
    auto& change = last();
    const Cell cells[] = {change.key[0], Cell::unchanged()};
    change.row = made_.batch.arena.copy(std::span<const Cell>{cells});
    change.has_unchanged = true;
    return *this;
  }
  Shapes& move(int from, int to, std::string_view v = "?") {
    if (v == "?") {
      unchanged(to);
    } else {
      made_.upsert(to, v);
    }
    const Cell cells[] = {Cell{made_.batch.arena.copy(std::to_string(from))}};
    const Key key{&id_key, made_.batch.arena.copy(std::span<const Cell>{cells}), cells[0].view()};
    last().other_key = made_.batch.arena.copy(std::span<const Key>{&key, 1}).data();
    last().in_order = true;
    return *this;
  }
  /// Of a table without a key: "" is no row.
  Shapes& keyless(std::string_view before, std::string_view after) {
    made_.upsert(1, after);
    auto& change = last();
    change.has_key = false;
    change.key_layout = nullptr;
    change.key_bytes = {};
    const Cell row[] = {change.row[0], Cell{made_.batch.arena.copy(before)}};
    change.key = {};
    if (!before.empty()) {
      change.key_layout = &id_and_v;
      change.key = made_.batch.arena.copy(std::span<const Cell>{row});
      change.op = Op::update;
    }
    if (after.empty()) change.op = Op::remove;
    return *this;
  }
  Change& last() { return made_.batch.changes.back(); }

 private:
  Made& made_;
};

struct ShapesFixture : Fixture {
  explicit ShapesFixture(const std::string& name) : Fixture{name} {
    target.exec("ALTER TABLE " + table + " ADD mine int; INSERT INTO " + table +
                " SELECT i, 'v' || i, NULL, i FROM generate_series(1, 5) i");
  }
  /// Applied, or the error's words.
  std::string apply(const std::function<void(Made&, Shapes)>& fill) {
    Made made{relation, next_ == 0 ? std::nullopt : std::optional{next_}, 0};
    fill(made, Shapes{made});
    const auto end = next_ + static_cast<std::int64_t>(made.batch.changes.size());
    made.batch.slices[0].next = {end};
    last = sink->apply(made.batch);
    if (!last) return last.error().message;
    next_ = end;
    return "";
  }
  std::string all() {
    return target.text(
        "SELECT coalesce(string_agg(id || ':' || v || '(' || coalesce(mine::text, "
        "'-') || ')', ' ' ORDER BY id), '') FROM " +
        table);
  }

  Result<Done, SinkError> last = done;

 private:
  std::int64_t next_ = 0;
};

}  // namespace

TEST_CASE("sink: values that are not sent stay as the target has them") {
  ShapesFixture f{"unsent"};
  CHECK(f.apply([](Made&, Shapes s) { s.unchanged(1).unchanged(2); }).empty());
  CHECK(f.all() == "1:v1(1) 2:v2(2) 3:v3(3) 4:v4(4) 5:v5(5)");
  CHECK(f.target.number("SELECT count(synced_at) FROM " + f.table) == 2);
  CHECK(f.apply([](Made& m, Shapes s) {
           m.upsert(1, "new");
           s.unchanged(1);
           m.upsert(9, "nine");
           s.unchanged(9);
         }).empty());
  CHECK(f.all() == "1:new(1) 2:v2(2) 3:v3(3) 4:v4(4) 5:v5(5) 9:nine(-)");
  const auto error = f.apply([](Made& m, Shapes s) {
    m.upsert(1, "newer");
    s.unchanged(77);
  });
  CHECK_THAT(error, ContainsSubstring("record t[0]@7, target table sink_test.unsent does not have "
                                      "the row, and the source did not send its unchanged TOAST "
                                      "value of column \"v\": copy the row from the source"));
  CHECK(f.last.error().kind == Kind::refused);
  REQUIRE(f.last.error().culprit);
  CHECK(f.last.error().culprit->offset == RecordOffset{7});
}

TEST_CASE(
    "sink: a row that gets another key keeps what was not sent, and what only the target has") {
  ShapesFixture f{"moved"};
  SECTION("one after the other, though the keys follow each other") {
    CHECK(f.apply([](Made&, Shapes s) { s.move(5, 6).move(4, 5).move(3, 4, "three"); }).empty());
    CHECK(f.all() == "1:v1(1) 2:v2(2) 4:three(3) 5:v4(4) 6:v5(5)");
  }
  SECTION("in a circle") {
    CHECK(f.apply([](Made&, Shapes s) {
             s.move(1, 9).move(2, 1).move(3, 2, "x").move(9, 3);
           }).empty());
    CHECK(f.all() == "1:v2(2) 2:x(3) 3:v1(1) 4:v4(4) 5:v5(5)");
  }
  SECTION("swapped, as the source checks keys at the transaction's end") {
    CHECK(f.apply([](Made&, Shapes s) { s.move(1, 2).move(2, 1); }).empty());
    CHECK(f.all() == "1:v2(2) 2:v1(1) 3:v3(3) 4:v4(4) 5:v5(5)");
  }
  SECTION("cut in two there, the rest is waited for") {
    CHECK_THAT(f.apply([](Made& m, Shapes s) {
      m.upsert(5, "five");
      s.move(1, 2);
    }),
               ContainsSubstring("the row gets a key that another row has until a later change"));
    CHECK(f.last.error().kind == Kind::waits);
    REQUIRE(f.last.error().culprit);
    CHECK(f.last.error().culprit->offset == RecordOffset{1});
    CHECK(f.all() == "1:v1(1) 2:v2(2) 3:v3(3) 4:v4(4) 5:v5(5)");
  }
  SECTION("one that is there already, or whole, or neither") {
    CHECK(f.apply([](Made&, Shapes s) { s.move(70, 1).move(80, 8, "eight"); }).empty());
    CHECK(f.all() == "1:v1(1) 2:v2(2) 3:v3(3) 4:v4(4) 5:v5(5) 8:eight(-)");
    CHECK_THAT(f.apply([](Made&, Shapes s) { s.move(70, 71); }),
               ContainsSubstring("record t[0]@2, target table sink_test.moved does not have"));
  }
}

TEST_CASE("sink: as many equal rows without a key go as the source has removed") {
  ShapesFixture f{"keyless"};
  f.target.exec("ALTER TABLE " + f.table + " DROP CONSTRAINT keyless_pkey; TRUNCATE " + f.table +
                "; INSERT INTO " + f.table + " SELECT 1, 'same' FROM generate_series(1, 1000)");
  const auto count = [&](const std::string& v) {
    return f.target.number("SELECT count(*) FROM " + f.table + " WHERE v = '" + v + "'");
  };
  CHECK(f.apply([](Made&, Shapes s) {
           for (int i = 0; i < 7; ++i) s.keyless("same", "");
           for (int i = 0; i < 3; ++i) s.keyless("same", "other");
           s.keyless("", "other").keyless("other", "last");
         }).empty());
  CHECK(count("same") == 990);
  CHECK(count("other") == 3);
  CHECK(count("last") == 1);
  CHECK_THAT(f.apply([](Made&, Shapes s) { s.keyless("same", "").keyless("gone", ""); }),
             ContainsSubstring("record t[0]@13, target table sink_test.keyless has no row, or too "
                               "few rows, with the values of this row"));
  CHECK(f.last.error().kind == Kind::refused);
  CHECK(count("same") == 990);
}

TEST_CASE("sink: what is in the way as a whole is applied in the source's order") {
  ShapesFixture f{"in_the_way"};
  SECTION("a unique value that goes round") {
    f.target.exec("ALTER TABLE " + f.table + " ADD UNIQUE (v)");
    CHECK(f.apply([](Made& m, Shapes) {
             m.upsert(1, "x").upsert(2, "v1").upsert(3, "v2").upsert(1, "v3");
           }).empty());
    CHECK(f.all() == "1:v3(1) 2:v1(2) 3:v2(3) 4:v4(4) 5:v5(5)");
  }
  SECTION("one of many") {
    f.target.exec("ALTER TABLE " + f.table + " ADD UNIQUE (v)");
    const auto begin = std::chrono::steady_clock::now();
    CHECK(f.apply([](Made& m, Shapes) {
             for (int i = 100; i < 4000; ++i) m.upsert(i, "w" + std::to_string(i));
             for (int i = 0; i < 20; ++i) {
               const int a = 100 + 10 * i;
               m.upsert(a, "x").upsert(a + 1, "w" + std::to_string(a));
               m.upsert(a, "w" + std::to_string(a + 1));
             }
           }).empty());
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{5});
    CHECK(f.target.text("SELECT string_agg(v, ' ' ORDER BY id) FROM " + f.table +
                        " WHERE id IN (290, 291, 292)") == "w291 w290 w292");
  }
  SECTION("rows that refer to each other") {
    f.target.exec("UPDATE " + f.table + " SET v = NULL; ALTER TABLE " + f.table +
                  " DROP CONSTRAINT in_the_way_v_check, ALTER v TYPE int USING NULL, ADD FOREIGN "
                  "KEY (v) REFERENCES " +
                  f.table);
    static const Layout numbers{
        {{"id", ValueType::integer, "int32", ""}, {"v", ValueType::integer, "int32", ""}}};
    CHECK(f.apply([](Made& m, Shapes) {
             m.row_layout = &numbers;
             m.upsert(10, "5").upsert(11, "10").upsert(10, "11").upsert(11, "4").upsert(10, "3");
             m.remove(5);
           }).empty());
    CHECK(f.target.number("SELECT count(*) FROM " + f.table) == 6);
  }
}

TEST_CASE(
    "sink: a row that needs another table's waits for it, one that needs its own is refused") {
  ShapesFixture f{"child"};
  f.target.exec(
      "DROP TABLE IF EXISTS sink_test.parent; CREATE TABLE sink_test.parent (v text PRIMARY "
      "KEY); INSERT INTO sink_test.parent SELECT v FROM " +
      f.table + "; ALTER TABLE " + f.table +
      " ADD CONSTRAINT to_parent FOREIGN KEY (v) REFERENCES sink_test.parent");
  const auto error = f.apply([](Made& m, Shapes) { m.upsert(1, "v2").upsert(2, "new"); });
  CHECK_THAT(error, ContainsSubstring("waits for table sink_test.parent: target table "
                                      "sink_test.child can't take record t[0]@1: violates foreign "
                                      "key constraint \"to_parent\""));
  CHECK(f.last.error().kind == Kind::waits);
  REQUIRE(f.last.error().culprit);
  CHECK(f.last.error().culprit->offset == RecordOffset{1});
  f.target.exec("INSERT INTO sink_test.parent VALUES ('new')");
  CHECK(f.apply([](Made& m, Shapes) { m.upsert(1, "v2").upsert(2, "new"); }).empty());

  SECTION("a row that is gone by the end of the batch is not missed") {
    CHECK(
        f.apply([](Made& m, Shapes) { m.upsert(8, "missing").upsert(9, "v1").remove(8); }).empty());
    CHECK(f.target.number("SELECT count(*) FROM " + f.table + " WHERE id IN (8, 9)") == 1);
  }
  SECTION("checked at COMMIT") {
    f.target.exec("ALTER TABLE " + f.table +
                  " ALTER CONSTRAINT to_parent DEFERRABLE INITIALLY "
                  "DEFERRED");
    const auto late = f.open();
    f.sink = f.open();
    f.apply([](Made& m, Shapes) { m.upsert(1, "v1").upsert(2, "newer"); });
    REQUIRE_FALSE(f.last.has_value());
    CHECK(f.last.error().kind == Kind::waits);
    REQUIRE(f.last.error().culprit);
    CHECK(f.last.error().culprit->offset == RecordOffset{3});
  }
  SECTION("checked at COMMIT, and what is before and behind a truncate") {
    f.target.exec("ALTER TABLE " + f.table + " ALTER CONSTRAINT to_parent DEFERRABLE");
    f.sink = f.open();
    f.apply([](Made& m, Shapes) {
      m.upsert(20, "gone").upsert(21, "gone").upsert(20, "gone").truncate();
      m.upsert(1, "v1").upsert(2, "newest").upsert(3, "v1");
    });
    REQUIRE_FALSE(f.last.has_value());
    INFO(f.last.error().message);
    CHECK(f.last.error().kind == Kind::waits);
    REQUIRE(f.last.error().culprit);
    CHECK(f.last.error().culprit->offset == RecordOffset{7});
    f.target.exec("INSERT INTO sink_test.parent VALUES ('newest')");
    CHECK(f.apply([](Made& m, Shapes) {
             m.upsert(20, "gone").truncate().upsert(1, "v1").upsert(2, "newest");
           }).empty());
    CHECK(f.all() == "1:v1(-) 2:newest(-)");
  }
  f.target.exec("DROP TABLE " + f.table + "; DROP TABLE sink_test.parent");
}

TEST_CASE("sink: a key that gets another form is another statement, and must fit the table's") {
  ShapesFixture f{"grown"};
  static const Layout grown{
      {{"id", ValueType::integer, "int32", ""}, {"v", ValueType::text, "string", ""}}};
  CHECK(f.apply([](Made& m, Shapes) { m.upsert(1, "a"); }).empty());
  CHECK_THAT(f.apply([](Made& m, Shapes s) {
    m.upsert(1, "b");
    s.last().key_layout = &grown;
    s.last().key = s.last().row;
  }),
             ContainsSubstring("has primary key (id) but the records' key is (id, v): ALTER TABLE "
                               "\"sink_test\".\"grown\" DROP CONSTRAINT \"grown_pkey\", ADD "
                               "PRIMARY KEY (\"id\", \"v\")"));
  // What came before the first such record can be applied, while the table is as it was.
  CHECK_FALSE(f.apply([](Made& m, Shapes s) {
                 m.upsert(2, "b").upsert(1, "b");
                 s.last().key_layout = &grown;
                 s.last().key = s.last().row;
               }).empty());
  REQUIRE(f.last.error().culprit);
  CHECK(f.last.error().culprit->offset == RecordOffset{2});
  CHECK(f.last.error().is_about_table);
  CHECK(f.all() == "1:a(1) 2:v2(2) 3:v3(3) 4:v4(4) 5:v5(5)");
  f.target.exec("ALTER TABLE " + f.table +
                " DROP CONSTRAINT grown_pkey, ALTER v SET NOT NULL; "
                "CREATE UNIQUE INDEX ON " +
                f.table + " (v, id)");
  CHECK(f.apply([](Made& m, Shapes s) {
           m.upsert(1, "b");
           s.last().key_layout = &grown;
           s.last().key = s.last().row;
         }).empty());
  CHECK(f.all() == "1:a(1) 1:b(-) 2:v2(2) 3:v3(3) 4:v4(4) 5:v5(5)");
}
