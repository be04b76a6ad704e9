#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
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

/// A batch that ends amid what its change needs.
struct Unfinished {
  std::string message;
  const Change* change;
};
/// lockstep.progress does not stand where the batch begins, or a key is not parked any more.
struct Moved {};

/// A connection to the target and the statements that are prepared on it. Throws Refused,
/// Unfinished, Moved and pqxx's exceptions.
class Applier {
 public:
  Applier(const SinkConfig& config, std::shared_ptr<SharedTables> shared);

  SinkPositions positions(const std::vector<TopicPartition>& partitions);
  // Where the configuration keeps parked keys:
  ParkedKeys parked(const std::set<std::string>& topics);
  std::vector<ParkedRow> parked_rows();
  void release(const ParkedRow& row, const Batch& changes);

  /// Rows and positions, in one transaction; the rows by `write`.
  void apply(const Batch& batch, const std::function<void(pqxx::work& tx)>& write);
  void apply(const Batch& batch) {
    apply(batch, [&](pqxx::work& tx) { write(tx, batch.changes); });
  }

  /// The changes' rows.
  void write(pqxx::work& tx, std::span<const Change> changes);
  /// The same under a savepoint, with `check` to the last constraint. What it throws leaves the
  /// transaction as it was before.
  void write_part(pqxx::work& tx, std::span<const Change> changes, bool check);
  /// Those that wait for COMMIT, now; the rows that are written next wait again.
  void check_constraints(pqxx::work& tx);

  /// Writes only the rows, for no longer than `limit`, and rolls back.
  void try_out(std::span<const Change> changes, std::chrono::milliseconds limit);

  /// In a transaction of its own, as no other can use it before that is over. No error if it is
  /// there. What is known of tables does not change with it: use another Applier then.
  void add_label(const Label& label);

  /// Whether the last apply() used a statement that was made before it: one that the target's
  /// schema may have outrun.
  bool used_old_statements() const { return used_old_statements_; }
  /// The target table that the last apply() was writing to when it failed; nullopt: none.
  const std::optional<Relation>& failed_in() const { return writing_; }
  const Mapping& mapping() const { return targets_.mapping(); }
  Relation target_of(const Relation& source) const { return mapping().target_of(source); }
  /// As the catalog has it now.
  std::optional<TargetTable> table(const Relation& target);
  std::optional<ForeignKey> foreign_key(const Relation& target, const std::string& name);

 private:
  struct Statement {
    Relation target;
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

  /// A layout under the names of the target, and which of its columns are not sent.
  struct Mapped {
    MappedLayout row;
    MappedLayout key;
    std::vector<bool> unchanged;
  };

  void transact(const std::function<void(pqxx::work&)>& body);
  /// nullptr: there is none yet.
  const TargetTable* target_table(pqxx::work& tx, const Relation& source);
  /// nullptr: there is no table from which something could be removed.
  const Statement* make_statement(pqxx::work& tx, StatementKey key);
  Mapped map(const StatementKey& key) const;
  std::optional<TargetTable> prepare(pqxx::work& tx, const StatementKey& key, Mapped& mapped);
  Result<StatementPlan, PlanErrors> plan(const StatementKey& key, const TargetTable& table,
                                         const Mapped& mapped, Wire wire) const;
  void forget_statements();
  void forget(const Relation& target);
  void undone(std::size_t changes);
  bool has_statements(const Relation& source, const Layout& row) const;
  std::size_t end_of_step(std::span<const Change> changes) const;
  void write_step(pqxx::work& tx, std::span<const Change> changes);
  /// `reached`: set to the change that is come to.
  void write_step(pqxx::work& tx, std::span<const Change> changes, const Change*& reached);

  void defer_constraints(pqxx::work& tx, const std::vector<Segment>& segments);
  std::vector<std::size_t> parents_first(pqxx::work& tx, const std::vector<Segment>& segments);
  TableChanges fold_segment(pqxx::work& tx, const Segment& segment);
  void truncate(pqxx::work& tx, const TableChanges& table);
  void remove(pqxx::work& tx, const TableChanges& table);
  void put(pqxx::work& tx, const TableChanges& table);
  void move(pqxx::work& tx, const TableChanges& table, const RowGroup& group);
  void update(pqxx::work& tx, const TableChanges& table, const RowGroup& group);
  void rotate(pqxx::work& tx, const TableChanges& table, const RowGroup& group);
  const Statement* upsert_statement(pqxx::work& tx, const TableChanges& table,
                                    const RowGroup& group);
  void upsert(pqxx::work& tx, const TableChanges& table, const RowGroup& group);

  /// How often each of the group's changes was found, where the statement tells.
  std::vector<std::int64_t> run(pqxx::work& tx, const Statement* statement, const RowGroup& group);

  const SinkConfig& config_;
  Session session_;
  Progress progress_;
  std::optional<Parking> parking_;
  Targets targets_;
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
