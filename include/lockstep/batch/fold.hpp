#pragma once

#include <deque>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "lockstep/model/batch.hpp"

namespace lockstep {

/// Changes of one table whose keys have one form, in their order: what can be folded. A truncate
/// stands first.
struct Segment {
  const Relation* relation = nullptr;
  const Layout* key_layout = nullptr;  ///< nullptr: nothing but a truncate, or no key
  bool has_key = true;
  bool moves = false;  ///< a row gets another key
  bool truncate = false;
  bool has_loose_keys = false;  ///< see segments_of()
  std::vector<const Change*> changes;
};

/// Whether two keys of this form can be equal at the target although they are not the same bytes.
using HasLooseKeys = std::function<bool(const Relation& relation, const Layout& key)>;

/// Splits changes by table, in the order of the tables' first changes, and within a table wherever
/// the form of its keys changes. Where keys are loose a segment ends also between writing and
/// removing, since nobody here knows which of them are of one row.
std::vector<Segment> segments_of(std::span<const Change> changes,
                                 const HasLooseKeys& has_loose_keys);

/// Rows that one statement can write.
struct RowGroup {
  const Layout* layout = nullptr;  ///< of the rows; of removes: of the keys
  std::vector<bool> unchanged;     ///< columns that are not sent; empty: all are
  std::vector<const Change*> changes;
  std::vector<std::int64_t> counts;  ///< of rows without a key to remove: how many equal ones
};

/// What is left to do for a segment after folding, in the order in which it is to be done. No key
/// is in a step twice, so the order within is free, but for `moves`.
struct TableChanges {
  const Relation* relation = nullptr;
  const Layout* key_layout = nullptr;
  bool has_key = true;
  bool truncate = false;
  std::vector<RowGroup> removes;
  /// Rows that get another key, from Change::other_key. In an order in which each key is free when
  /// a row moves onto it.
  std::vector<RowGroup> moves;
  /// The same, in circles: no key is ever free. Each is a group; `unchanged` has the columns that
  /// are not sent of any of its rows.
  std::vector<RowGroup> rotations;
  std::vector<RowGroup> updates;  ///< rows with unchanged values
  std::vector<RowGroup> upserts;  ///< whole rows
  /// A row gets a key that another still has: what frees it comes with a later change of the
  /// source's transaction.
  const Change* unfinished = nullptr;

  std::deque<Change> made;  ///< of several changes, where one of them alone does not say all
  Arena arena;              ///< what those point into
};

/// Of a segment with moves: the keys of which must be known whether the target has them.
std::vector<Key> keys_in_question(const Segment& segment);

/// Folds changes into the last state per key: of several changes of one key the last wins, and
/// takes from those before it what it was not sent; rows that get another key are followed. Of rows
/// without a key as many are removed and written as the changes amount to.
/// `on_target`: whether the target has a key, by its bytes; asked about keys_in_question() only.
/// Pure; the result points into the changes.
TableChanges fold(const Segment& segment,
                  const std::function<bool(std::string_view key)>& on_target);

}  // namespace lockstep
