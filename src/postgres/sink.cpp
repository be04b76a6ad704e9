#include "lockstep/postgres/sink.hpp"

#include "applier.hpp"
#include "culprit.hpp"
#include "error.hpp"
#include "lockstep/model/names.hpp"

namespace lockstep::postgres {

namespace {

constexpr auto written_with = "SELECT, INSERT, UPDATE, DELETE";
constexpr auto see_rights = "docs/operation.md, Rights on the target";

class PostgresSink : public Sink {
 public:
  explicit PostgresSink(SinkConfig config) : config_{std::move(config)} {}

  Result<Positions, SinkError> positions(const std::vector<TopicPartition>& partitions) override {
    if (auto connected = connect(); !connected) return connected.error();
    Positions found;
    auto read = translating_errors([&] { found = applier_->positions(partitions); });
    if (read) return found;
    applier_.reset();
    return waiting(read.error());
  }

  Result<Done, SinkError> apply(const Batch& batch) override {
    for (;;) {
      if (auto connected = connect(); !connected) return connected;
      auto applied = try_to_apply(batch);
      if (applied || applied.error().kind == SinkError::Kind::busy ||
          applied.error().kind == SinkError::Kind::moved) {
        return applied;
      }
      // A statement that was made before the target's schema changed is refused, or misreads a
      // value, for reasons that are none any more: once more with what the catalog says now.
      const bool is_refused = applied.error().kind == SinkError::Kind::refused;
      const bool may_be_outdated = is_refused && applier_->used_old_statements();
      if (is_refused && !may_be_outdated && !applied.error().sqlstate.empty()) {
        applied = explained(batch, std::move(applied).error());
      }
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
    if (error.sqlstate == "42501") error.message += std::string{"; "} + see_rights;
    return error;
  }

  Result<Done, SinkError> connect() {
    if (applier_) return done;
    auto connected = translating_errors([&] { applier_ = std::make_unique<Applier>(config_); });
    if (!connected) return waiting(connected.error());
    return connected;
  }

  Result<Done, SinkError> try_to_apply(const Batch& batch) {
    try {
      return translating_errors([&] { applier_->apply(batch); });
    } catch (const Refused& refused) {
      if (refused.change == nullptr) return SinkError{SinkError::Kind::refused, refused.message};
      return SinkError{SinkError::Kind::refused,
                       "record " + name_of(batch, *refused.change) + ", " + refused.message, "",
                       record_of(batch, *refused.change)};
    } catch (const Moved&) {
      return SinkError{SinkError::Kind::moved, "lockstep.progress was moved by another owner"};
    }
  }

  SinkError explained(const Batch& batch, const SinkError& error) {
    SinkError better = error;
    auto looked = translating_errors([&] { better = explain(*applier_, batch, error); });
    return looked ? better : error;
  }

  const SinkConfig config_;
  std::unique_ptr<Applier> applier_;
};

/// Whether the session's role may keep its position. Errors: what it may not.
Result<Done, SinkError> check_progress(pqxx::transaction_base& tx) {
  // Looked up in the catalog: to_regclass() fails for who may not use the schema.
  const auto found = tx.exec(
      "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'progress' AND relnamespace = n.oid), "
      "CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE') "
      "ELSE has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE') END, "
      "current_user FROM (VALUES (1)) one LEFT JOIN pg_namespace n ON n.nspname = 'lockstep'");
  std::string lacks;
  if (found[0][0].as<bool>()) {
    lacks = lacking_rights(tx, {"lockstep", "progress"}, "SELECT, INSERT, UPDATE");
  } else if (!found[0][1].as<bool>()) {
    lacks = "the right to make it";
  }
  if (lacks.empty()) return done;
  return SinkError{SinkError::Kind::unavailable, "on lockstep.progress, role " +
                                                     std::string{found[0][2].c_str()} + " lacks " +
                                                     lacks + ": " + see_rights};
}

std::vector<std::string> problems_of(const std::optional<TargetTable>& table, const TableForm& form,
                                     const SinkConfig& config, const std::string& lacking) {
  if (!table) return {"does not exist: create it"};
  PlanErrors errors;
  if (form.row == nullptr) {
    errors = check_table(*table, form.key, config.synced_at);
  } else if (auto plan = plan_upsert(*table, *form.row, *form.key, config.synced_at, Wire::binary,
                                     config.connector);
             !plan) {
    errors = std::move(plan).error();
  }
  std::vector<std::string> problems;
  for (auto& error : errors) problems.push_back(std::move(error.message));
  if (!lacking.empty()) {
    problems.push_back("may not be written, lacking " + lacking + ": " + see_rights);
  }
  return problems;
}

}  // namespace

std::unique_ptr<Sink> make_sink(SinkConfig config) {
  return std::make_unique<PostgresSink>(std::move(config));
}

Result<std::vector<TableReport>, SinkError> check_target(const SinkConfig& config,
                                                         const std::vector<TableForm>& tables) {
  std::vector<TableReport> reports;
  Result<Done, SinkError> progress = done;
  auto looked = translating_errors([&] {
    Session session{config.url};
    pqxx::read_transaction tx{session.connection()};
    progress = check_progress(tx);
    for (const auto& form : tables) {
      const Relation target = target_table_of(form.source, config.schema);
      reports.push_back({target, problems_of(read_table(tx, target), form, config,
                                             lacking_rights(tx, target, written_with))});
    }
  });
  if (!looked) return looked.error();
  if (!progress) return progress.error();
  return reports;
}

}  // namespace lockstep::postgres
