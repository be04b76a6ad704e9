#include "lockstep/batch/cut.hpp"

#include <algorithm>

namespace lockstep {

bool cut_before(Batch& batch, const SinkError::Culprit& culprit) {
  const auto at = std::find_if(batch.changes.begin(), batch.changes.end(), [&](const auto& change) {
    return change.partition == culprit.partition.partition && change.offset == culprit.offset;
  });
  if (at == batch.changes.begin() || at == batch.changes.end() || !batch.letters.empty()) {
    return false;
  }
  batch.changes.erase(at, batch.changes.end());
  batch.records = batch.changes.size();
  std::erase_if(batch.slices, [&](Slice& slice) {
    const auto last =
        std::find_if(batch.changes.rbegin(), batch.changes.rend(),
                     [&](const auto& c) { return c.partition == slice.partition.partition; });
    if (last == batch.changes.rend()) return true;
    slice.next = after(last->offset);
    slice.source_ts_us = last->source_ts_us;
    slice.source_position = last->source_position;
    return false;
  });
  return true;
}

}  // namespace lockstep
