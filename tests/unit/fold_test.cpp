#include "lockstep/batch/fold.hpp"

#include <random>

#include "catch.hpp"

using namespace lockstep;

namespace {

const Relation users{"public", "users"};
const Relation orders{"public", "orders"};
const Layout key_layout{{{"id", ValueType::integer, "int32", ""}}};
const Layout row_layout{{{"id", ValueType::integer, "int32", ""}, {"v", ValueType::text, "", ""}}};
const Layout wider_layout{{{"id", ValueType::integer, "int32", ""},
                           {"v", ValueType::text, "", ""},
                           {"w", ValueType::text, "", ""}}};

/// A batch by hand: values are one-letter texts, keys are texts.
class Made {
 public:
  Made& upsert(const Relation& relation, std::string_view key, std::string_view value,
               const Layout& layout = row_layout) {
    Change& change = add(Op::create, relation, key);
    change.row_layout = &layout;
    std::vector<Cell> row{Cell{batch.arena.copy(key)}, Cell{batch.arena.copy(value)}};
    row.resize(layout.columns.size());
    change.row = batch.arena.copy(std::span<const Cell>{row});
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

  /// "users: -1 =2:b" for: remove key 1, upsert key 2 with value b; "T" for a truncate.
  std::string folded() const {
    std::string text;
    for (const auto& table : fold(batch)) {
      if (!text.empty()) text += "; ";
      text += table.relation->table + ":";
      if (table.truncate) text += " T";
      for (const auto& group : table.removes) {
        for (const auto* change : group.changes) text += " -" + std::string{change->key_bytes};
      }
      for (const auto& group : table.upserts) {
        if (&group != &table.upserts.front()) text += " |";
        for (const auto* change : group.changes) {
          text +=
              " =" + std::string{change->row[0].view()} + ":" + std::string{change->row[1].view()};
        }
      }
    }
    return text;
  }

  Batch batch;

 private:
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
      {"a changed key is a delete of the old one and an upsert of the new one",
       std::move(Made{}.remove(users, "1").upsert(users, "2", "a")), "users: -1 =2:a"},
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
      {"a key that changes its layout is in the last one only",
       std::move(Made{}.upsert(users, "1", "a").upsert(users, "1", "b", wider_layout)),
       "users: =1:b"},
  };
  for (const auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      CHECK(c.made.folded() == c.want);
    }
  }
}

TEST_CASE("fold: applying the folded changes equals applying all of them in order") {
  std::mt19937 random{20240229};  // NOLINT: the same histories in each run
  const auto below = [&](unsigned n) {
    return std::uniform_int_distribution<unsigned>{0, n - 1}(random);
  };
  for (int history = 0; history < 2000; ++history) {
    Made made;
    std::map<std::string, std::string> in_order{{"0", "old"}, {"1", "old"}, {"2", "old"}};
    auto from_fold = in_order;
    for (unsigned i = 0, n = below(12); i < n; ++i) {
      const std::string key = std::to_string(below(4));
      const std::string value = std::to_string(i);
      switch (below(8)) {
        case 0:
          made.truncate(users);
          in_order.clear();
          break;
        case 1:
        case 2:
        case 3:
          made.remove(users, key);
          in_order.erase(key);
          break;
        default:
          made.upsert(users, key, value);
          in_order[key] = value;
      }
    }
    for (const auto& table : fold(made.batch)) {
      if (table.truncate) from_fold.clear();
      for (const auto& group : table.removes) {
        for (const auto* change : group.changes) from_fold.erase(std::string{change->key_bytes});
      }
      for (const auto& group : table.upserts) {
        for (const auto* change : group.changes) {
          from_fold[std::string{change->key_bytes}] = std::string{change->row[1].view()};
        }
      }
    }
    REQUIRE(from_fold == in_order);
  }
}
