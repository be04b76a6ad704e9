#include "applier.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "array.hpp"
#include "ddl.hpp"
#include "lockstep/model/advice.hpp"

namespace lockstep::postgres {

namespace {

using Changes = std::span<const Change* const>;

// In memory at once: a statement's arrays, libpqxx 6's copy of them, libpq's, and the target's own.
constexpr std::size_t max_statement_bytes = 8 * 1024 * 1024;

// A table takes a few; one with many columns that are not sent in ever other combinations takes
// more and more.
constexpr std::size_t most_statements = 400;

std::span<const Cell> cells_of(const Change& change, From from) {
  switch (from) {
    case From::row:
    case From::sent:
      return change.row;
    case From::key:
      return change.key;
    case From::old_key:
      return change.other_key->cells;
    case From::count:
      break;
  }
  return {};
}

/// How many of the changes from `begin` on go into one statement.
std::size_t end_of_statement(const StatementPlan& plan, Changes changes, std::size_t begin) {
  if (plan.takes_all) return changes.size();
  std::size_t end = begin;
  for (std::size_t bytes = 0; end != changes.size() && bytes < max_statement_bytes; ++end) {
    for (const auto& parameter : plan.parameters) {
      bytes += 4;
      if (parameter.from == From::count) continue;
      bytes += cells_of(*changes[end], parameter.from)[parameter.cell].view().size();
    }
  }
  return end;
}

std::string add_value(const Label& label) {
  return "ALTER TYPE " + label.type + " ADD VALUE IF NOT EXISTS " + quote_text(label.name);
}

const std::string to_send_all =
    "ALTER TABLE … REPLICA IDENTITY FULL at the source makes it send all values";

/// Adds the change's value. False: it has no binary form that we write.
bool add(BinaryArray& array, const ParameterPlan& parameter, const Change& change,
         const Cell& cell) {
  if (parameter.from == From::sent) return array.add(cell.is_unchanged() ? "f" : "t");
  if (cell.is_null() || (cell.is_unchanged() && parameter.may_be_unchanged)) {
    array.add_null();
    return true;
  }
  if (cell.is_unchanged()) {
    throw Refused{"column " + quote_name(parameter.column) +
                      ": the source did not send its unchanged TOAST value; " + to_send_all,
                  &change};
  }
  for (const auto& fit : parameter.fits) {
    if (fit.rule == Fit::Rule::label) {
      const auto lacks = missing_label(fit, cell);
      if (!lacks) continue;
      throw Refused{.message = "column " + quote_name(parameter.column) + ": " + fit.advice + " " +
                               quote_text(lacks->name) +
                               ", with BEFORE or AFTER where the source has it elsewhere than last",
                    .change = &change,
                    .lacks = lacks};
    }
    if (fits(fit, cell)) continue;
    throw Refused{"column " + quote_name(parameter.column) + ": " + fit.advice, &change};
  }
  return array.add(cell.view());
}

/// The array parameters for these changes; nullopt if a value has no binary form that we write.
std::optional<std::vector<std::string>> encode(const StatementPlan& plan, Changes changes,
                                               std::span<const std::int64_t> counts) {
  std::vector<std::string> arrays;
  arrays.reserve(plan.parameters.size());
  for (const auto& parameter : plan.parameters) {
    BinaryArray array{parameter.element};
    const auto at = parameter.cell;
    bool all = true;
    switch (parameter.from) {
      case From::count:
        for (const auto count : counts) array.add(std::to_string(count));
        break;
      case From::row:
      case From::sent:
        for (const auto* c : changes) all = all && add(array, parameter, *c, c->row[at]);
        break;
      case From::key:
        for (const auto* c : changes) all = all && add(array, parameter, *c, c->key[at]);
        break;
      case From::old_key:
        for (const auto* c : changes) {
          all = all && add(array, parameter, *c, c->other_key->cells[at]);
        }
        break;
    }
    if (!all) return std::nullopt;
    arrays.push_back(std::move(array).take());
  }
  return arrays;
}

/// The name of the statement that runs before this one.
std::string before(const std::string& name) {
  return name + "_before";
}

/// "v", the first column that was not sent.
std::string unchanged_column(const Change& change) {
  for (std::size_t i = 0; i < change.row.size(); ++i) {
    if (change.row[i].is_unchanged()) return quote_name(change.row_layout->columns[i].name);
  }
  return "";
}

/// The changes of the group that were not found.
RowGroup missing(const RowGroup& group, const std::vector<std::int64_t>& found) {
  RowGroup rest{group.layout, group.unchanged, {}, {}};
  for (std::size_t i = 0; i < group.changes.size(); ++i) {
    if (found[i] == 0) rest.changes.push_back(group.changes[i]);
  }
  return rest;
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
      "SET jit = off;"  // the statements run for milliseconds
      // A quiet table is no idle session. From PostgreSQL 14 on.
      "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = "
      "'idle_session_timeout'");
  return session;
}

}  // namespace

std::string refusal(const Relation& target, const PlanErrors& errors,
                    const std::vector<std::string>& before) {
  std::string more;
  for (const auto& statement : before) {
    more += (&statement == &before.front() ? ", after " : " and ") + statement;
  }
  if (errors.size() > 1) {
    more += " (and " + std::to_string(errors.size() - 1) + " more: lockstepd --check tells all)";
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

void Applier::ping() {
  pqxx::read_transaction tx{session_.connection()};
  tx.exec("SELECT 1");
}

SinkPositions Applier::positions(const std::vector<TopicPartition>& partitions) {
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

void Applier::transact(const std::function<void(pqxx::work&)>& body) {
  writing_.reset();
  used_old_statements_ = false;
  constraints_wait_ = false;
  has_written_ = false;
  ++transaction_;
  try {
    pqxx::work tx{session_.connection()};
    body(tx);
    tx.commit();
  } catch (...) {
    undone(0);
    throw;
  }
  targets_.committed();
}

void Applier::release(const ParkedRow& row, const Batch& changes) {
  transact([&](pqxx::work& tx) {
    if (!parking_->release(tx, row)) throw Moved{};
    write(tx, changes.changes);
  });
}

void Applier::apply(const Batch& batch, const std::function<void(pqxx::work& tx)>& write) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  spent_ = {};
  try {
    Clock::time_point moved;
    Clock::time_point written;
    transact([&](pqxx::work& tx) {
      for (const Slice& slice : batch.slices) {
        if (!progress_.move(tx, slice)) throw Moved{};
      }
      moved = Clock::now();
      write(tx);
      if (parking_ && !parking_->park(tx, batch)) throw Moved{};
      written = Clock::now();
    });
    spent_ = {moved - begin, written - moved, Clock::now() - written};
  } catch (const Moved&) {
    // Perhaps by ourselves: a COMMIT whose answer was lost, or that was still running.
    pqxx::work tx{session_.connection()};
    if (!progress_.is_behind(tx, batch)) throw;
  }
}

void Applier::try_out(std::span<const Change> changes, std::chrono::milliseconds limit) {
  struct Over {};
  const auto failed_before = writing_;
  try {
    transact([&](pqxx::work& tx) {
      tx.exec("SET LOCAL statement_timeout = " + std::to_string(limit.count()));
      write(tx, changes);
      check_constraints(tx);
      throw Over{};
    });
  } catch (const Over&) {
  } catch (...) {
    writing_ = failed_before;
    throw;
  }
  writing_ = failed_before;
}

void Applier::add_label(const Label& label) {
  const std::string statement = add_value(label);
  pqxx::nontransaction tx{session_.connection()};
  if (has_label(tx, label.type, label.name)) return;
  query(tx, statement);
  spdlog::info("target type changed pipeline={} type={} statement: {}", config_.pipeline,
               label.type, statement);
  spdlog::warn(
      "enum type {}: the new label is its last, since Debezium does not tell where the source has "
      "it; if that is elsewhere, the target sorts it wrongly pipeline={}",
      label.type, config_.pipeline);
}

std::optional<TargetTable> Applier::table(const Relation& target) {
  pqxx::work tx{session_.connection()};
  return read_table(tx, target);
}

std::optional<ForeignKey> Applier::foreign_key(const Relation& target, const std::string& name) {
  pqxx::work tx{session_.connection()};
  return read_foreign_key(tx, target, name);
}

// ---- What is written, and in which order

void Applier::write(pqxx::work& tx, std::span<const Change> changes) {
  while (!changes.empty()) {
    const auto size = end_of_step(changes);
    write_step(tx, changes.first(size));
    changes = changes.subspan(size);
  }
  writing_.reset();  // COMMIT is about all of them
}

/// Rows whose columns are new may want their table altered: they are by themselves, behind those
/// before them.
std::size_t Applier::end_of_step(std::span<const Change> changes) const {
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
    const bool known = has_statements(*change.relation, *last);
    auto& of_table = rows.try_emplace(change.relation, Rows{last, known}).first->second;
    if (of_table.layout != last && !(known && of_table.known)) return i;
  }
  return changes.size();
}

void Applier::write_part(pqxx::work& tx, std::span<const Change> changes, bool check) {
  const auto changed_before = targets_.changes();
  tx.exec("SAVEPOINT part");
  try {
    write(tx, changes);
    if (check) check_constraints(tx);
  } catch (const pqxx::broken_connection&) {
    throw;
  } catch (...) {
    tx.exec("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part");
    constraints_wait_ = false;
    undone(changed_before);
    throw;
  }
  tx.exec("RELEASE SAVEPOINT part");
}

/// What is wrong with a table is so from a change on: those before it can be applied.
void Applier::write_step(pqxx::work& tx, std::span<const Change> changes) {
  const Change* reached = &changes.front();
  try {
    write_step(tx, changes, reached);
  } catch (Refused& refused) {
    if (refused.change == nullptr) {
      refused.change = reached;
      refused.is_about_table = true;
    }
    throw;
  }
}

void Applier::write_step(pqxx::work& tx, std::span<const Change> changes, const Change*& reached) {
  const auto is_loose = [&](const Relation& source, const Layout& key) {
    const TargetTable* const table = target_table(tx, source);
    return table != nullptr && has_loose_keys(*table, mapping().columns_of(source, key).layout);
  };
  const auto segments = segments_of(changes, is_loose);
  defer_constraints(tx, segments);
  const auto order = parents_first(tx, segments);
  if (order.empty()) {
    for (const auto& segment : segments) {
      if (!segment.changes.empty()) reached = segment.changes.front();
      const auto table = fold_segment(tx, segment);
      truncate(tx, table);
      remove(tx, table);
      put(tx, table);
    }
  } else {
    std::vector<TableChanges> tables;
    for (const auto at : order) tables.push_back(fold_segment(tx, segments[at]));
    for (auto table = tables.rbegin(); table != tables.rend(); ++table) truncate(tx, *table);
    for (auto table = tables.rbegin(); table != tables.rend(); ++table) remove(tx, *table);
    for (const auto& table : tables) put(tx, table);
  }
}

/// What the source could check at its transaction's end is checked at ours. Asked of tables that
/// have such constraints only: it is one more way to the server.
void Applier::defer_constraints(pqxx::work& tx, const std::vector<Segment>& segments) {
  for (const auto& segment : segments) {
    if (constraints_wait_) return;
    const TargetTable* const table = target_table(tx, *segment.relation);
    if (table == nullptr || !table->has_deferrable) continue;
    tx.exec("SET CONSTRAINTS ALL DEFERRED");
    constraints_wait_ = true;
  }
}

void Applier::check_constraints(pqxx::work& tx) {
  query(tx, "SET CONSTRAINTS ALL IMMEDIATE");
  constraints_wait_ = false;
}

/// Tables before those whose foreign keys point to them; empty: one after the other as they are,
/// since a table comes in several parts, or there is but one.
std::vector<std::size_t> Applier::parents_first(pqxx::work& tx,
                                                const std::vector<Segment>& segments) {
  std::map<Relation, std::size_t> of;
  for (std::size_t i = 0; i < segments.size(); ++i) of[target_of(*segments[i].relation)] = i;
  if (segments.size() < 2 || of.size() < segments.size()) return {};
  std::vector<std::size_t> order;
  std::vector<bool> seen(segments.size());
  const std::function<void(std::size_t)> visit = [&](std::size_t at) {
    if (seen[at]) return;
    seen[at] = true;
    const TargetTable* const table = target_table(tx, *segments[at].relation);
    for (const auto& parent : table == nullptr ? std::vector<Relation>{} : table->references) {
      if (const auto found = of.find(parent); found != of.end()) visit(found->second);
    }
    order.push_back(at);
  };
  for (std::size_t i = 0; i < segments.size(); ++i) visit(i);
  return order;
}

/// Where rows get other keys it matters which keys the target has.
TableChanges Applier::fold_segment(pqxx::work& tx, const Segment& segment) {
  writing_ = target_of(*segment.relation);
  std::map<std::string_view, bool> on_target;
  if (const auto keys = keys_in_question(segment); !keys.empty()) {
    std::vector<Change> asked;
    for (const auto& key : keys) {
      if (!on_target.try_emplace(key.bytes, false).second) continue;
      asked.emplace_back();
      asked.back().key = key.cells;
      asked.back().key_bytes = key.bytes;
    }
    RowGroup group{segment.key_layout, {}, {}, {}};
    for (const auto& change : asked) group.changes.push_back(&change);
    const auto found =
        run(tx, make_statement(tx, {Verb::find, segment.relation, nullptr, segment.key_layout, {}}),
            group);
    for (std::size_t i = 0; i < found.size(); ++i) on_target[asked[i].key_bytes] = found[i] > 0;
  }
  auto table = fold(segment, [&](std::string_view key) { return on_target[key]; });
  if (table.unfinished != nullptr) {
    throw Unfinished{"target table " + to_string(*writing_) +
                         ": the row gets a key that another row has until a later change of the "
                         "source's transaction; if it never goes on, the target has a row too "
                         "many, or the transaction is larger than batch.max_events",
                     table.unfinished};
  }
  return table;
}

void Applier::truncate(pqxx::work& tx, const TableChanges& table) {
  if (!table.truncate) return;
  const TargetTable* const target = target_table(tx, *table.relation);
  if (target == nullptr) return;
  writing_ = target->name;
  // The source has truncated what refers to the table together with it; here that comes by itself.
  // And PostgreSQL truncates no table with rows whose constraints are still to be checked.
  const bool must_delete = target->is_referenced || (target->has_deferrable && has_written_);
  // Not exec(): where that fails libpqxx 6 gives the transaction up, savepoints or not.
  query(tx, (must_delete ? "DELETE FROM " : "TRUNCATE TABLE ") + quoted_name(target->name));
}

/// Removes first: they free the values of unique columns that other rows may take.
void Applier::remove(pqxx::work& tx, const TableChanges& table) {
  writing_ = target_of(*table.relation);
  // What is written next may have the table altered: by then it must be.
  if (!table.removes.empty()) {
    for (const auto& group : table.upserts) upsert_statement(tx, table, group);
  }
  for (const auto& group : table.removes) {
    if (table.has_key) {
      run(tx, make_statement(tx, {Verb::remove, table.relation, nullptr, group.layout, {}}), group);
      continue;
    }
    // One scan for all, each row looked up in a hash table; elsewhere plans must be by index.
    tx.exec("SET LOCAL enable_hashjoin = on; SET LOCAL enable_seqscan = on");
    const auto found =
        run(tx, make_statement(tx, {Verb::remove_equal, table.relation, nullptr, group.layout, {}}),
            group);
    tx.exec("SET LOCAL enable_hashjoin = off; SET LOCAL enable_seqscan = off");
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i] == group.counts[i]) continue;
      throw Refused{"target table " + to_string(*writing_) +
                        " has no row, or too few rows, with the values of this row of a table "
                        "without a key: it has diverged from the source; take a new snapshot of "
                        "the table into an empty one, " +
                        then_reload,
                    group.changes[i], true};
    }
  }
}

void Applier::put(pqxx::work& tx, const TableChanges& table) {
  writing_ = target_of(*table.relation);
  for (const auto& group : table.moves) move(tx, table, group);
  for (const auto& group : table.rotations) rotate(tx, table, group);
  for (const auto& group : table.updates) update(tx, table, group);
  for (const auto& group : table.upserts) upsert(tx, table, group);
}

void Applier::move(pqxx::work& tx, const TableChanges& table, const RowGroup& group) {
  const auto found = run(tx,
                         make_statement(tx, {Verb::move, table.relation, group.layout,
                                             table.key_layout, group.unchanged}),
                         group);
  const auto rest = missing(group, found);
  if (rest.changes.empty()) return;
  rest.unchanged.empty() ? upsert(tx, table, rest) : update(tx, table, rest);
}

void Applier::update(pqxx::work& tx, const TableChanges& table, const RowGroup& group) {
  const auto found = run(tx,
                         make_statement(tx, {Verb::update, table.relation, group.layout,
                                             table.key_layout, group.unchanged}),
                         group);
  const auto rest = missing(group, found);
  if (rest.changes.empty()) return;
  const Change& change = *rest.changes.front();
  throw Refused{"target table " + to_string(*writing_) +
                    " does not have the row, and the source did not send its unchanged TOAST value "
                    "of column " +
                    unchanged_column(change) + ": copy the row from the source, " + then_reload +
                    "; " + to_send_all,
                &change, true};
}

void Applier::rotate(pqxx::work& tx, const TableChanges& table, const RowGroup& group) {
  const auto found = run(tx,
                         make_statement(tx, {Verb::rotate, table.relation, group.layout,
                                             table.key_layout, group.unchanged}),
                         group);
  if (const auto rest = missing(group, found); !rest.changes.empty()) {
    throw Refused{
        "target table " + to_string(*writing_) +
            " does not have all of the rows that pass their keys round: it has diverged from the "
            "source; take a new snapshot of the table, " +
            then_reload,
        rest.changes.front(), true};
  }
}

const Applier::Statement* Applier::upsert_statement(pqxx::work& tx, const TableChanges& table,
                                                    const RowGroup& group) {
  const auto verb = table.has_key ? Verb::upsert : Verb::insert;
  const Layout* const key = table.has_key ? table.key_layout : nullptr;
  return make_statement(tx, {verb, table.relation, group.layout, key, {}});
}

void Applier::upsert(pqxx::work& tx, const TableChanges& table, const RowGroup& group) {
  run(tx, upsert_statement(tx, table, group), group);
}

std::vector<std::int64_t> Applier::run(pqxx::work& tx, const Statement* made,
                                       const RowGroup& group) {
  const Changes all{group.changes};
  if (made == nullptr) return std::vector<std::int64_t>(all.size());
  const Statement& statement = *made;
  has_written_ = true;
  std::vector<std::int64_t> found;
  for (std::size_t begin = 0; begin != all.size();) {
    const std::size_t end = end_of_statement(statement.plan, all, begin);
    const Changes changes = all.subspan(begin, end - begin);
    const auto counts = group.counts.empty() ? std::span<const std::int64_t>{}
                                             : std::span{group.counts}.subspan(begin, end - begin);
    auto arrays = encode(statement.plan, changes, counts);
    const auto& name = arrays ? statement.name : statement.text_name;
    if (!arrays) arrays = encode(statement.text_plan, changes, counts);
    if (!statement.plan.before.empty()) run_prepared_binary(tx, before(name), *arrays);
    const auto rows = run_prepared_binary(tx, name, *arrays);
    if (rows.columns() > 0) found.resize(all.size());
    for (const auto& row : rows) ++found[begin + row[0].as<std::size_t>() - 1];
    begin = end;
  }
  return found;
}

// ---- Statements

const TargetTable* Applier::target_table(pqxx::work& tx, const Relation& source) {
  auto known = tables_.find(&source);
  if (known == tables_.end()) {
    const Relation target = targets_.claim(source);
    auto found = read_table(tx, target);
    if (!found && config_.missing_table == MissingTable::create) return nullptr;
    if (!found) {
      throw Refused{"target table " + to_string(target) + " does not exist: create it, " +
                    then_reload};
    }
    known = tables_.emplace(&source, KnownTable{*std::move(found), transaction_}).first;
  }
  if (known->second.read_in != transaction_) used_old_statements_ = true;
  return &known->second.table;
}

Applier::Mapped Applier::map(const StatementKey& key) const {
  const auto& [verb, relation, row, row_key, unchanged] = key;
  Mapped mapped;
  if (row != nullptr) mapped.row = mapping().columns_of(*relation, *row);
  if (row_key != nullptr) mapped.key = mapping().columns_of(*relation, *row_key);
  return mapped;
}

/// The table, made or altered where rows are to be written that it does not fit; nullopt: there is
/// none, and nothing is to be written.
std::optional<TargetTable> Applier::prepare(pqxx::work& tx, const StatementKey& key,
                                            Mapped& mapped) {
  const auto& [verb, relation, row, row_key, unchanged] = key;
  const Relation target = targets_.claim(*relation);
  if (row != nullptr) {
    PlanErrors unmappable;
    for (auto& problem : mapping().problems(*relation, *row, row_key, config_.synced_at)) {
      unmappable.push_back({std::move(problem)});
    }
    if (!unmappable.empty()) throw Refused{refusal(target, unmappable)};
  }
  // A row without a key is looked for by all of its columns: new ones, too.
  const bool looks_for_row =
      verb == Verb::remove_equal && row_key != nullptr && target_table(tx, *relation) != nullptr;
  MappedLayout* const other_columns = looks_for_row ? &mapped.key : nullptr;
  const auto changed_before = targets_.changes();
  auto table = targets_.prepare(tx, *relation, row == nullptr ? other_columns : &mapped.row,
                                row_key == nullptr ? nullptr : &mapped.key.layout);
  if (!table && (row != nullptr || config_.missing_table != MissingTable::create)) {
    throw Refused{"target table " + to_string(target) + " does not exist: create it, " +
                  then_reload};
  }
  if (targets_.changes() != changed_before) forget(target);
  if (table) tables_.insert_or_assign(relation, KnownTable{*table, transaction_});
  if (unchanged.empty()) return table;
  for (const auto cell : mapped.row.cells) mapped.unchanged.push_back(unchanged[cell]);
  return table;
}

const Applier::Statement* Applier::make_statement(pqxx::work& tx, StatementKey key) {
  if (const auto made = statements_.find(key); made != statements_.end()) {
    if (made->second.made_in != transaction_) used_old_statements_ = true;
    return &made->second;
  }
  Mapped mapped = map(key);
  const auto table = prepare(tx, key, mapped);
  if (!table) return nullptr;
  if (statements_.size() >= most_statements) forget_statements();
  const auto prepared = [&](Wire wire, std::string& name, StatementPlan& statement) {
    auto made = plan(key, *table, mapped, wire);
    if (!made) throw Refused{refusal(table->name, made.error(), targets_.done_to(table->name))};
    for (auto& parameter : made->parameters) {
      if (parameter.from == From::count) continue;
      const bool is_of_row = parameter.from == From::row || parameter.from == From::sent;
      const auto& cells = is_of_row ? mapped.row.cells : mapped.key.cells;
      parameter.cell = cells[parameter.cell];
    }
    name = "s" + std::to_string(next_statement_++);
    statement = std::move(*made);
    session_.connection().prepare(name, statement.sql);
    if (statement.before.empty()) return;
    session_.connection().prepare(before(name), statement.before);
  };
  Statement statement;
  statement.target = table->name;
  statement.made_in = transaction_;
  prepared(Wire::binary, statement.name, statement.plan);
  prepared(Wire::text, statement.text_name, statement.text_plan);
  return &statements_.emplace(std::move(key), std::move(statement)).first->second;
}

Result<StatementPlan, PlanErrors> Applier::plan(const StatementKey& key, const TargetTable& table,
                                                const Mapped& mapped, Wire wire) const {
  const Layout& row = mapped.row.layout;
  const Layout& row_key = mapped.key.layout;
  switch (std::get<Verb>(key)) {
    case Verb::upsert:
      return plan_upsert(table, row, row_key, config_.synced_at, wire, config_.connector);
    case Verb::remove:
      return plan_remove(table, row_key, wire, config_.connector);
    case Verb::update:
      return plan_update(table, {row, mapped.unchanged}, row_key, From::key, config_.synced_at,
                         wire, config_.connector);
    case Verb::move:
      return plan_update(table, {row, mapped.unchanged}, row_key, From::old_key, config_.synced_at,
                         wire, config_.connector);
    case Verb::rotate:
      return plan_rotation(table, {row, mapped.unchanged}, row_key, config_.synced_at, wire,
                           config_.connector);
    case Verb::find:
      return plan_find(table, row_key, wire, config_.connector);
    case Verb::insert:
      return plan_insert(table, row, config_.synced_at, wire, config_.connector);
    case Verb::remove_equal:
      return plan_remove_equal(table, row_key, wire, config_.connector);
  }
  return PlanErrors{{"can't be written"}};
}

bool Applier::has_statements(const Relation& source, const Layout& row) const {
  return std::any_of(statements_.begin(), statements_.end(), [&](const auto& one) {
    return std::get<1>(one.first) == &source && std::get<2>(one.first) == &row;
  });
}

void Applier::forget_statements() {
  for (const auto& [key, statement] : statements_) {
    session_.connection().unprepare(statement.name);
    session_.connection().unprepare(statement.text_name);
    if (statement.plan.before.empty()) continue;
    session_.connection().unprepare(before(statement.name));
    session_.connection().unprepare(before(statement.text_name));
  }
  statements_.clear();
}

/// Of a table that is not what it was.
void Applier::forget(const Relation& target) {
  std::erase_if(statements_, [&](const auto& one) { return one.second.target == target; });
  std::erase_if(tables_, [&](const auto& one) { return one.second.table.name == target; });
}

/// What was done to tables is rolled back, but for the first `changes`.
void Applier::undone(std::size_t changes) {
  for (const auto& target : targets_.rolled_back(changes)) forget(target);
}

}  // namespace lockstep::postgres
