#pragma once

#include <algorithm>
#include <chrono>

#include "lockstep/model/batch.hpp"

namespace lockstep {

/// The batch can't take another record.
inline bool is_full(const Batch& batch, const BatchLimits& limits) {
  return batch.records >= limits.max_events || batch.bytes() >= limits.max_bytes;
}

/// When a batch that is not full should be applied. One without changes only moves offsets past
/// skipped records: that can wait.
inline std::chrono::steady_clock::time_point due_at(const Batch& batch, const BatchLimits& limits) {
  constexpr std::chrono::seconds offsets_only{1};
  if (batch.changes.empty() && batch.letters.empty())
    return batch.begun + std::max<std::chrono::milliseconds>(offsets_only, limits.max_wait);
  return batch.begun + limits.max_wait;
}

}  // namespace lockstep
