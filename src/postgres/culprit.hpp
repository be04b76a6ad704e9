#pragma once

#include <cstddef>
#include <functional>
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

/// Where a batch fails whose rows were all written, but not committed, because of a constraint that
/// is checked at the end. It tries out parts of the batch from the beginning on, for 5 s at most.
Stuck stuck_at_commit(Applier& applier, const Batch& batch, const SinkError& error);

/// The record of a change of the batch; nullopt if its slices don't say which.
std::optional<SinkError::Culprit> record_of(const Batch& batch, const Change& change);

/// The same for people: "t[0]@17".
std::string name_of(const Batch& batch, const Change& change);

/// [begin, end) of a sequence: the first `begin` elements pass, the first `end` fail.
struct Narrowed {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool is_one() const { return end == begin + 1; }
};
/// Binary search for where a sequence begins to fail. `fails` says whether its first n elements do;
/// nullopt: it can't say, the search ends where it is. The result is empty if nothing fails.
Narrowed narrow(std::size_t size, const std::function<std::optional<bool>(std::size_t n)>& fails);

}  // namespace lockstep::postgres
