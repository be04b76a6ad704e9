#include "lockstep/postgres/sink.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "array.hpp"
#include "catalog.hpp"
#include "lockstep/batch/fold.hpp"
#include "lockstep/model/advice.hpp"
#include "lockstep/model/names.hpp"
#include "plan.hpp"
#include "session.hpp"

namespace lockstep::postgres {

namespace {

using Changes = std::span<const Change* const>;

/// A batch that must not be applied; leaves the transaction, which rolls back.
struct Refused {
  std::string message;
};
/// lockstep.progress does not stand where the batch begins.
struct Moved {};

constexpr auto create_progress =
    "CREATE SCHEMA IF NOT EXISTS lockstep;"
    "CREATE TABLE IF NOT EXISTS lockstep.progress ("
    " pipeline text, topic text, partition integer,"
    " next_offset bigint NOT NULL,"
    " source_position text,"
    " source_time timestamptz,"
    " updated_at timestamptz NOT NULL,"
    " PRIMARY KEY (pipeline, topic, partition));"
    "COMMENT ON TABLE lockstep.progress IS "
    "'Moved in the transaction that applies the rows: all before next_offset is applied'";

// $1 pipeline, $2 topic, $3 partition, $4 next offset, $5 source position or '', $6 source time in
// µs or 0, $7 the offset that it must stand at.
constexpr auto begin_progress =
    "INSERT INTO lockstep.progress AS p VALUES ($1, $2, $3::integer, $4::bigint, "
    "nullif($5::text, ''), to_timestamp(nullif($6::bigint, 0) / 1e6), now()) "
    "ON CONFLICT DO NOTHING";
constexpr auto move_progress =
    "UPDATE lockstep.progress SET next_offset = $4::bigint, "
    "source_position = coalesce(nullif($5::text, ''), source_position), "
    "source_time = coalesce(to_timestamp(nullif($6::bigint, 0) / 1e6), source_time), "
    "updated_at = now() "
    "WHERE pipeline = $1 AND topic = $2 AND partition = $3::integer AND next_offset = $7::bigint";
constexpr auto read_progress =
    "SELECT next_offset FROM lockstep.progress "
    "WHERE pipeline = $1 AND topic = $2 AND partition = $3::integer";

// A statement's arrays, their copy in libpq and the target's own copy are in memory at once.
constexpr std::size_t max_statement_bytes = 8 * 1024 * 1024;

/// How many of the changes from `begin` on go into one statement.
Changes::iterator end_of_statement(const StatementPlan& plan, Changes changes,
                                   std::span<const Cell> Change::*cells, Changes::iterator begin) {
  auto end = begin;
  for (std::size_t bytes = 0; end != changes.end() && bytes < max_statement_bytes; ++end) {
    for (const auto& parameter : plan.parameters) {
      bytes += ((*end)->*cells)[parameter.cell].view().size() + 4;
    }
  }
  return end;
}

/// The array parameters for these changes; nullopt if a value has no binary form that we write.
std::optional<std::vector<std::string>> encode(const StatementPlan& plan, Changes changes,
                                               std::span<const Cell> Change::*cells) {
  std::vector<std::string> arrays;
  arrays.reserve(plan.parameters.size());
  for (const auto& parameter : plan.parameters) {
    BinaryArray array{parameter.element};
    for (const Change* change : changes) {
      const Cell& cell = (change->*cells)[parameter.cell];
      if (cell.is_null()) {
        array.add_null();
        continue;
      }
      if (parameter.refuses_bare_numbers && cell.kind() == Cell::Kind::bare_number) {
        throw Refused{"offset " + std::to_string(change->offset.value) + ", column " +
                      quote_name(parameter.column) +
                      ": a schemaless message does not say what its number counts; set "
                      "value.converter.schemas.enable=true"};
      }
      if (!array.add(cell.view())) return std::nullopt;
    }
    arrays.push_back(std::move(array).take());
  }
  return arrays;
}

/// A connection and the statements that are prepared on it.
class Target {
 public:
  Target(const SinkConfig& config) : config_{config}, session_{config.url} {
    ensure_progress_table();
    session_.connection().prepare("begin_progress", begin_progress);
    session_.connection().prepare("move_progress", move_progress);
    session_.connection().prepare("read_progress", read_progress);
  }

  Positions positions(const std::vector<TopicPartition>& partitions) {
    pqxx::work tx{session_.connection()};
    return positions(tx, partitions);
  }

  void apply(const Batch& batch) {
    const auto tables = fold(batch);
    try {
      make_statements(tables);
      pqxx::work tx{session_.connection()};
      for (const Slice& slice : batch.slices) move(tx, slice);
      for (const auto& table : tables) write(tx, table);
      tx.commit();
    } catch (const Moved&) {
      // Perhaps by ourselves: a COMMIT whose answer was lost, or that was still running.
      if (!took_effect(batch)) throw;
    }
  }

  /// Read the catalog anew for what comes next: an operator may have changed it.
  void forget_statements() {
    for (const auto& [key, statement] : statements_) {
      session_.connection().unprepare(statement.name);
      session_.connection().unprepare(statement.text_name);
    }
    statements_.clear();
    tables_.clear();
  }

 private:
  struct Statement {
    std::string name;
    StatementPlan plan;
    std::string text_name;
    StatementPlan text_plan;
  };
  enum class Verb { upsert, remove };
  using StatementKey = std::tuple<Verb, const Relation*, const Layout*>;

  void ensure_progress_table() {
    pqxx::work tx{session_.connection()};
    const auto there = tx.exec("SELECT to_regclass('lockstep.progress') IS NOT NULL");
    if (there[0][0].as<bool>()) return;
    tx.exec(create_progress);
    tx.commit();
  }

  Positions positions(pqxx::transaction_base& tx, const std::vector<TopicPartition>& partitions) {
    Positions found;
    for (const auto& tp : partitions) {
      const auto row = run_prepared(tx, "read_progress", config_.pipeline, tp.topic, tp.partition);
      if (!row.empty()) found[tp] = NextOffset{row[0][0].as<std::int64_t>()};
    }
    return found;
  }

  bool took_effect(const Batch& batch) {
    pqxx::work tx{session_.connection()};
    return std::all_of(batch.slices.begin(), batch.slices.end(), [&](const Slice& slice) {
      const auto now = positions(tx, {slice.partition});
      return !now.empty() && now.begin()->second == slice.next;
    });
  }

  void move(pqxx::work& tx, const Slice& slice) {
    const auto& [topic, partition] = slice.partition;
    const auto moved =
        slice.expected ? run_prepared(tx, "move_progress", config_.pipeline, topic, partition,
                                      slice.next.value, slice.source_position, slice.source_ts_us,
                                      slice.expected->value)
                       : run_prepared(tx, "begin_progress", config_.pipeline, topic, partition,
                                      slice.next.value, slice.source_position, slice.source_ts_us);
    if (moved.affected_rows() != 1) throw Moved{};
  }

  void write(pqxx::work& tx, const TableChanges& table) {
    if (table.truncate) tx.exec("TRUNCATE TABLE " + quoted_name(target_table(*table.relation)));
    // Removes first: they free the values of unique columns that upserts may take.
    for (const auto& group : table.removes) {
      run(tx, statements_.at({Verb::remove, table.relation, group.layout}), group, &Change::key);
    }
    for (const auto& group : table.upserts) {
      run(tx, statements_.at({Verb::upsert, table.relation, group.layout}), group, &Change::row);
    }
  }

  void run(pqxx::work& tx, const Statement& statement, const RowGroup& group,
           std::span<const Cell> Change::*cells) {
    const Changes all{group.changes};
    for (auto begin = all.begin(); begin != all.end();) {
      const auto end = end_of_statement(statement.plan, all, cells, begin);
      const Changes changes{begin, end};
      if (auto arrays = encode(statement.plan, changes, cells)) {
        run_prepared_binary(tx, statement.name, *arrays);
      } else {
        run_prepared_binary(tx, statement.text_name, *encode(statement.text_plan, changes, cells));
      }
      begin = end;
    }
  }

  const TargetTable& target_table(const Relation& relation) {
    if (const auto known = tables_.find(relation); known != tables_.end()) return known->second;
    const Relation target = target_table_of(relation, config_.schema);
    auto table = read_table(session_, target.schema, target.table);
    if (!table) {
      throw Refused{"target table " + to_string(target) + " does not exist: create it, " +
                    then_reload};
    }
    return tables_.emplace(relation, std::move(*table)).first->second;
  }

  /// Before the batch's transaction: it reads the catalog, which wants one of its own.
  void make_statements(const std::vector<TableChanges>& tables) {
    for (const auto& table : tables) {
      for (const auto& group : table.removes) {
        make_statement({Verb::remove, table.relation, group.layout}, *group.changes.front());
      }
      for (const auto& group : table.upserts) {
        make_statement({Verb::upsert, table.relation, group.layout}, *group.changes.front());
      }
      if (table.truncate) target_table(*table.relation);
    }
  }

  void make_statement(const StatementKey& key, const Change& example) {
    if (statements_.contains(key)) return;
    const auto [verb, relation, layout] = key;
    if (verb == Verb::upsert) tables_.erase(*relation);  // new columns: look again
    const TargetTable& table = target_table(*relation);
    // Captured by name: clang 14 has no structured bindings in lambdas.
    const auto prepare = [&, verb = verb, layout = layout](Wire wire, std::string& name,
                                                           StatementPlan& statement) {
      auto plan = verb == Verb::upsert
                      ? plan_upsert(table, *layout, *example.key_layout, config_.synced_at, wire)
                      : plan_remove(table, *layout, wire);
      if (!plan) throw Refused{plan.error().message};
      name = "s" + std::to_string(next_statement_++);
      statement = std::move(*plan);
      session_.connection().prepare(name, statement.sql);
    };
    Statement statement;
    prepare(Wire::binary, statement.name, statement.plan);
    prepare(Wire::text, statement.text_name, statement.text_plan);
    statements_.emplace(key, std::move(statement));
  }

  const SinkConfig& config_;
  Session session_;
  int next_statement_ = 0;
  std::map<Relation, TargetTable> tables_;
  std::map<StatementKey, Statement> statements_;
};

class PostgresSink : public Sink {
 public:
  explicit PostgresSink(SinkConfig config) : config_{std::move(config)} {}

  Result<Positions, SinkError> positions(const std::vector<TopicPartition>& partitions) override {
    Positions found;
    if (auto connected = connect(); !connected) return connected.error();
    auto read = guarded([&] { found = target_->positions(partitions); });
    if (!read) return SinkError{SinkError::Kind::unavailable, read.error().message};
    return found;
  }

  Result<Done, SinkError> apply(const Batch& batch) override {
    if (auto connected = connect(); !connected) return connected.error();
    return guarded([&] { target_->apply(batch); });
  }

 private:
  /// Whatever is in the way here (a database that is missing, a right to make the schema) is not
  /// about one table: all wait until it is mended.
  Result<Done, SinkError> connect() {
    if (target_) return done;
    auto connected = guarded([&] { target_ = std::make_unique<Target>(config_); });
    if (!connected) return SinkError{SinkError::Kind::unavailable, connected.error().message};
    return connected;
  }

  Result<Done, SinkError> guarded(const std::function<void()>& body) {
    auto result = [&]() -> Result<Done, SinkError> {
      try {
        return translating_errors(body);
      } catch (const Refused& refused) {
        return SinkError{SinkError::Kind::refused, refused.message};
      } catch (const Moved&) {
        return SinkError{SinkError::Kind::moved, "lockstep.progress was moved by another owner"};
      }
    }();
    if (result) return result;
    // After an outage nothing of the old session is worth keeping; after a refusal, the catalog.
    if (result.error().kind == SinkError::Kind::unavailable) target_.reset();
    if (target_ && result.error().kind == SinkError::Kind::refused) {
      auto forgotten = translating_errors([&] { target_->forget_statements(); });
      if (!forgotten) target_.reset();
    }
    return result;
  }

  const SinkConfig config_;
  std::unique_ptr<Target> target_;
};

}  // namespace

std::unique_ptr<Sink> make_sink(SinkConfig config) {
  return std::make_unique<PostgresSink>(std::move(config));
}

Result<std::vector<TableReport>, SinkError> check_target(
    const SinkConfig& config, const std::vector<Relation>& source_tables) {
  std::vector<TableReport> reports;
  auto looked = translating_errors([&] {
    Session session{config.url};
    for (const auto& source : source_tables) {
      const Relation target = target_table_of(source, config.schema);
      TableReport report{to_string(target), ""};
      const auto table = read_table(session, target.schema, target.table);
      if (!table) {
        report.problem = "does not exist";
      } else if (table->primary_key.empty()) {
        report.problem = "has no primary key";
      } else if (!config.synced_at.empty() && table->find(config.synced_at) == nullptr) {
        report.problem = "has no column " + config.synced_at;
      }
      reports.push_back(std::move(report));
    }
  });
  if (!looked) return looked.error();
  return reports;
}

}  // namespace lockstep::postgres
