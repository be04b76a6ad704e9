#pragma once

#include <span>
#include <vector>

#include "lockstep/model/batch.hpp"

namespace lockstep {

/// Rows that have the same columns.
struct RowGroup {
  const Layout* layout = nullptr;
  std::vector<const Change*> changes;
};

/// What is left to do for one table after folding. No key is in it twice, so the order within is
/// free, but for the truncate, which comes first.
struct TableChanges {
  const Relation* relation = nullptr;
  bool truncate = false;
  std::vector<RowGroup> removes;  ///< by key layout
  std::vector<RowGroup> upserts;  ///< by row layout
};

/// Folds changes into the last state per table and key: of several changes of one key the last
/// wins, and a truncate drops what came before it. Tables come in the order of their first change.
/// Pure; the result points into the changes.
std::vector<TableChanges> fold(std::span<const Change> changes);
inline std::vector<TableChanges> fold(const Batch& batch) {
  return fold(std::span<const Change>{batch.changes});
}

}  // namespace lockstep
