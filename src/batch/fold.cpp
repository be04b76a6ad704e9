#include "lockstep/batch/fold.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>

namespace lockstep {

namespace {

// ---- Segments

/// A table's segments, while changes are added.
struct Table {
  const Relation* relation = nullptr;
  std::vector<Segment> segments;
};

const Layout* form_of(const Change& change) {
  if (change.has_key) return change.key_layout;
  return change.key_layout != nullptr ? change.key_layout : change.row_layout;
}

bool is_move(const Change& change) {
  return change.other_key != nullptr;
}

/// Whether the change can't stand in one segment with the one before it.
bool begins_segment(const Segment& segment, const Change& change) {
  if (segment.changes.empty()) return false;
  if (segment.has_key != change.has_key || segment.key_layout != form_of(change)) return true;
  if (!segment.has_loose_keys) return false;
  const Change& before = *segment.changes.back();
  return is_move(before) || is_move(change) || is_upsert(before.op) != is_upsert(change.op) ||
         change.has_unchanged;
}

void add(Table& table, const Change& change, const HasLooseKeys& has_loose_keys) {
  if (change.op == Op::truncate) {
    table.segments.assign(1, {});
    table.segments.back().relation = table.relation;
    table.segments.back().truncate = true;
    return;
  }
  if (table.segments.empty() || begins_segment(table.segments.back(), change)) {
    table.segments.emplace_back().relation = table.relation;
  }
  Segment& segment = table.segments.back();
  if (segment.changes.empty()) {
    segment.key_layout = form_of(change);
    segment.has_key = change.has_key;
    segment.has_loose_keys = change.has_key && has_loose_keys(*change.relation, *change.key_layout);
  }
  segment.moves = segment.moves || is_move(change);
  segment.changes.push_back(&change);
}

// ---- Groups

std::vector<bool> unchanged_of(const Change& change) {
  if (!change.has_unchanged) return {};
  std::vector<bool> unchanged;
  unchanged.reserve(change.row.size());
  for (const Cell& cell : change.row) unchanged.push_back(cell.is_unchanged());
  return unchanged;
}

RowGroup& group_of(std::vector<RowGroup>& groups, const Layout* layout,
                   std::vector<bool> unchanged) {
  for (auto& group : groups) {  // a table has one layout, or two around a schema change
    if (group.layout == layout && group.unchanged == unchanged) return group;
  }
  groups.push_back({layout, std::move(unchanged), {}, {}});
  return groups.back();
}

void add_row(std::vector<RowGroup>& groups, const Change& row) {
  group_of(groups, row.row_layout, unchanged_of(row)).changes.push_back(&row);
}

/// The same, but behind all rows that were added before.
void append_row(std::vector<RowGroup>& groups, const Change& row) {
  auto unchanged = unchanged_of(row);
  if (groups.empty() || groups.back().layout != row.row_layout ||
      groups.back().unchanged != unchanged) {
    groups.push_back({row.row_layout, std::move(unchanged), {}, {}});
  }
  groups.back().changes.push_back(&row);
}

void add_remove(TableChanges& table, const Change& change) {
  group_of(table.removes, table.key_layout, {}).changes.push_back(&change);
}

void add_whole_or_partial(TableChanges& table, const Change& row) {
  add_row(row.has_unchanged ? table.updates : table.upserts, row);
}

// ---- One change of two

const Cell* find(const Change& row, const std::string& column) {
  const auto& columns = row.row_layout->columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == column) return &row.row[i];
  }
  return nullptr;
}

/// `later`, with what it was not sent taken from the change of the same row before it.
const Change& merged(const Change& later, const Change& earlier, TableChanges& table) {
  if (!later.has_unchanged) return later;
  std::vector<Cell> row{later.row.begin(), later.row.end()};
  bool has_unchanged = false;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!row[i].is_unchanged()) continue;
    const Cell* const known = earlier.row_layout == later.row_layout
                                  ? &earlier.row[i]
                                  : find(earlier, later.row_layout->columns[i].name);
    if (known != nullptr) row[i] = *known;
    has_unchanged = has_unchanged || row[i].is_unchanged();
  }
  Change& made = table.made.emplace_back(later);
  made.row = table.arena.copy(std::span<const Cell>{row});
  made.has_unchanged = has_unchanged;
  if (made.other_key == nullptr && earlier.other_key != nullptr) {
    made.other_key = earlier.other_key;
    made.in_order = earlier.in_order;
  }
  return made;
}

/// A row with the columns of another layout; those that it does not have are as the target has
/// them.
const Change& in_layout(const Layout& layout, const Change& change, TableChanges& table) {
  if (change.row_layout == &layout) return change;
  std::vector<Cell> row;
  for (const auto& column : layout.columns) {
    const Cell* const cell = find(change, column.name);
    row.push_back(cell == nullptr ? Cell::unchanged() : *cell);
  }
  Change& made = table.made.emplace_back(change);
  made.row_layout = &layout;
  made.row = table.arena.copy(std::span<const Cell>{row});
  made.has_unchanged = true;
  return made;
}

// ---- Rows that keep their key

/// The last change of each key, in the order in which the keys first came.
class LastPerKey {
 public:
  LastPerKey(TableChanges& table, std::size_t expected) : table_{table} {
    index_.reserve(expected);
    last_.reserve(expected);
  }

  void add(const Change& change) {
    const auto [at, is_new] = index_.try_emplace(change.key_bytes, last_.size());
    if (is_new) {
      last_.push_back(&change);
      return;
    }
    const Change*& last = last_[at->second];
    last = change.has_unchanged && is_upsert(last->op) ? &merged(change, *last, table_) : &change;
  }

  void finish() {
    for (const Change* change : last_) {
      if (is_upsert(change->op)) {
        add_whole_or_partial(table_, *change);
      } else {
        add_remove(table_, *change);
      }
    }
  }

 private:
  TableChanges& table_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::vector<const Change*> last_;
};

// ---- Rows that get other keys

/// Follows rows from key to key. A slot is a key: the row that is there now, and what becomes of
/// the row that the target has there.
class Tracker {
 public:
  Tracker(TableChanges& table, const Segment& segment,
          const std::function<bool(std::string_view)>& on_target)
      : table_{table}, truncated_{segment.truncate} {
    for (const Key& key : keys_in_question(segment)) {
      known_.try_emplace(key.bytes, on_target(key.bytes));
    }
  }

  void add(const Change& change) {
    give_up_displaced(change);
    if (is_move(change) && change.in_order) {
      move(change);
    } else if (is_upsert(change.op)) {
      write(slot_of(own_key(change)), change);
    } else {
      remove(slot_of(own_key(change)), change);
    }
  }

  void finish() {
    for (auto& slot : slots_) take_from_departed(slot);
    for (std::size_t i = 0; i < slots_.size(); ++i) finish(i);
    finish_moves();
  }

 private:
  static constexpr auto none = std::numeric_limits<std::size_t>::max();

  enum class Fate : std::uint8_t { kept, removed, moved };

  /// A row: what is known of it, and the slot where the target has it.
  struct Row {
    const Change* change = nullptr;  ///< nullptr: it is as the target has it
    std::size_t origin = none;       ///< none: it is not on the target
  };
  struct Slot {
    Key key;
    bool touched = false;
    bool here = false;  ///< there is a row now
    Row row;
    Fate before = Fate::kept;  ///< of the target's own row
    const Change* removed_by = nullptr;
    bool rekeyed = false;  ///< its key is written otherwise, though it is the same
    /// Rows that have the key, too, since the source checks it at the transaction's end.
    std::deque<Row> displaced;
    const Change* displaced_by = nullptr;
  };
  /// A row whose new key is in another partition.
  struct Departed {
    std::string_view from;
    std::string_view to;
    Row row;
  };

  static Key own_key(const Change& change) {
    return {change.key_layout, change.key, change.key_bytes};
  }

  std::size_t slot_of(const Key& key) {
    const auto [at, is_new] = index_.try_emplace(key.bytes, slots_.size());
    if (!is_new) return at->second;
    Slot& slot = slots_.emplace_back();
    slot.key = key;
    const auto known = known_.find(key.bytes);
    if (truncated_ || known != known_.end()) {
      slot.touched = true;
      slot.here = !truncated_ && known->second;
      if (slot.here) slot.row.origin = at->second;
    }
    return at->second;
  }

  void write(std::size_t at, const Change& change) {
    Slot& slot = slots_[at];
    if (slot.here && slot.row.change != nullptr) {
      slot.row.change = &merged(change, *slot.row.change, table_);
    } else {
      slot.row.change = &change;
      if (!slot.here) slot.row.origin = slot.touched ? none : at;
    }
    slot.touched = true;
    slot.here = true;
  }

  void remove(std::size_t at, const Change& change) {
    Slot& slot = slots_[at];
    if (!slot.touched) {
      slot.touched = true;
      slot.row = {nullptr, at};
      slot.here = true;
    }
    if (!slot.here) return;
    const Row gone = take_row(slot);
    if (gone.origin != none) {
      slots_[gone.origin].before = Fate::removed;
      slots_[gone.origin].removed_by = &change;
    }
    if (is_move(change)) departed_.push_back({slot.key.bytes, change.other_key->bytes, gone});
  }

  /// Of several rows with one key the one that was there first goes.
  static Row take_row(Slot& slot) {
    Row row;
    if (slot.displaced.empty()) {
      row = slot.row;
      slot.row = {};
      slot.here = false;
    } else {
      row = slot.displaced.front();
      slot.displaced.pop_front();
    }
    return row;
  }

  void move(const Change& change) {
    const std::size_t to = slot_of(own_key(change));
    const std::size_t from = slot_of(*change.other_key);
    if (from == to) {
      write(to, change);
      slots_[to].rekeyed = true;
      return;
    }
    if (!slots_[from].touched) {
      slots_[from].touched = true;
      slots_[from].here = true;
      slots_[from].row.origin = from;
    }
    if (!slots_[from].here) {  // the target has it under its new key already, or not at all
      write(to, change);
      return;
    }
    Row row = take_row(slots_[from]);
    row.change = row.change == nullptr ? &change : &merged(change, *row.change, table_);
    Slot& slot = slots_[to];
    if (slot.here) {
      slot.displaced.push_back(slot.row);
      slot.displaced_by = &change;
      crowded_.push_back(to);
    }
    slot.touched = true;
    slot.here = true;
    slot.row = row;
    if (row.origin != none) {
      slots_[row.origin].before = row.origin == to ? Fate::kept : Fate::moved;
    }
  }

  /// In a topic of several partitions a row's delete and its create come in any order. What the
  /// create was not sent is that of the row that was deleted for it, if both are here.
  void take_from_departed(Slot& slot) {
    const Change* const change = slot.here ? slot.row.change : nullptr;
    if (change == nullptr || !change->has_unchanged || !is_move(*change) || change->in_order) {
      return;
    }
    const auto fits = [&](const Departed& departed) {
      return departed.from == change->other_key->bytes && departed.to == slot.key.bytes;
    };
    const auto found = std::find_if(departed_.begin(), departed_.end(), fits);
    if (found == departed_.end()) return;
    // Its tombstone says the same again, but found no row; two rows that went the same way are two.
    if (std::find_if(found + 1, departed_.end(), fits) != departed_.end()) return;
    const Row& row = found->row;
    if (row.change != nullptr) slot.row.change = &merged(*change, *row.change, table_);
    if (row.origin != none && slots_[row.origin].before == Fate::removed) {
      slots_[row.origin].before = Fate::moved;
      slot.row.origin = row.origin;
    }
  }

  /// Where a row got the key of another, and the source's transaction has ended without freeing it,
  /// the source had no such row. (After a snapshot that was taken while the stream stood a row
  /// comes with its new key first, then it moves there.)
  void give_up_displaced(const Change& next) {
    if (next.source_ts_us == 0) return;
    for (auto at = crowded_.begin(); at != crowded_.end();) {
      Slot& slot = slots_[*at];
      const auto taken = slot.displaced.empty() ? 0 : slot.displaced_by->source_ts_us;
      if (!slot.displaced.empty() && (taken == 0 || taken == next.source_ts_us)) {
        ++at;
        continue;
      }
      for (const Row& row : slot.displaced) {
        if (row.origin == none) continue;
        slots_[row.origin].before = Fate::removed;
        slots_[row.origin].removed_by = slot.displaced_by;
      }
      slot.displaced.clear();
      at = crowded_.erase(at);
    }
  }

  void finish(std::size_t at) {
    Slot& slot = slots_[at];
    if (!slot.displaced.empty()) table_.unfinished = slot.displaced_by;
    const Change* const change = slot.here ? slot.row.change : nullptr;
    const bool is_overwritten =
        slot.here && slot.row.origin == none && change != nullptr && !change->has_unchanged;
    if (slot.before == Fate::removed && !is_overwritten) {
      add_remove(table_, with_key(*slot.removed_by, slot.key));
    }
    if (change == nullptr) return;
    if (slot.row.origin != at && slot.row.origin != none) {
      moving_.push_back(at);
    } else if (slot.rekeyed && slot.row.origin == at) {
      append_row(table_.moves, move_from(slot.key, *change));
    } else {
      add_whole_or_partial(table_, *change);
    }
  }

  const Change& with_key(const Change& change, const Key& key) {
    if (change.key_bytes == key.bytes) return change;
    Change& made = table_.made.emplace_back(change);
    made.key_layout = key.layout;
    made.key = key.cells;
    made.key_bytes = key.bytes;
    return made;
  }

  const Change& move_from(const Key& key, const Change& row) {
    Change& made = table_.made.emplace_back(row);
    made.other_key = table_.arena.copy(std::span<const Key>{&key, 1}).data();
    return made;
  }

  /// Each key is the origin of one move at most, and the end of one: they are chains and circles. A
  /// chain goes from its end.
  void finish_moves() {
    std::unordered_map<std::size_t, std::size_t> by_origin;
    for (const std::size_t at : moving_) by_origin.emplace(slots_[at].row.origin, at);
    std::vector<bool> done(slots_.size());
    std::vector<std::size_t> chain;
    for (const std::size_t begin : moving_) {
      chain.clear();
      std::size_t at = begin;
      while (!done[at]) {
        done[at] = true;
        chain.push_back(at);
        const auto next = by_origin.find(at);  // the move that frees this key
        if (next == by_origin.end()) break;
        at = next->second;
      }
      const bool is_circle = chain.size() > 1 && at == begin;
      if (is_circle) table_.rotations.push_back({slots_[begin].row.change->row_layout, {}, {}, {}});
      for (auto end = chain.rbegin(); end != chain.rend(); ++end) {
        const Slot& slot = slots_[*end];
        const Change& moved = move_from(slots_[slot.row.origin].key, *slot.row.change);
        if (is_circle) {
          add_to_circle(table_.rotations.back(), moved);
        } else {
          append_row(table_.moves, moved);
        }
      }
    }
  }

  /// One statement has to read all of its rows before it writes one: they get one layout.
  void add_to_circle(RowGroup& circle, const Change& change) {
    const Change& row = in_layout(*circle.layout, change, table_);
    circle.unchanged.resize(row.row.size());
    for (std::size_t i = 0; i < row.row.size(); ++i) {
      if (row.row[i].is_unchanged()) circle.unchanged[i] = true;
    }
    circle.changes.push_back(&row);
  }

  TableChanges& table_;
  const bool truncated_;
  std::vector<std::size_t> crowded_;  ///< slots with displaced rows
  std::unordered_map<std::string_view, bool> known_;
  std::unordered_map<std::string_view, std::size_t> index_;
  std::deque<Slot> slots_;
  std::vector<Departed> departed_;
  std::vector<std::size_t> moving_;  ///< slots that a row of another has come to
};

// ---- Rows without a key

std::string bytes_of(std::span<const Cell> row) {
  std::string bytes;
  for (const Cell& cell : row) {
    const auto size = static_cast<std::uint32_t>(cell.view().size());
    bytes += static_cast<char>(cell.kind());
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes += cell.view();
  }
  return bytes;
}

/// How many of each row there are more or less than before.
class Counts {
 public:
  explicit Counts(TableChanges& table) : table_{table} {}

  void add(const Change& change) {
    if (change.op == Op::update || change.op == Op::remove) {
      Count& count = of(change.key);
      --count.more;
      count.removed = &change;
    }
    if (is_upsert(change.op)) {
      Count& count = of(change.row);
      ++count.more;
      count.written = &change;
    }
  }

  void finish() {
    for (const Count& count : counts_) {
      if (count.more < 0) {
        auto& group = group_of(table_.removes, count.removed->key_layout, {});
        group.changes.push_back(count.removed);
        group.counts.push_back(-count.more);
      }
      for (std::int64_t i = 0; i < count.more; ++i) add_row(table_.upserts, *count.written);
    }
  }

 private:
  struct Count {
    std::int64_t more = 0;
    const Change* written = nullptr;
    const Change* removed = nullptr;
  };

  Count& of(std::span<const Cell> row) {
    const auto [at, is_new] = index_.try_emplace(bytes_of(row), counts_.size());
    if (is_new) counts_.emplace_back();
    return counts_[at->second];
  }

  TableChanges& table_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<Count> counts_;
};

template <class Rows>
void fold_into(Rows rows, const Segment& segment) {
  for (const Change* change : segment.changes) rows.add(*change);
  rows.finish();
}

}  // namespace

std::vector<Segment> segments_of(std::span<const Change> changes,
                                 const HasLooseKeys& has_loose_keys) {
  std::vector<Table> tables;
  Table* last = nullptr;
  for (const Change& change : changes) {
    if (last == nullptr || last->relation != change.relation) {
      const auto found = std::find_if(tables.begin(), tables.end(), [&](const Table& table) {
        return table.relation == change.relation;
      });
      last = found != tables.end() ? &*found : &tables.emplace_back(Table{change.relation, {}});
    }
    add(*last, change, has_loose_keys);
  }
  std::vector<Segment> segments;
  for (auto& table : tables) {
    std::move(table.segments.begin(), table.segments.end(), std::back_inserter(segments));
  }
  return segments;
}

std::vector<Key> keys_in_question(const Segment& segment) {
  std::vector<Key> keys;
  if (!segment.moves || segment.truncate || segment.has_loose_keys) return keys;
  for (const Change* change : segment.changes) {
    if (!is_move(*change) || !change->in_order) continue;
    keys.push_back(*change->other_key);
    keys.push_back({change->key_layout, change->key, change->key_bytes});
  }
  return keys;
}

TableChanges fold(const Segment& segment,
                  const std::function<bool(std::string_view key)>& on_target) {
  TableChanges table;
  table.relation = segment.relation;
  table.key_layout = segment.key_layout;
  table.has_key = segment.has_key;
  table.truncate = segment.truncate;
  if (!segment.has_key) {
    fold_into(Counts{table}, segment);
  } else if (segment.moves) {
    fold_into(Tracker{table, segment, on_target}, segment);
  } else {
    fold_into(LastPerKey{table, segment.changes.size()}, segment);
  }
  return table;
}

}  // namespace lockstep
