#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
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

namespace lockstep::postgres {

/// A batch that must not be applied; leaves the transaction, which rolls back.
struct Refused {
  std::string message;
  const Change* change = nullptr;  ///< the one at fault, where it is one
  bool is_about_rows = false;      ///< of the target: in smaller parts it may go
};
/// A batch that ends amid what its change needs.
struct Unfinished {
  std::string message;
  const Change* change;
};
/// lockstep.progress does not stand where the batch begins.
struct Moved {};

/// A connection to the target and the statements that are prepared on it. Throws Refused,
/// Unfinished, Moved and pqxx's exceptions.
class Applier {
 public:
  explicit Applier(const SinkConfig& config);

  Positions positions(const std::vector<TopicPartition>& partitions);

  /// Rows and positions, in one transaction; the rows by `write`.
  void apply(const Batch& batch, const std::function<void(pqxx::work& tx)>& write);
  void apply(const Batch& batch) {
    apply(batch, [&](pqxx::work& tx) { write(tx, batch.changes); });
  }

  /// The changes' rows.
  void write(pqxx::work& tx, std::span<const Change> changes);
  /// Those that wait for COMMIT, now; the rows that are written next wait again.
  void check_constraints(pqxx::work& tx);
  /// What was written under a savepoint is undone, and with it when constraints are checked.
  void rolled_back() { constraints_wait_ = false; }

  /// Writes only the rows, for no longer than `limit`, and rolls back.
  void try_out(std::span<const Change> changes, std::chrono::milliseconds limit);

  /// Whether the last apply() used a statement that was made before it: one that the target's
  /// schema may have outrun.
  bool used_old_statements() const { return used_old_statements_; }
  /// The target table that the last apply() was writing to when it failed; nullopt: none.
  const std::optional<Relation>& failed_in() const { return writing_; }
  Relation target_of(const Relation& source) const;
  /// As the catalog has it now.
  std::optional<TargetTable> table(const Relation& target);
  std::optional<ForeignKey> foreign_key(const Relation& target, const std::string& name);

 private:
  struct Statement {
    std::string name;
    StatementPlan plan;
    std::string text_name;
    StatementPlan text_plan;
    std::uint64_t made_in = 0;  ///< the transaction
  };
  struct KnownTable {
    TargetTable table;
    std::uint64_t read_in = 0;  ///< the transaction
  };
  enum class Verb { upsert, remove, update, move, rotate, find, insert, remove_equal };
  /// What a statement is for: relation, layouts of row and key, columns that are not sent.
  using StatementKey =
      std::tuple<Verb, const Relation*, const Layout*, const Layout*, std::vector<bool>>;

  const TargetTable& target_table(pqxx::work& tx, const Relation& source);
  const Statement& make_statement(pqxx::work& tx, StatementKey key);
  Result<StatementPlan, PlanErrors> plan(const StatementKey& key, const TargetTable& table,
                                         Wire wire) const;
  void forget_statements();

  void defer_constraints(pqxx::work& tx, const std::vector<Segment>& segments);
  std::vector<std::size_t> parents_first(pqxx::work& tx, const std::vector<Segment>& segments);
  TableChanges fold_segment(pqxx::work& tx, const Segment& segment);
  void truncate(pqxx::work& tx, const TableChanges& table);
  void remove(pqxx::work& tx, const TableChanges& table);
  void put(pqxx::work& tx, const TableChanges& table);
  void move(pqxx::work& tx, const TableChanges& table, const RowGroup& group);
  void update(pqxx::work& tx, const TableChanges& table, const RowGroup& group);
  void rotate(pqxx::work& tx, const TableChanges& table, const RowGroup& group);
  void upsert(pqxx::work& tx, const TableChanges& table, const RowGroup& group);

  /// How often each of the group's changes was found, where the statement tells.
  std::vector<std::int64_t> run(pqxx::work& tx, const Statement& statement, const RowGroup& group);

  const SinkConfig& config_;
  Session session_;
  Progress progress_;
  int next_statement_ = 0;
  std::uint64_t transaction_ = 0;
  std::map<StatementKey, Statement> statements_;
  std::map<const Relation*, KnownTable> tables_;
  bool used_old_statements_ = false;
  bool constraints_wait_ = false;  ///< in this transaction, until COMMIT
  bool has_written_ = false;       ///< rows, in this transaction
  std::optional<Relation> writing_;
};

}  // namespace lockstep::postgres
