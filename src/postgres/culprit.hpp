#pragma once

#include <optional>

#include "applier.hpp"
#include "lockstep/model/batch.hpp"
#include "lockstep/model/sink.hpp"
#include "parts.hpp"

namespace lockstep::postgres {

/// The error of a batch that can't be applied, in words for the operator: which table, and which
/// record, or range of them; where it is about a value, which column: to find it, it tries out the
/// row with one value after the other, for 5 s at most.
SinkError explain(Applier& applier, const Batch& batch, const Stuck& stuck);

/// The record of a change of the batch; nullopt if its slices don't say which.
std::optional<RecordPlace> record_of(const Batch& batch, const Change& change);

/// The same for people: "t[0]@17".
std::string name_of(const Batch& batch, const Change& change);

}  // namespace lockstep::postgres
