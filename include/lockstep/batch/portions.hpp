#pragma once

#include <vector>

#include "lockstep/model/batch.hpp"

namespace lockstep {

/// A batch's slices in parts that can be answered one by one.
struct Portions {
  /// One for each change, in their order: from behind the change before it in its partition, the
  /// last one up to the slice's end. They tell no source_position.
  std::vector<Slice> of_changes;
  std::vector<Slice> without_changes;  ///< slices in which there is none
};

/// Pure.
Portions portions_of(const Batch& batch);

}  // namespace lockstep
