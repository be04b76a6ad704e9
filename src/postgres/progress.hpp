#pragma once

#include <string>
#include <vector>

#include "lockstep/model/batch.hpp"
#include "lockstep/postgres/session.hpp"

namespace lockstep::postgres {

/// One pipeline's rows of lockstep.progress: the position that is moved in the transaction that
/// applies the rows. Throws pqxx's exceptions.
class Progress {
 public:
  /// Makes schema lockstep and its table where they are missing.
  Progress(Session& session, std::string pipeline);

  Positions read(pqxx::transaction_base& tx, const std::vector<TopicPartition>& partitions);

  /// False: it does not stand where the slice begins.
  bool move(pqxx::transaction_base& tx, const Slice& slice);

  /// Whether it stands where all slices of the batch end.
  bool is_behind(pqxx::transaction_base& tx, const Batch& batch);

 private:
  const std::string pipeline_;
};

}  // namespace lockstep::postgres
