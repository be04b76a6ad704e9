#pragma once

#include <optional>
#include <string>

#include "evolve.hpp"
#include "lockstep/postgres/session.hpp"

namespace lockstep::postgres {

/// The columns that a pipeline's source last had, by target table: lockstep.columns. What tells a
/// column that the source has no more from one that only the target ever had. It knows nothing
/// where the role may not make its table. Throws pqxx's exceptions.
class KnownColumns {
 public:
  KnownColumns(Session& session, std::string pipeline);

  std::optional<ColumnNames> read(pqxx::transaction_base& tx, const Relation& target) const;
  void write(pqxx::transaction_base& tx, const Relation& target, const ColumnNames& columns) const;

 private:
  const std::string pipeline_;
  bool available_ = false;
};

/// The same for a look at the target that changes nothing.
std::optional<ColumnNames> read_known_columns(pqxx::transaction_base& tx,
                                              const std::string& pipeline, const Relation& target);

/// Until the end of the transaction no other connection makes what has this name.
void lock_name(pqxx::transaction_base& tx, const std::string& name);

}  // namespace lockstep::postgres
