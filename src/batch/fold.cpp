#include "lockstep/batch/fold.hpp"

#include <string_view>
#include <unordered_map>

namespace lockstep {

namespace {

void add_to_group(std::vector<RowGroup>& groups, const Layout* layout, const Change& change) {
  for (auto& group : groups) {  // a table has one layout, or two around a schema change
    if (group.layout == layout) {
      group.changes.push_back(&change);
      return;
    }
  }
  groups.push_back({layout, {&change}});
}

/// The last change of each key of one table, in the order in which the keys first came.
class LastPerKey {
 public:
  explicit LastPerKey(std::size_t expected) { index_.reserve(expected); }

  void add(const Change& change) {
    if (change.op == Op::truncate) {
      truncate_ = true;
      index_.clear();
      last_.clear();
      return;
    }
    const auto [at, is_new] = index_.try_emplace(change.key_bytes, last_.size());
    if (is_new) {
      last_.push_back(&change);
    } else {
      last_[at->second] = &change;
    }
  }

  TableChanges take(const Relation* relation) const {
    TableChanges table{relation, truncate_, {}, {}};
    for (const Change* change : last_) {
      if (is_upsert(change->op)) {
        add_to_group(table.upserts, change->row_layout, *change);
      } else {
        add_to_group(table.removes, change->key_layout, *change);
      }
    }
    return table;
  }

 private:
  bool truncate_ = false;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::vector<const Change*> last_;
};

}  // namespace

std::vector<TableChanges> fold(std::span<const Change> changes) {
  std::vector<std::pair<const Relation*, LastPerKey>> tables;
  for (const Change& change : changes) {
    auto at = tables.begin();
    while (at != tables.end() && at->first != change.relation) ++at;
    if (at == tables.end()) {
      tables.emplace_back(change.relation, LastPerKey{changes.size()});
      at = tables.end() - 1;
    }
    at->second.add(change);
  }
  std::vector<TableChanges> folded;
  folded.reserve(tables.size());
  for (const auto& [relation, last_per_key] : tables) folded.push_back(last_per_key.take(relation));
  return folded;
}

}  // namespace lockstep
