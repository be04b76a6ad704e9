#pragma once

#include "lockstep/model/batch.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep {

/// Cuts the batch off in front of the record: what is left are the changes that arrived before it,
/// and slices that end with them; that of the record itself ends in front of it. Of the others,
/// records without a change that arrived in between are left out, too: they are read again. False,
/// and the batch is to be forgotten, if nothing is left, or if it has letters: where among the
/// changes they came is not known any more. Pure.
[[nodiscard]] bool cut_before(Batch& batch, const RecordPlace& culprit);

}  // namespace lockstep
