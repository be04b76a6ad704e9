#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "lockstep/batch/fold.hpp"
#include "lockstep/model/batch.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "lockstep/postgres/session.hpp"
#include "lockstep/postgres/sink.hpp"
#include "plan.hpp"
#include "progress.hpp"
#include "refused.hpp"
#include "targets.hpp"

namespace lockstep::postgres {

/// lockstep.progress does not stand where the batch begins, or a key is not parked any more.
struct Moved {};

/// A connection to the target and the statements that are prepared on it. Throws Refused, Moved and
/// pqxx's exceptions.
class Applier {
 public:
  Applier(const SinkConfig& config, std::shared_ptr<SharedTables> shared);

  Positions positions(const std::vector<TopicPartition>& partitions);
  // Where the configuration keeps parked keys:
  ParkedKeys parked(const std::set<std::string>& topics);
  std::vector<ParkedRow> parked_rows();
  void release(const ParkedRow& row, const Batch& changes);

  /// Rows and positions, in one transaction.
  void apply(const Batch& batch);

  /// Writes only the rows, for no longer than `limit`, and rolls back.
  void try_out(std::span<const Change> changes, std::chrono::milliseconds limit);

  /// Whether the last apply() used a statement that was made before it: one that the target's
  /// schema may have outrun.
  bool used_old_statements() const { return used_old_statements_; }
  /// The target table that the last apply() was writing to when it failed; nullopt: none.
  const std::optional<Relation>& failed_in() const { return writing_; }
  const Mapping& mapping() const { return targets_.mapping(); }
  /// As the catalog has it now.
  std::optional<TargetTable> table(const Relation& target);

 private:
  struct Statement {
    Relation target;
    std::string name;
    StatementPlan plan;
    std::string text_name;
    StatementPlan text_plan;
  };
  enum class Verb { upsert, remove };
  using StatementKey = std::tuple<Verb, const Relation*, const Layout*>;

  void transact(const std::function<void(pqxx::work&)>& body);
  void make_statements(pqxx::work& tx, const std::vector<TableChanges>& tables);
  void make_statement(pqxx::work& tx, const StatementKey& key, const Layout& key_layout);
  /// nullptr: there is nothing that could be removed.
  const Statement* find_statement(const StatementKey& key) const;
  std::size_t end_of_part(std::span<const Change> changes) const;
  void write(pqxx::work& tx, std::span<const Change> changes);
  void write_part(pqxx::work& tx, const std::vector<TableChanges>& tables);
  void forget_statements(const Relation& target);
  void rolled_back();
  void run(pqxx::work& tx, const Statement& statement, const RowGroup& group,
           std::span<const Cell> Change::*cells);

  const SinkConfig& config_;
  Session session_;
  Progress progress_;
  std::optional<Parking> parking_;
  Targets targets_;
  int next_statement_ = 0;
  std::map<StatementKey, Statement> statements_;
  std::vector<StatementKey> made_;  // in the transaction
  bool used_old_statements_ = false;
  std::optional<Relation> writing_;
};

}  // namespace lockstep::postgres
