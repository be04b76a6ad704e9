#include "lockstep/postgres/sink.hpp"

#include "applier.hpp"
#include "culprit.hpp"
#include "error.hpp"
#include "parts.hpp"
#include "targets.hpp"

namespace lockstep::postgres {

namespace {

constexpr auto written_with = "SELECT, INSERT, UPDATE, DELETE";

class PostgresSink : public Sink {
 public:
  PostgresSink(SinkConfig config, std::shared_ptr<SharedTables> shared)
      : config_{std::move(config)}, shared_{std::move(shared)} {}

  Result<SinkPositions, SinkError> positions(
      const std::vector<TopicPartition>& partitions) override {
    if (auto connected = connect(); !connected) return connected.error();
    SinkPositions found;
    auto read = translating_errors([&] { found = applier_->positions(partitions); });
    if (read) return found;
    applier_.reset();
    return waiting(read.error());
  }

  Result<ParkedKeys, SinkError> parked(const std::set<std::string>& topics) override {
    if (auto connected = connect(); !connected) return connected.error();
    ParkedKeys found;
    auto read = translating_errors([&] { found = applier_->parked(topics); });
    if (read) return found;
    applier_.reset();
    return waiting(read.error());
  }

  Result<Done, SinkError> apply(const Batch& batch) override {
    for (;;) {
      if (auto connected = connect(); !connected) return connected;
      auto applied = try_to_apply(batch);
      if (applied || is_for_later(applied.error())) return applied;
      // A statement that was made before the target's schema changed is refused, or misreads a
      // value, for reasons that are none any more: once more with what the catalog says now.
      const bool is_refused = applied.error().kind == SinkError::Kind::refused;
      const bool may_be_outdated = is_refused && applier_->used_old_statements();
      if (is_refused && !may_be_outdated && may_add_label()) {
        if (auto added = add_label(*lacks_, applied.error()); !added) return added;
        continue;
      }
      if (is_refused && !may_be_outdated) applied = apply_in_parts(batch, applied.error());
      if (applied || is_for_later(applied.error())) return applied;
      // After an outage nothing of the old session is worth keeping; after a refusal, its
      // statements.
      applier_.reset();
      if (!may_be_outdated) return applied;
    }
  }

 private:
  /// Whatever is in the way here (a database that is missing, a right to make the schema) is not
  /// about one table: all wait until it is mended.
  static SinkError waiting(SinkError error) {
    error.kind = SinkError::Kind::unavailable;
    return with_rights(std::move(error));
  }

  Result<Done, SinkError> connect() {
    if (applier_) return done;
    try {
      auto connected =
          translating_errors([&] { applier_ = std::make_unique<Applier>(config_, shared_); });
      if (!connected) return waiting(connected.error());
      return connected;
    } catch (const Refused& refused) {
      return SinkError{SinkError::Kind::unavailable, refused.message};
    }
  }

  /// Nothing is wrong with the connection or its statements.
  static bool is_for_later(const SinkError& error) {
    return error.kind == SinkError::Kind::busy || error.kind == SinkError::Kind::moved ||
           error.kind == SinkError::Kind::waits;
  }

  bool may_add_label() const {
    return config_.schema_change == SchemaChange::evolve && lacks_ && !lacks_->type.empty();
  }

  /// `refusal`: how the batch has failed without it.
  Result<Done, SinkError> add_label(const Label& label, SinkError refusal) {
    auto added = translating_errors([&] { applier_->add_label(label); });
    applier_.reset();
    if (added) return added;
    if (added.error().kind != SinkError::Kind::refused) return added;
    refusal.message += "; " + added.error().message;
    return refusal;
  }

  Result<Done, SinkError> try_to_apply(const Batch& batch) {
    refused_rows_ = false;
    lacks_.reset();
    return translating_all(batch, [&] { applier_->apply(batch); });
  }

  Result<Done, SinkError> translating_all(const Batch& batch, const std::function<void()>& body) {
    try {
      return translating_errors(body);
    } catch (const Refused& refused) {
      refused_rows_ = refused.is_about_rows;
      lacks_ = refused.lacks;
      if (refused.change == nullptr || refused.is_about_table) {
        SinkError error{SinkError::Kind::refused, refused.message};
        error.is_about_table = true;
        if (refused.change != nullptr) error.culprit = record_of(batch, *refused.change);
        return error;
      }
      return of_record(SinkError::Kind::refused, refused.message, batch, *refused.change);
    } catch (const Unfinished& unfinished) {
      return of_record(SinkError::Kind::waits, unfinished.message, batch, *unfinished.change);
    } catch (const Moved&) {
      return SinkError{SinkError::Kind::moved,
                       "lockstep.progress, or lockstep.parked, was changed by another"};
    }
  }

  static SinkError of_record(SinkError::Kind kind, const std::string& message, const Batch& batch,
                             const Change& change) {
    SinkError error{kind, "record " + name_of(batch, change) + ", " + message};
    error.culprit = record_of(batch, change);
    return error;
  }

  /// Once more, in a transaction anew, if it is about rows: in the order of the source it may go.
  Result<Done, SinkError> apply_in_parts(const Batch& batch, const SinkError& error) {
    if (!refused_rows_ && !is_about_rows(error.sqlstate)) {
      const auto table = applier_->failed_in();
      if (error.sqlstate.empty() || !table) return error;
      SinkError named = error;
      named.message = "target table " + to_string(*table) + ": " + error.message;
      return named;
    }
    auto applied = apply_in_parts(batch, error, Parts::Check::at_the_end);
    if (!applied && applied.error().kind == SinkError::Kind::refused && !stuck_) {
      // All rows are written, and something checked at the end is not as it should be.
      applied = apply_in_parts(batch, applied.error(), Parts::Check::after_each_part);
    }
    if (applied || applied.error().kind != SinkError::Kind::refused || !stuck_) return applied;
    return explained(batch, *stuck_, applied.error());
  }

  Result<Done, SinkError> apply_in_parts(const Batch& batch, const SinkError& error,
                                         Parts::Check check) {
    stuck_.reset();
    struct End {};
    const auto write = [&](pqxx::work& tx) {
      stuck_ = Parts{*applier_, tx, batch.changes, error, check}.write();
      if (stuck_) throw End{};
      applier_->check_constraints(tx);
    };
    try {
      return translating_all(batch, [&] { applier_->apply(batch, write); });
    } catch (const End&) {
      if (!stuck_->unfinished) return stuck_->error;
      return of_record(SinkError::Kind::waits, stuck_->error.message, batch,
                       batch.changes[stuck_->begin]);
    }
  }

  SinkError explained(const Batch& batch, const Stuck& stuck, const SinkError& error) {
    SinkError better = error;
    auto looked = translating_errors([&] {
      better = explain(*applier_, batch, stuck);
      if (error.sqlstate == "23503") wait_for_other_table(batch, stuck, better);
      // No time is left, but something was got done: that first, then on.
      if (!stuck.is_one() && stuck.begin > 0) {
        better.kind = SinkError::Kind::waits;
        better.culprit = record_of(batch, batch.changes[stuck.begin]);
      }
    });
    return looked ? better : error;
  }

  /// A row that refers to one that is still to come, or the other way round: another topic's
  /// changes may be behind.
  void wait_for_other_table(const Batch& batch, const Stuck& stuck, SinkError& error) {
    const auto key = applier_->foreign_key(error.constrained, error.constraint);
    if (!key || key->child == key->parent) return;
    const Relation table = applier_->target_of(*batch.changes[stuck.begin].relation);
    const Relation& other = table == key->child ? key->parent : key->child;
    error.kind = SinkError::Kind::waits;
    error.message = "waits for table " + to_string(other) + ": " + error.message;
  }

  const SinkConfig config_;
  const std::shared_ptr<SharedTables> shared_;
  std::unique_ptr<Applier> applier_;
  bool refused_rows_ = false;   ///< the last error is ours, and about rows
  std::optional<Label> lacks_;  ///< what the last error is about
  std::optional<Stuck> stuck_;  ///< where the last apply_in_parts() has ended
};

/// What the session's role lacks to keep this table of schema lockstep; empty: nothing.
std::string lacking_to_keep(pqxx::transaction_base& tx, const std::string& table,
                            const std::string& rights) {
  // Looked up in the catalog: to_regclass() fails for who may not use the schema.
  const auto found = query(
      tx,
      "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 AND relnamespace = n.oid), "
      "CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE') "
      "ELSE has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE') END "
      "FROM (VALUES (1)) one LEFT JOIN pg_namespace n ON n.nspname = 'lockstep'",
      table);
  if (found[0][0].as<bool>()) return lacking_rights(tx, {"lockstep", table}, rights);
  return found[0][1].as<bool>() ? "" : "the right to make it";
}

/// Whether the session's role may keep its position, and its parked keys. Errors: what it may not.
Result<Done, SinkError> check_own_tables(pqxx::transaction_base& tx, const SinkConfig& config) {
  std::vector<std::pair<std::string, std::string>> tables{{"progress", "SELECT, INSERT, UPDATE"}};
  if (config.parks_keys) tables.emplace_back("parked", written_with);
  for (const auto& [table, rights] : tables) {
    const auto lacks = lacking_to_keep(tx, table, rights);
    if (lacks.empty()) continue;
    const std::string role = tx.exec("SELECT current_user")[0][0].c_str();
    return SinkError{SinkError::Kind::unavailable, "on lockstep." + table + ", role " + role +
                                                       " lacks " + lacks + ": " + see_rights};
  }
  if (tx.exec("SELECT to_regclass('lockstep.progress') IS NULL")[0][0].as<bool>()) return done;
  if (auto why_not = why_not_upgraded(tx); !why_not.empty()) {
    return SinkError{SinkError::Kind::unavailable, std::move(why_not)};
  }
  return done;
}

std::string full_name_of_rights() {
  return std::string{": "} + see_rights;
}

/// What would be made of a table that is not there.
void look_at_missing(pqxx::transaction_base& tx, const SinkConfig& config, const TableForm& form,
                     const Mapping& mapping, TableReport& report) {
  if (config.missing_table != MissingTable::create) {
    report.problems.emplace_back("does not exist: create it");
    return;
  }
  report.will_be_created = true;
  const bool has_its_schema = has_schema(tx, report.target.schema);
  if (!may_create_in(tx, report.target.schema)) {
    report.problems.push_back("does not exist, and the role may not create it" +
                              std::string{has_its_schema ? " in its schema" : ", nor its schema"} +
                              full_name_of_rights());
  }
  if (form.row == nullptr) return;
  const auto row = mapping.columns_of(form.source, *form.row).layout;
  if (auto why_not = why_not_created(row); !why_not.empty()) {
    report.problems.push_back(std::move(why_not));
    return;
  }
  std::optional<Layout> key;
  if (form.key != nullptr) key = mapping.columns_of(form.source, *form.key).layout;
  if (!has_its_schema)
    report.statements.push_back("CREATE SCHEMA " + quote_name(report.target.schema));
  report.statements.push_back(
      create_table(report.target, row, types_of(tx, row, report.target.schema, config.connector),
                   key ? &*key : nullptr, config.synced_at));
}

/// What would be altered, and what is in the way. The table is as it would be, if it is known.
void look_at_fit(pqxx::transaction_base& tx, const SinkConfig& config, TargetTable table,
                 const TableForm& form, const Mapping& mapping, TableReport& report) {
  PlanErrors errors;
  std::optional<Layout> key;
  if (form.key != nullptr) key = mapping.columns_of(form.source, *form.key).layout;
  if (form.row != nullptr && !form.has_key) {
    const auto row = mapping.columns_of(form.source, *form.row).layout;
    if (auto plan = plan_insert(table, row, config.synced_at, Wire::binary, config.connector);
        !plan) {
      errors = std::move(plan).error();
    }
  } else if (form.row == nullptr) {
    errors = check_table(table, key ? &*key : nullptr, config.synced_at);
  } else {
    auto row = mapping.columns_of(form.source, *form.row).layout;
    if (config.schema_change == SchemaChange::ignore) {
      std::erase_if(row.columns,
                    [&](const Column& column) { return table.find(column.name) == nullptr; });
    }
    if (config.schema_change == SchemaChange::evolve) {
      const auto types = types_of(tx, row, table.name.schema, config.connector);
      const auto before = read_known_columns(tx, config.pipeline, table.name);
      const bool holds_rows =
          lacking_rights(tx, table.name, "SELECT").empty() && has_rows(tx, table.name);
      const bool is_owned = owns(tx, table.name);
      auto evolution = evolve(
          {table, row, types, before, holds_rows, is_owned, config.synced_at, config.connector});
      errors = std::move(evolution.errors);
      report.statements = std::move(evolution.statements);
      report.warnings = std::move(evolution.warnings);
      if (!report.statements.empty() && !is_owned) {
        report.problems.push_back(
            "does not fit, and the role is not its owner, who alone may run " +
            report.statements.front() + full_name_of_rights());
      }
    }
    if (errors.empty() && report.statements.empty()) {
      auto plan = plan_upsert(table, row, *key, config.synced_at, Wire::binary, config.connector);
      if (!plan) errors = std::move(plan).error();
    } else {
      auto more = check_table(table, key ? &*key : nullptr, "");
      errors.insert(errors.end(), more.begin(), more.end());
    }
  }
  for (auto& error : errors) report.problems.push_back(std::move(error.message));
  if (const auto lacking = lacking_rights(tx, table.name, written_with); !lacking.empty()) {
    report.problems.push_back("may not be written, lacking " + lacking + full_name_of_rights());
  }
}

void look_at_rule(const TableForm& form, const Mapping& mapping, const std::string& synced_at,
                  TableReport& report) {
  if (form.row == nullptr) return;
  report.problems = mapping.problems(form.source, *form.row, form.key, synced_at);
  for (const auto& column : mapping.unknown_columns(form.source, *form.row)) {
    report.problems.push_back("gets no column " + quote_name(column) + ", which tables names: " +
                              to_string(form.source) + " has none of that name");
  }
}

TableReport look_at(pqxx::transaction_base& tx, const SinkConfig& config, const TableForm& form,
                    const Mapping& mapping) {
  TableReport report;
  report.target = mapping.target_of(form.source);
  look_at_rule(form, mapping, config.synced_at, report);
  if (auto table = read_table(tx, report.target)) {
    look_at_fit(tx, config, *std::move(table), form, mapping, report);
  } else {
    look_at_missing(tx, config, form, mapping, report);
  }
  return report;
}

}  // namespace

std::unique_ptr<Sink> make_sink(SinkConfig config) {
  return std::make_unique<PostgresSink>(std::move(config), std::make_shared<SharedTables>());
}

std::vector<std::unique_ptr<Sink>> make_sinks(const SinkConfig& config, std::size_t count) {
  const auto shared = std::make_shared<SharedTables>();
  std::vector<std::unique_ptr<Sink>> sinks;
  for (std::size_t i = 0; i < count; ++i) {
    sinks.push_back(std::make_unique<PostgresSink>(config, shared));
  }
  return sinks;
}

Result<std::vector<TableReport>, SinkError> check_target(const SinkConfig& config,
                                                         const std::vector<TableForm>& tables) {
  std::vector<TableReport> reports;
  Result<Done, SinkError> own_tables = done;
  auto looked = translating_errors([&] {
    Session session{config.url};
    pqxx::read_transaction tx{session.connection()};
    own_tables = check_own_tables(tx, config);
    const Mapping mapping{config.schema, config.tables};
    SharedTables owners;
    for (const auto& form : tables) {
      reports.push_back(look_at(tx, config, form, mapping));
      const auto owner = owners.owner_of(reports.back().target, form.source);
      if (owner != form.source) reports.back().problems.push_back(two_sources(owner, form.source));
    }
  });
  if (!looked) return looked.error();
  if (!own_tables) return own_tables.error();
  return reports;
}

}  // namespace lockstep::postgres
