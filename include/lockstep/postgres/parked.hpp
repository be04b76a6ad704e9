#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/model/batch.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/model/sink.hpp"
#include "lockstep/postgres/sink.hpp"

namespace lockstep::postgres {

/// A row of lockstep.parked: all changes of a table's row from first_offset to last_offset are dead
/// letters.
struct ParkedRow {
  std::string topic;
  std::string row_key;  ///< identity_of() in batch/letterbox.hpp
  std::int32_t partition = 0;
  RecordOffset first_offset;
  RecordOffset last_offset;
  std::int64_t letters = 0;
  std::string error;  ///< of the first
  std::string since;
  std::optional<SourceTables> tables;  ///< that the partition's changes were of; nullopt: not known
};

/// The parked rows of one pipeline, for a tool. The daemon may run: it notices with the next change
/// of a row that the row was let go.
class ParkedRows {
 public:
  explicit ParkedRows(SinkConfig config);
  ~ParkedRows();

  /// By topic, in the order in which they were parked. Errors: the target can't be reached.
  Result<std::vector<ParkedRow>, SinkError> list();

  /// Applies `changes`, what the row's letters say in their order (none: they are discarded), and
  /// lets it go, in one transaction. Errors: `refused`, or `moved`: another letter has come since.
  Result<Done, SinkError> release(const ParkedRow& row, const Batch& changes);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::postgres
