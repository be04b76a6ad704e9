#pragma once

#include <set>
#include <string>
#include <vector>

#include "lockstep/model/batch.hpp"
#include "lockstep/model/sink.hpp"
#include "lockstep/postgres/parked.hpp"
#include "lockstep/postgres/session.hpp"

namespace lockstep::postgres {

/// What keeps lockstep.progress, which is there, from getting the columns that it lacks of this
/// version's; empty: it lacks none, or the role may add them.
std::string why_not_upgraded(pqxx::transaction_base& tx);

/// One pipeline's rows of lockstep.progress: the position that is moved in the transaction that
/// applies the rows. Throws pqxx's exceptions.
class Progress {
 public:
  /// Makes schema lockstep and its table where they are missing, and adds the columns that a table
  /// of an older version lacks. Throws Refused where the role may not.
  Progress(Session& session, std::string pipeline);

  SinkPositions read(pqxx::transaction_base& tx, const std::vector<TopicPartition>& partitions);

  /// False: it does not stand where the slice begins.
  bool move(pqxx::transaction_base& tx, const Slice& slice);

  /// Whether it stands where all slices of the batch end.
  bool is_behind(pqxx::transaction_base& tx, const Batch& batch);

 private:
  const std::string pipeline_;
};

/// One pipeline's rows of lockstep.parked: the keys of rows that have a dead letter. Throws pqxx's
/// exceptions.
class Parking {
 public:
  /// Makes the table where it is missing; schema lockstep is there.
  Parking(Session& session, std::string pipeline);

  ParkedKeys read(pqxx::transaction_base& tx, const std::set<std::string>& topics);

  /// Parks the keys of the batch's letters. False: a key that the batch takes for parked is not any
  /// more: somebody has let it go.
  bool park(pqxx::transaction_base& tx, const Batch& batch);

  std::vector<ParkedRow> rows(pqxx::transaction_base& tx);
  /// False: it is not as `row` says any more.
  bool release(pqxx::transaction_base& tx, const ParkedRow& row);

 private:
  const std::string pipeline_;
};

}  // namespace lockstep::postgres
