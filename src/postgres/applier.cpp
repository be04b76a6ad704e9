#include "applier.hpp"

#include "array.hpp"
#include "lockstep/model/advice.hpp"
#include "lockstep/model/names.hpp"

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
      if (parameter.fit.rule != Fit::Rule::any && !fits(parameter.fit, cell)) {
        throw Refused{"column " + quote_name(parameter.column) + ": " + parameter.fit.advice,
                      change};
      }
      if (!array.add(cell.view())) return std::nullopt;
    }
    arrays.push_back(std::move(array).take());
  }
  return arrays;
}

/// The name of the statement that runs before this one.
std::string before(const std::string& name) {
  return name + "_before";
}

std::string refusal(const Relation& target, const PlanErrors& errors) {
  std::string more;
  if (errors.size() > 1) {
    more = " (and " + std::to_string(errors.size() - 1) + " more: lockstepd --check tells all)";
  }
  return "target table " + to_string(target) + " " + errors.front().message + more + ", " +
         then_reload;
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

}  // namespace

Applier::Applier(const SinkConfig& config)
    : config_{config}, session_{open_session(config.url)}, progress_{session_, config.pipeline} {}

Positions Applier::positions(const std::vector<TopicPartition>& partitions) {
  pqxx::work tx{session_.connection()};
  return progress_.read(tx, partitions);
}

void Applier::apply(const Batch& batch) {
  const auto tables = fold(batch);
  writing_.reset();
  used_old_statements_ = false;
  try {
    make_statements(tables);
    pqxx::work tx{session_.connection()};
    for (const Slice& slice : batch.slices) {
      if (!progress_.move(tx, slice)) throw Moved{};
    }
    write(tx, tables);
    tx.commit();
  } catch (const Moved&) {
    // Perhaps by ourselves: a COMMIT whose answer was lost, or that was still running.
    pqxx::work tx{session_.connection()};
    if (!progress_.is_behind(tx, batch)) throw;
  }
}

void Applier::try_out(std::span<const Change> changes, std::chrono::milliseconds limit) {
  const auto tables = fold(changes);
  make_statements(tables);
  pqxx::work tx{session_.connection()};
  tx.exec("SET LOCAL statement_timeout = " + std::to_string(limit.count()));
  write(tx, tables);
  tx.exec("SET CONSTRAINTS ALL IMMEDIATE");
}

Relation Applier::target_of(const Relation& source) const {
  return target_table_of(source, config_.schema);
}

std::optional<TargetTable> Applier::table(const Relation& target) {
  pqxx::work tx{session_.connection()};
  return read_table(tx, target);
}

void Applier::write(pqxx::work& tx, const std::vector<TableChanges>& tables) {
  for (const auto& table : tables) {
    writing_ = target_of(*table.relation);
    if (table.truncate) tx.exec("TRUNCATE TABLE " + quoted_name(*writing_));
    // Removes first: they free the values of unique columns that upserts may take.
    for (const auto& group : table.removes) {
      run(tx, statements_.at({Verb::remove, table.relation, group.layout}), group, &Change::key);
    }
    for (const auto& group : table.upserts) {
      run(tx, statements_.at({Verb::upsert, table.relation, group.layout}), group, &Change::row);
    }
  }
  writing_.reset();  // COMMIT is about all of them
}

void Applier::run(pqxx::work& tx, const Statement& statement, const RowGroup& group,
                  std::span<const Cell> Change::*cells) {
  const Changes all{group.changes};
  for (auto begin = all.begin(); begin != all.end();) {
    const auto end = end_of_statement(statement.plan, all, cells, begin);
    const Changes changes{begin, end};
    auto arrays = encode(statement.plan, changes, cells);
    const auto& name = arrays ? statement.name : statement.text_name;
    if (!arrays) arrays = encode(statement.text_plan, changes, cells);
    if (!statement.plan.before.empty()) run_prepared_binary(tx, before(name), *arrays);
    run_prepared_binary(tx, name, *arrays);
    begin = end;
  }
}

/// Before the batch's transaction: it reads the catalog, which wants one of its own.
void Applier::make_statements(const std::vector<TableChanges>& tables) {
  for (const auto& table : tables) {
    for (const auto& group : table.removes) {
      make_statement({Verb::remove, table.relation, group.layout}, *group.layout);
    }
    for (const auto& group : table.upserts) {
      make_statement({Verb::upsert, table.relation, group.layout},
                     *group.changes.front()->key_layout);
    }
  }
}

void Applier::make_statement(const StatementKey& key, const Layout& key_layout) {
  if (statements_.contains(key)) {
    used_old_statements_ = true;
    return;
  }
  const auto [verb, relation, layout] = key;
  const Relation target = target_of(*relation);
  const auto found = table(target);
  if (!found) {
    throw Refused{"target table " + to_string(target) + " does not exist: create it, " +
                  then_reload};
  }
  // Captured by name: clang 14 has no structured bindings in lambdas.
  const auto prepare = [&, verb = verb, layout = layout](Wire wire, std::string& name,
                                                         StatementPlan& statement) {
    auto plan = verb == Verb::upsert ? plan_upsert(*found, *layout, key_layout, config_.synced_at,
                                                   wire, config_.connector)
                                     : plan_remove(*found, *layout, wire, config_.connector);
    if (!plan) throw Refused{refusal(target, plan.error())};
    name = "s" + std::to_string(next_statement_++);
    statement = std::move(*plan);
    session_.connection().prepare(name, statement.sql);
    if (statement.before.empty()) return;
    session_.connection().prepare(before(name), statement.before);
  };
  Statement statement;
  prepare(Wire::binary, statement.name, statement.plan);
  prepare(Wire::text, statement.text_name, statement.text_plan);
  statements_.emplace(key, std::move(statement));
}

}  // namespace lockstep::postgres
