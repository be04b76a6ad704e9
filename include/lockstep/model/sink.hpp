#pragma once

#include <string>
#include <vector>

#include "lockstep/model/batch.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep {

/// Why a sink did not apply a batch, by what the caller can do about it.
struct SinkError {
  enum class Kind {
    unavailable,  ///< the target can't be used right now (connection, deadlock, disk full): call
                  ///< again with the same batch, as often as it takes
    refused,      ///< the target won't have this batch (constraint, missing table, unknown type):
                  ///< its table must wait for an operator
    moved,        ///< another owner has moved the position: forget the batch, read it anew
  };
  Kind kind;
  std::string message;
};

/// Where a pipeline's batches go. Used by one thread at a time.
class Sink {
 public:
  virtual ~Sink() = default;

  /// The position that the target holds for each of `partitions`; one that it has none for is left
  /// out. Errors: unavailable.
  virtual Result<Positions, SinkError> positions(const std::vector<TopicPartition>& partitions) = 0;

  /// Applies the whole batch and moves its slices' positions, or changes nothing. May be called
  /// again after any error: a batch that took effect although its answer was lost is recognised.
  virtual Result<Done, SinkError> apply(const Batch& batch) = 0;
};

}  // namespace lockstep
