#include "lockstep/batch/fold.hpp"

#include <map>
#include <random>
#include <set>

#include "catch.hpp"

using namespace lockstep;

namespace {

const Relation users{"public", "users"};
const Relation orders{"public", "orders"};
const Layout key_layout{{{"id", ValueType::integer, "int32", ""}}};
const Layout other_key_layout{{{"id", ValueType::integer, "int64", ""}}};
const Layout row_layout{{{"id", ValueType::integer, "int32", ""}, {"v", ValueType::text, "", ""}}};
const Layout wider_layout{{{"id", ValueType::integer, "int32", ""},
                           {"v", ValueType::text, "", ""},
                           {"w", ValueType::text, "", ""}}};
constexpr std::string_view not_sent = "?";

/// A batch by hand: values are one-letter texts, keys are texts. "?" is a value that is not sent.
class Made {
 public:
  Made& upsert(const Relation& relation, std::string_view key, std::string_view value,
               const Layout& layout = row_layout) {
    row(add(Op::create, relation, key), key, value, layout);
    return *this;
  }
  Made& remove(const Relation& relation, std::string_view key) {
    add(Op::remove, relation, key);
    return *this;
  }
  Made& truncate(const Relation& relation) {
    add(Op::truncate, relation, {});
    return *this;
  }
  // Of users:
  Made& put(std::string_view key, std::string_view value) { return upsert(users, key, value); }
  Made& del(std::string_view key) { return remove(users, key); }
  Made& move(std::string_view from, std::string_view to, std::string_view value) {
    Change& change = add(Op::create, users, to);
    row(change, to, value, row_layout);
    change.other_key = key_of(from);
    change.in_order = true;
    return *this;
  }
  /// The two halves of a move, in a topic of several partitions.
  Made& leave(std::string_view from, std::string_view to) {
    add(Op::remove, users, from).other_key = key_of(to);
    return *this;
  }
  Made& arrive(std::string_view from, std::string_view to, std::string_view value) {
    move(from, to, value);
    batch.changes.back().in_order = false;
    return *this;
  }
  /// When the source has committed the last one.
  Made& at(std::int64_t source_ts_us) {
    batch.changes.back().source_ts_us = source_ts_us;
    return *this;
  }
  Made& with_key_layout(const Layout& layout) {
    batch.changes.back().key_layout = &layout;
    return *this;
  }
  /// Of a table without a key; "" is no row.
  Made& keyless(std::string_view before, std::string_view after) {
    const Op op = before.empty() ? Op::create : after.empty() ? Op::remove : Op::update;
    Change& change = add(op, users, {});
    change.has_key = false;
    change.key_layout = nullptr;
    if (!before.empty()) {
      change.key_layout = &row_layout;
      change.key = cells_of("", before);
    }
    if (!after.empty()) row(change, "", after, row_layout);
    return *this;
  }

  Batch batch;

 private:
  std::span<const Cell> cells_of(std::string_view key, std::string_view value,
                                 const Layout& layout = row_layout) {
    std::vector<Cell> row{Cell{batch.arena.copy(key)}, Cell{batch.arena.copy(value)}};
    if (value == not_sent) row[1] = Cell::unchanged();
    row.resize(layout.columns.size());
    return batch.arena.copy(std::span<const Cell>{row});
  }
  void row(Change& change, std::string_view key, std::string_view value, const Layout& layout) {
    change.row_layout = &layout;
    change.row = cells_of(key, value, layout);
    change.has_unchanged = value == not_sent;
  }
  const Key* key_of(std::string_view key) {
    const Key made{&key_layout, {}, batch.arena.copy(key)};
    return batch.arena.copy(std::span<const Key>{&made, 1}).data();
  }
  Change& add(Op op, const Relation& relation, std::string_view key) {
    Change change;
    change.op = op;
    change.relation = &relation;
    change.key_bytes = batch.arena.copy(key);
    change.key_layout = &key_layout;
    batch.changes.push_back(change);
    return batch.changes.back();
  }
};

using Keys = std::set<std::string, std::less<>>;

bool no_loose_keys(const Relation&, const Layout&) {
  return false;
}

std::string text_of(const Change& row) {
  return std::string{row.key_bytes} + ":" +
         (row.row[1].is_unchanged() ? std::string{not_sent} : std::string{row.row[1].view()});
}

std::string text_of(const TableChanges& table) {
  std::string text = table.relation->table + ":";
  if (table.truncate) text += " T";
  for (const auto& group : table.removes) {
    for (std::size_t i = 0; i < group.changes.size(); ++i) {
      text += " -" + (table.has_key ? std::string{group.changes[i]->key_bytes}
                                    : std::string{group.changes[i]->key[1].view()} + "*" +
                                          std::to_string(group.counts[i]));
    }
  }
  const auto add = [&](const std::vector<RowGroup>& groups, const std::string& sign) {
    for (const auto& group : groups) {
      if (&group != &groups.front() && sign == "=") text += " |";
      for (const auto* change : group.changes) {
        const auto* const from = sign == "=" || sign == "~" ? nullptr : change->other_key;
        text += " " + (from == nullptr ? "" : std::string{from->bytes}) + sign + text_of(*change);
      }
    }
  };
  add(table.moves, ">");
  add(table.rotations, "@");
  add(table.updates, "~");
  add(table.upserts, "=");
  if (table.unfinished != nullptr) text += " unfinished";
  return text;
}

/// "users: -1 2>3:a =2:b" for: remove key 1, move the row 2 to 3 with value a, upsert key 2 with
/// value b; "T" for a truncate, "~" for a row that is not sent as a whole, "@" for keys that
/// rotate.
std::string folded(const Made& made, const Keys& on_target = {}) {
  std::string text;
  for (const auto& segment : segments_of(made.batch.changes, no_loose_keys)) {
    const auto table = fold(segment, [&](std::string_view key) { return on_target.contains(key); });
    text += (text.empty() ? "" : "; ") + text_of(table);
  }
  return text;
}

}  // namespace

TEST_CASE("fold: of several changes of a key the last state is left") {
  struct Case {
    std::string_view name;
    Made made;
    std::string want;
  };
  Case cases[] = {
      {"nothing from nothing", Made{}, ""},
      {"different keys all stay", std::move(Made{}.upsert(users, "1", "a").upsert(users, "2", "b")),
       "users: =1:a =2:b"},
      {"the last of two upserts wins",
       std::move(Made{}.upsert(users, "1", "a").upsert(users, "1", "b")), "users: =1:b"},
      {"a delete after an upsert is a delete",
       std::move(Made{}.upsert(users, "1", "a").remove(users, "1")), "users: -1"},
      {"a create after a delete is an upsert",
       std::move(Made{}.remove(users, "1").upsert(users, "1", "b")), "users: =1:b"},
      {"a delete and its tombstone are one delete",
       std::move(Made{}.remove(users, "1").remove(users, "1")), "users: -1"},
      {"a truncate drops what came before it",
       std::move(Made{}.upsert(users, "1", "a").remove(users, "2").truncate(users)), "users: T"},
      {"changes after a truncate stay",
       std::move(Made{}.upsert(users, "1", "a").truncate(users).upsert(users, "1", "b")),
       "users: T =1:b"},
      {"a truncate leaves other tables alone",
       std::move(Made{}.upsert(orders, "1", "a").upsert(users, "1", "b").truncate(users)),
       "orders: =1:a; users: T"},
      {"the same key of two tables is two rows",
       std::move(Made{}.upsert(users, "1", "a").upsert(orders, "1", "b").remove(users, "1")),
       "users: -1; orders: =1:b"},
      {"rows of two layouts are two groups",
       std::move(Made{}.upsert(users, "1", "a").upsert(users, "2", "b", wider_layout)),
       "users: =1:a | =2:b"},
      {"a row that changes its layout is in the last one only",
       std::move(Made{}.upsert(users, "1", "a").upsert(users, "1", "b", wider_layout)),
       "users: =1:b"},
      {"a value that is not sent stays with the target", std::move(Made{}.put("1", "?")),
       "users: ~1:?"},
      {"it is that of the change before", std::move(Made{}.put("1", "a").put("1", "?")),
       "users: =1:a"},
      {"also of one before that, and of another layout",
       std::move(Made{}.put("1", "a").put("1", "?").upsert(users, "1", "?", wider_layout)),
       "users: =1:a"},
      {"if it was sent there", std::move(Made{}.put("1", "?").put("1", "?")), "users: ~1:?"},
      {"what was deleted has no value to give", std::move(Made{}.del("1").put("1", "?")),
       "users: ~1:?"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(folded(c.made) == c.want);
    }
  }
}

TEST_CASE("fold: keys of another form are not folded with those before") {
  CHECK(folded(Made{}.put("1", "a").put("1", "b").with_key_layout(other_key_layout)) ==
        "users: =1:a; users: =1:b");
  CHECK(folded(Made{}
                   .put("1", "a")
                   .del("1")
                   .with_key_layout(other_key_layout)
                   .upsert(orders, "1", "c")
                   .put("1", "d")) == "users: =1:a; users: -1; users: =1:d; orders: =1:c");
  CHECK(folded(Made{}
                   .put("1", "a")
                   .put("1", "b")
                   .with_key_layout(other_key_layout)
                   .truncate(users)
                   .put("2", "c")) == "users: T =2:c");
  CHECK(folded(Made{}.put("1", "a").keyless("", "b")) == "users: =1:a; users: =:b");
}

TEST_CASE("fold: where equal keys can differ, writing and removing keep their order") {
  const Made made = std::move(
      Made{}.put("a", "1").put("b", "2").del("A").del("B").put("A", "3").move("A", "a", "4"));
  std::string text;
  for (const auto& segment :
       segments_of(made.batch.changes, [](const Relation&, const Layout&) { return true; })) {
    CHECK(keys_in_question(segment).empty());
    text += text_of(fold(segment, [](std::string_view) { return false; })) + "; ";
  }
  CHECK(text == "users: =a:1 =b:2; users: -A -B; users: =A:3; users: A>a:4; ");
}

TEST_CASE("fold: a row is followed from key to key") {
  struct Case {
    std::string_view name;
    Made made;
    Keys on_target;
    std::string want;
  };
  Case cases[] = {
      {"a move", std::move(Made{}.move("1", "2", "a")), {"1"}, "users: 1>2:a"},
      {"with values that are not sent",
       std::move(Made{}.move("1", "2", "?")),
       {"1"},
       "users: 1>2:?"},
      {"a row that is there under its new key",
       std::move(Made{}.move("1", "2", "?")),
       {"2"},
       "users: ~2:?"},
      {"a row that is not there at all", std::move(Made{}.move("1", "2", "a")), {}, "users: =2:a"},
      {"a chain", std::move(Made{}.move("1", "2", "?").move("2", "3", "?")), {"1"}, "users: 1>3:?"},
      {"a chain back to where it began",
       std::move(Made{}.move("1", "2", "?").move("2", "1", "b")),
       {"1"},
       "users: =1:b"},
      {"an update before",
       std::move(Made{}.put("1", "a").move("1", "2", "?")),
       {"1"},
       "users: 1>2:a"},
      {"an update after",
       std::move(Made{}.move("1", "2", "?").put("2", "b")),
       {"1"},
       "users: 1>2:b"},
      {"one after that does not send it",
       std::move(Made{}.move("1", "2", "a").put("2", "?")),
       {"1"},
       "users: 1>2:a"},
      {"then a delete", std::move(Made{}.move("1", "2", "a").del("2")), {"1"}, "users: -1"},
      {"a delete, then a move onto the key",
       std::move(Made{}.del("2").move("1", "2", "a")),
       {"1", "2"},
       "users: -2 1>2:a"},
      {"a create where it was",
       std::move(Made{}.move("1", "2", "a").put("1", "b")),
       {"1"},
       "users: 1>2:a =1:b"},
      {"a create where it was, and that deleted",
       std::move(Made{}.move("1", "2", "a").put("1", "b").del("1")),
       {"1"},
       "users: 1>2:a"},
      {"of a row that is new",
       std::move(Made{}.put("1", "a").move("1", "2", "?")),
       {},
       "users: =2:a"},
      {"a delete and a create of the key before",
       std::move(Made{}.del("1").put("1", "a").move("1", "2", "?")),
       {"1"},
       "users: -1 =2:a"},
      {"rows that follow each other, the last one first",
       std::move(Made{}.move("3", "4", "c").move("2", "3", "b").move("1", "2", "a")),
       {"1", "2", "3"},
       "users: 3>4:c 2>3:b 1>2:a"},
      {"through a key that is free again",
       std::move(Made{}.move("1", "9", "?").move("2", "1", "?").move("9", "2", "?")),
       {"1", "2"},
       "users: 1@2:? 2@1:?"},
      {"two rows that swap, the source checks keys at the end",
       std::move(Made{}.move("1", "2", "a").move("2", "1", "b")),
       {"1", "2"},
       "users: 2@1:b 1@2:a"},
      {"the same, one of them new",
       std::move(Made{}.put("2", "x").move("1", "2", "a").move("2", "1", "?")),
       {"1"},
       "users: 1>2:a =1:x"},
      {"three in a circle",
       std::move(Made{}.move("1", "2", "?").move("2", "3", "?").move("3", "1", "?")),
       {"1", "2", "3"},
       "users: 3@1:? 2@3:? 1@2:?"},
      {"all one further, the source checks keys at the end",
       std::move(Made{}.move("1", "2", "a").move("2", "3", "b").move("3", "4", "c")),
       {"1", "2", "3"},
       "users: 3>4:c 2>3:b 1>2:a"},
      {"a row that goes when another has come",
       std::move(Made{}.move("1", "2", "a").del("2")),
       {"1", "2"},
       "users: -2 1>2:a"},
      {"two rows with one key, for now",
       std::move(Made{}.move("1", "2", "a")),
       {"1", "2"},
       "users: 1>2:a unfinished"},
      {"the same, and another transaction",
       std::move(Made{}.move("1", "2", "a").at(1).put("3", "c").at(2)),
       {"1", "2"},
       "users: -2 1>2:a =3:c"},
      {"the same, with a value that was not sent, and what becomes of the row then",
       std::move(Made{}.move("1", "2", "?").at(1).put("2", "b").at(2)),
       {"1", "2"},
       "users: -2 1>2:b"},
      {"the same, and the row is deleted",
       std::move(Made{}.move("1", "2", "a").at(1).del("2").at(2)),
       {"1", "2"},
       "users: -2 -1"},
      {"in one transaction the other row goes",
       std::move(Made{}.move("1", "2", "a").at(1).del("2").at(1).put("3", "c").at(2)),
       {"1", "2"},
       "users: -2 1>2:a =3:c"},
      {"after a truncate",
       std::move(Made{}.truncate(users).put("1", "a").move("1", "2", "?")),
       {"1", "2"},
       "users: T =2:a"},
      {"a key that is only written otherwise",
       std::move(Made{}.move("1", "1", "a")),
       {"1"},
       "users: 1>1:a"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(folded(c.made, c.on_target) == c.want);
    }
  }
}

TEST_CASE("fold: between partitions a new key is a delete and a create") {
  struct Case {
    std::string_view name;
    Made made;
    std::string want;
  };
  Case cases[] = {
      {"in order", std::move(Made{}.leave("1", "2").del("1").arrive("1", "2", "a")),
       "users: -1 =2:a"},
      {"the other way round", std::move(Made{}.arrive("1", "2", "a").leave("1", "2")),
       "users: -1 =2:a"},
      {"with the values of the row that goes",
       std::move(Made{}.leave("1", "2").del("1").arrive("1", "2", "?")), "users: 1>2:?"},
      {"and what was changed before",
       std::move(Made{}.arrive("1", "2", "?").put("1", "a").leave("1", "2")), "users: 1>2:a"},
      {"also if its key has a new row",
       std::move(Made{}.put("1", "a").leave("1", "2").put("1", "b").arrive("1", "2", "?")),
       "users: 1>2:a =1:b"},
      {"but not of a row that went elsewhere",
       std::move(Made{}.leave("1", "3").arrive("1", "2", "?")), "users: -1 ~2:?"},
      {"nor of one of two",
       std::move(Made{}.leave("1", "2").put("1", "b").leave("1", "2").arrive("1", "2", "?")),
       "users: -1 ~2:?"},
      {"nor of one that is not here", std::move(Made{}.arrive("1", "2", "?")), "users: ~2:?"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(folded(c.made, {"1"}) == c.want);
    }
  }
}

TEST_CASE("fold: of rows without a key as many are left as came and went") {
  CHECK(folded(Made{}.keyless("", "a").keyless("", "a").keyless("", "b")) == "users: =:a =:a =:b");
  CHECK(folded(Made{}.keyless("", "a").keyless("a", "").keyless("", "b")) == "users: =:b");
  CHECK(folded(Made{}.keyless("a", "").keyless("a", "").keyless("a", "b")) == "users: -a*3 =:b");
  CHECK(folded(Made{}.keyless("a", "b").keyless("b", "c")) == "users: -a*1 =:c");
  CHECK(folded(Made{}.keyless("a", "b").truncate(users).keyless("", "c")) == "users: T =:c");
}

TEST_CASE("fold: applying the folded changes equals applying all of them in order") {
  std::mt19937 random{20240229};  // NOLINT: the same histories in each run
  const auto below = [&](unsigned n) {
    return std::uniform_int_distribution<unsigned>{0, n - 1}(random);
  };
  using Table = std::map<std::string, std::string, std::less<>>;
  std::map<std::string, int> done;
  for (int history = 0; history < 5000; ++history) {
    Made made;
    const Table old{{"0", "o0"}, {"1", "o1"}, {"2", "o2"}};
    Table in_order = old;
    for (unsigned i = 0, n = below(30); i < n; ++i) {
      const std::string key = std::to_string(below(5));
      const std::string to = std::to_string(below(5));
      const bool is_sent = below(3) > 0;
      const std::string value = "n" + std::to_string(i);
      const auto at = in_order.find(key);
      const unsigned kind = below(60);
      if (kind == 0) {
        made.truncate(users);
        in_order.clear();
      } else if (kind < 6 && at != in_order.end()) {
        made.del(key);
        in_order.erase(at);
        ++done["delete"];
      } else if (kind < 46 && at != in_order.end() && !in_order.contains(to)) {
        made.move(key, to, is_sent ? value : "?");
        in_order[to] = is_sent ? value : at->second;
        in_order.erase(key);
        ++done["move"];
      } else if (at != in_order.end()) {
        made.put(key, is_sent ? value : "?");
        if (is_sent) at->second = value;
        ++done["update"];
      } else {
        made.put(key, value);
        in_order[key] = value;
        ++done["create"];
      }
    }
    Table from_fold = old;
    for (const auto& segment : segments_of(made.batch.changes, no_loose_keys)) {
      const auto table = fold(segment, [&](std::string_view key) { return old.contains(key); });
      REQUIRE(table.unfinished == nullptr);
      if (table.truncate) from_fold.clear();
      for (const auto& group : table.removes) {
        for (const auto* change : group.changes) from_fold.erase(std::string{change->key_bytes});
      }
      const auto write = [&](const std::string& from, const Change& change, Table& into) {
        const auto was = from_fold.find(from);
        std::string value{change.row[1].view()};
        if (change.row[1].is_unchanged()) {
          REQUIRE(was != from_fold.end());
          value = was->second;
        }
        into[std::string{change.key_bytes}] = value;
      };
      for (const auto& group : table.moves) {
        for (const auto* change : group.changes) {
          const std::string from{change->other_key->bytes};
          REQUIRE_FALSE((change->key_bytes != from && from_fold.contains(change->key_bytes)));
          REQUIRE(from_fold.contains(from));
          Table moved;
          write(from, *change, moved);
          from_fold.erase(from);
          from_fold.merge(moved);
        }
      }
      Table rotated;
      for (const auto& group : table.rotations) {
        for (const auto* change : group.changes) {
          write(std::string{change->other_key->bytes}, *change, rotated);
          ++done["rotation"];
        }
      }
      for (const auto& [key, value] : rotated) from_fold[key] = value;
      for (const auto* groups : {&table.updates, &table.upserts}) {
        for (const auto& group : *groups) {
          for (const auto* change : group.changes) {
            write(std::string{change->key_bytes}, *change, from_fold);
          }
        }
      }
    }
    REQUIRE(from_fold == in_order);
  }
  for (const auto* kind : {"delete", "move", "update", "create", "rotation"}) {
    CAPTURE(kind, done[kind]);
    CHECK(done[kind] > 20);
  }
}
