#include "applier.hpp"

#include <algorithm>

#include "array.hpp"
#include "lockstep/model/advice.hpp"

namespace lockstep::postgres {

namespace {

using Changes = std::span<const Change* const>;

// In memory at once: a statement's arrays, libpqxx 6's copy of them, libpq's, and the target's own.
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
      if (cell.is_unchanged()) {
        throw Refused{"column " + quote_name(parameter.column) +
                          ": the source did not send its unchanged TOAST value, which is not "
                          "supported yet; ALTER TABLE … REPLICA IDENTITY FULL at the source makes "
                          "it send them",
                      change};
      }
      if (parameter.refuses_bare_numbers && cell.kind() == Cell::Kind::bare_number) {
        throw Refused{"column " + quote_name(parameter.column) +
                          ": a schemaless message does not say what its number counts; set "
                          "value.converter.schemas.enable=true",
                      change};
      }
      if (!array.add(cell.view())) return std::nullopt;
    }
    arrays.push_back(std::move(array).take());
  }
  return arrays;
}

Session open_session(const std::string& url) {
  Session session{url};
  session.make_errors_verbose();
  pqxx::nontransaction tx{session.connection()};
  tx.exec(
      // Whoever holds a lock on one table for long must not hold up the others that this connection
      // serves: the batch comes back as busy, and is tried again. Longer than deadlock_timeout (1 s
      // by default), at which PostgreSQL makes an autovacuum that is in the way give up.
      "SET lock_timeout = '1500ms';"
      // A daemon that stalls in a transaction must not hold its locks against the one that takes
      // over. Between two statements a living one is silent for milliseconds.
      "SET idle_in_transaction_session_timeout = '10s';"
      "SET default_transaction_isolation = 'read committed';"
      // Each key is looked up in the primary key's index, whatever the statistics say: a plan made
      // while the table was small must not scan it once it is large.
      "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;"
      "SET jit = off");  // the statements run for milliseconds
  return session;
}

/// Tells an applier that its transaction was rolled back, unless it was committed.
template <class RolledBack>
class Outcome {
 public:
  explicit Outcome(RolledBack rolled_back) : rolled_back_{std::move(rolled_back)} {}
  ~Outcome() {
    if (!committed_) rolled_back_();
  }
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  void committed() { committed_ = true; }

 private:
  RolledBack rolled_back_;
  bool committed_ = false;
};

}  // namespace

std::string refusal(const Relation& target, const PlanErrors& errors) {
  std::string more;
  if (errors.size() > 1) {
    more = " (and " + std::to_string(errors.size() - 1) + " more: lockstepd --check tells all)";
  }
  return "target table " + to_string(target) + " " + errors.front().message + more + ", " +
         then_reload;
}

Applier::Applier(const SinkConfig& config, std::shared_ptr<SharedTables> shared)
    : config_{config},
      session_{open_session(config.url)},
      progress_{session_, config.pipeline},
      targets_{config_, session_, std::move(shared)} {
  if (config.parks_keys) parking_.emplace(session_, config.pipeline);
}

Positions Applier::positions(const std::vector<TopicPartition>& partitions) {
  pqxx::work tx{session_.connection()};
  return progress_.read(tx, partitions);
}

ParkedKeys Applier::parked(const std::set<std::string>& topics) {
  if (!parking_) return {};
  pqxx::work tx{session_.connection()};
  return parking_->read(tx, topics);
}

std::vector<ParkedRow> Applier::parked_rows() {
  pqxx::work tx{session_.connection()};
  return parking_->rows(tx);
}

/// Begins anew what the transaction has made of tables and statements, unless it commits.
void Applier::transact(const std::function<void(pqxx::work&)>& body) {
  writing_.reset();
  used_old_statements_ = false;
  Outcome outcome{[&] { rolled_back(); }};
  pqxx::work tx{session_.connection()};
  body(tx);
  tx.commit();
  outcome.committed();
  made_.clear();
  targets_.committed();
}

void Applier::release(const ParkedRow& row, const Batch& changes) {
  transact([&](pqxx::work& tx) {
    if (!parking_->release(tx, row)) throw Moved{};
    write(tx, changes.changes);
  });
}

void Applier::apply(const Batch& batch) {
  try {
    transact([&](pqxx::work& tx) {
      for (const Slice& slice : batch.slices) {
        if (!progress_.move(tx, slice)) throw Moved{};
      }
      write(tx, batch.changes);
      if (parking_ && !parking_->park(tx, batch)) throw Moved{};
    });
  } catch (const Moved&) {
    // Perhaps by ourselves: a COMMIT whose answer was lost, or that was still running.
    pqxx::work tx{session_.connection()};
    if (!progress_.is_behind(tx, batch)) throw;
  }
}

void Applier::try_out(std::span<const Change> changes, std::chrono::milliseconds limit) {
  const Outcome outcome{[&] { rolled_back(); }};
  pqxx::work tx{session_.connection()};
  tx.exec("SET LOCAL statement_timeout = " + std::to_string(limit.count()));
  write(tx, changes);
  tx.exec("SET CONSTRAINTS ALL IMMEDIATE");
}

std::optional<TargetTable> Applier::table(const Relation& target) {
  pqxx::work tx{session_.connection()};
  return read_table(tx, target);
}

void Applier::write(pqxx::work& tx, std::span<const Change> changes) {
  while (!changes.empty()) {
    const auto size = end_of_part(changes);
    write_part(tx, fold(changes.first(size)));
    changes = changes.subspan(size);
  }
  writing_.reset();  // COMMIT is about all of them
}

/// Rows whose columns are new may want their table altered: they are by themselves, behind those
/// before them.
std::size_t Applier::end_of_part(std::span<const Change> changes) const {
  struct Rows {
    const Layout* layout;
    bool known;
  };
  std::map<const Relation*, Rows> rows;
  const Layout* last = nullptr;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    if (change.row_layout == nullptr || change.row_layout == last) continue;
    last = change.row_layout;
    const bool known = find_statement({Verb::upsert, change.relation, last}) != nullptr;
    auto& of_table = rows.try_emplace(change.relation, Rows{last, known}).first->second;
    if (of_table.layout != last && !(known && of_table.known)) return i;
  }
  return changes.size();
}

void Applier::write_part(pqxx::work& tx, const std::vector<TableChanges>& tables) {
  make_statements(tx, tables);
  for (const auto& table : tables) {
    writing_ = mapping().target_of(*table.relation);
    if (table.truncate &&
        (config_.missing_table != MissingTable::create || read_table(tx, *writing_).has_value())) {
      tx.exec("TRUNCATE TABLE " + quoted_name(*writing_));
    }
    // Removes first: they free the values of unique columns that upserts may take.
    for (const auto& group : table.removes) {
      const auto* const statement = find_statement({Verb::remove, table.relation, group.layout});
      if (statement != nullptr) run(tx, *statement, group, &Change::key);
    }
    for (const auto& group : table.upserts) {
      run(tx, statements_.at({Verb::upsert, table.relation, group.layout}), group, &Change::row);
    }
  }
}

void Applier::run(pqxx::work& tx, const Statement& statement, const RowGroup& group,
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

void Applier::make_statements(pqxx::work& tx, const std::vector<TableChanges>& tables) {
  for (const auto& table : tables) {
    targets_.claim(*table.relation);
    // These first: they may make or alter the table.
    for (const auto& group : table.upserts) {
      make_statement(tx, {Verb::upsert, table.relation, group.layout},
                     *group.changes.front()->key_layout);
    }
    for (const auto& group : table.removes) {
      make_statement(tx, {Verb::remove, table.relation, group.layout}, *group.layout);
    }
  }
}

void Applier::make_statement(pqxx::work& tx, const StatementKey& key, const Layout& key_layout) {
  if (find_statement(key) != nullptr) {
    const bool is_of_now = std::find(made_.begin(), made_.end(), key) != made_.end();
    used_old_statements_ = used_old_statements_ || !is_of_now;
    return;
  }
  const auto [verb, relation, layout] = key;
  const bool is_upsert = verb == Verb::upsert;
  const Relation target = mapping().target_of(*relation);
  auto columns = mapping().columns_of(*relation, *layout);
  const auto keys = mapping().columns_of(*relation, key_layout).layout;
  PlanErrors unmappable;
  for (auto& problem : mapping().problems(*relation, *layout, &key_layout, config_.synced_at)) {
    unmappable.push_back({std::move(problem)});
  }
  if (!unmappable.empty()) throw Refused{refusal(target, unmappable)};

  const auto changes_before = targets_.changes();
  const auto found = targets_.prepare(tx, *relation, is_upsert ? &columns : nullptr, &keys);
  if (!found) {
    if (!is_upsert && config_.missing_table == MissingTable::create) return;  // nothing is there
    throw Refused{"target table " + to_string(target) + " does not exist: create it, " +
                  then_reload};
  }
  if (targets_.changes() != changes_before) forget_statements(target);
  const auto prepare = [&](Wire wire, std::string& name, StatementPlan& statement) {
    auto plan = is_upsert ? plan_upsert(*found, columns.layout, keys, config_.synced_at, wire)
                          : plan_remove(*found, columns.layout, wire);
    if (!plan) throw Refused{refusal(target, plan.error())};
    for (auto& parameter : plan->parameters) parameter.cell = columns.cells[parameter.cell];
    name = "s" + std::to_string(next_statement_++);
    statement = std::move(*plan);
    session_.connection().prepare(name, statement.sql);
  };
  Statement statement;
  statement.target = target;
  prepare(Wire::binary, statement.name, statement.plan);
  prepare(Wire::text, statement.text_name, statement.text_plan);
  statements_.emplace(key, std::move(statement));
  made_.push_back(key);
}

const Applier::Statement* Applier::find_statement(const StatementKey& key) const {
  const auto found = statements_.find(key);
  return found == statements_.end() ? nullptr : &found->second;
}

void Applier::forget_statements(const Relation& target) {
  std::erase_if(statements_, [&](const auto& one) { return one.second.target == target; });
}

/// Statements on a table that is not what it was when they were made.
void Applier::rolled_back() {
  for (const auto& key : made_) {
    const auto* const statement = find_statement(key);
    if (statement != nullptr && targets_.has_altered(statement->target)) statements_.erase(key);
  }
  made_.clear();
  targets_.rolled_back();
}

}  // namespace lockstep::postgres
