#include "lockstep/batch/cut.hpp"

#include <algorithm>

namespace lockstep {

bool cut_before(Batch& batch, const RecordPlace& culprit) {
  const auto at = std::find_if(batch.changes.begin(), batch.changes.end(), [&](const auto& change) {
    return change.partition == culprit.partition.partition && change.offset == culprit.offset;
  });
  if (at == batch.changes.end() || !batch.letters.empty()) return false;
  batch.changes.erase(at, batch.changes.end());
  if (!batch.origins.empty()) batch.origins.resize(batch.changes.size());
  batch.records = batch.changes.size();
  std::erase_if(batch.slices, [&](Slice& slice) {
    const bool is_culprits = slice.partition == culprit.partition;
    const auto last =
        std::find_if(batch.changes.rbegin(), batch.changes.rend(),
                     [&](const auto& c) { return c.partition == slice.partition.partition; });
    const bool has_changes = last != batch.changes.rend();
    slice.source_ts_us = has_changes ? last->source_ts_us : 0;
    slice.source_position = has_changes ? last->source_position : std::string_view{};
    // In its own partition all that came before it is in the batch, or was to be skipped.
    if (is_culprits) slice.next = NextOffset{culprit.offset.value};
    if (!is_culprits && has_changes) slice.next = after(last->offset);
    return is_culprits && slice.expected ? *slice.expected == slice.next : !has_changes;
  });
  return !batch.slices.empty();
}

}  // namespace lockstep
