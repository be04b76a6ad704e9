#include "targets.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>

#include "error.hpp"
#include "evolve.hpp"
#include "lockstep/model/advice.hpp"
#include "refused.hpp"

namespace lockstep::postgres {

namespace {

ColumnType type_of(pqxx::transaction_base& tx, const Column& column, const std::string& schema,
                   const ConnectorModes& modes) {
  if (auto own = own_type(column, modes)) return *own;
  for (const auto& name : {column.declared, element_name(column)}) {
    const auto found = find_type(tx, name, schema);
    auto like = found ? type_like(column, *found, modes) : std::nullopt;
    if (like) return *like;
  }
  return any_type(column, modes);
}

}  // namespace

Relation SharedTables::owner_of(const Relation& target, const Relation& source) {
  const Lock lock{mutex_};
  return owners_.try_emplace(target, source).first->second;
}

bool SharedTables::is_news(const std::string& word) {
  const Lock lock{mutex_};
  return told_.insert(word).second;
}

std::string two_sources(const Relation& owner, const Relation& source) {
  return "takes the rows of source table " + to_string(owner) + ", and those of " +
         to_string(source) +
         " would overwrite them: give one of the two another table with tables (match, to); for "
         "partitions of one table, set publish_via_partition_root on the publication";
}

std::vector<ColumnType> types_of(pqxx::transaction_base& tx, const Layout& row,
                                 const std::string& schema, const ConnectorModes& modes) {
  std::vector<ColumnType> types;
  types.reserve(row.columns.size());
  for (const auto& column : row.columns) types.push_back(type_of(tx, column, schema, modes));
  return types;
}

std::string why_not_created(const Layout& row) {
  const bool is_untyped =
      std::any_of(row.columns.begin(), row.columns.end(),
                  [](const Column& column) { return column.type == ValueType::untyped; });
  return is_untyped ? "does not exist, and a schemaless message does not say its types: create it, "
                      "or set value.converter.schemas.enable=true"
                    : "";
}

Targets::Targets(const SinkConfig& config, Session& session, std::shared_ptr<SharedTables> shared)
    : config_{config}, mapping_{config.schema, config.tables}, shared_{std::move(shared)} {
  if (config.schema_change == SchemaChange::evolve) known_.emplace(session, config.pipeline);
}

Relation Targets::claim(const Relation& source) {
  const Relation target = mapping_.target_of(source);
  const Relation owner = shared_->owner_of(target, source);
  if (owner != source) {
    throw Refused{"target table " + to_string(target) + " " + two_sources(owner, source)};
  }
  return target;
}

std::optional<TargetTable> Targets::prepare(pqxx::transaction_base& tx, const Relation& source,
                                            MappedLayout* row, const Layout* key) {
  const Relation target = mapping_.target_of(source);
  auto table = read_table(tx, target);
  if (row == nullptr) return table;
  if (!table) {
    if (config_.missing_table != MissingTable::create) return std::nullopt;
    return create(tx, target, row->layout, key);
  }
  if (config_.schema_change == SchemaChange::evolve) {
    return evolve(tx, *std::move(table), row->layout);
  }
  if (config_.schema_change == SchemaChange::ignore) leave_out_unknown(*table, *row);
  return table;
}

TargetTable Targets::create(pqxx::transaction_base& tx, const Relation& target, const Layout& row,
                            const Layout* key) {
  if (const auto why_not = why_not_created(row); !why_not.empty()) {
    throw Refused{"target table " + to_string(target) + " " + why_not + ", " + then_reload};
  }
  lock_name(tx, quoted_name(target));
  if (auto made_meanwhile = read_table(tx, target)) return *std::move(made_meanwhile);
  if (!has_schema(tx, target.schema)) {
    lock_name(tx, quote_name(target.schema));
    if (!has_schema(tx, target.schema)) {
      run(tx, target, "CREATE SCHEMA " + quote_name(target.schema));
    }
  }
  const auto types = types_of(tx, row, target.schema, config_.connector);
  run(tx, target, create_table(target, row, types, key, config_.synced_at));
  if (known_) known_->write(tx, target, column_names(row));
  return read_table(tx, target).value();
}

TargetTable Targets::evolve(pqxx::transaction_base& tx, TargetTable table, const Layout& row) {
  const auto types = types_of(tx, row, table.name.schema, config_.connector);
  auto before = known_->read(tx, table.name);
  bool holds_rows = true;
  bool is_owned = true;
  const auto look = [&] {
    return postgres::evolve(
        {table, row, types, before, holds_rows, is_owned, config_.synced_at, config_.connector});
  };
  const auto fits = [](const Evolution& one) {
    return one.statements.empty() && one.errors.empty() && one.warnings.empty();
  };
  auto evolution = look();
  if (!fits(evolution)) {
    is_owned = owns(tx, table.name);
    holds_rows = has_rows(tx, table.name);
    evolution = look();
  }
  if (!evolution.statements.empty()) {
    // Another daemon may have altered it meanwhile: from here on nobody does.
    query(tx, "LOCK TABLE " + quoted_name(table.name) + " IN ACCESS EXCLUSIVE MODE");
    table = read_table(tx, table.name).value();
    before = known_->read(tx, table.name);
    holds_rows = has_rows(tx, table.name);
    evolution = look();
  }
  if (!evolution.errors.empty()) throw Refused{refusal(table.name, evolution.errors)};
  for (const auto& statement : evolution.statements) run(tx, table.name, statement);
  for (auto& warning : evolution.warnings) {
    warnings_.push_back("target table " + to_string(table.name) + ": " + std::move(warning));
  }
  if (before != column_names(row)) known_->write(tx, table.name, column_names(row));
  if (!evolution.statements.empty()) table = read_table(tx, table.name).value();
  return table;
}

void Targets::leave_out_unknown(const TargetTable& table, MappedLayout& row) {
  MappedLayout kept;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const Column& column = row.layout.columns[i];
    if (table.find(column.name) != nullptr) {
      kept.layout.columns.push_back(column);
      kept.cells.push_back(row.cells[i]);
      continue;
    }
    warnings_.push_back("target table " + to_string(table.name) + " has no column " +
                        quote_name(column.name) + ": it is not written");
  }
  row = std::move(kept);
}

void Targets::run(pqxx::transaction_base& tx, const Relation& target,
                  const std::string& statement) {
  const std::string of = "target table " + to_string(target);
  std::exception_ptr thrown;
  const auto ran = translating_errors([&] {
    try {
      query(tx, statement);  // not exec(): see Applier::truncate()
    } catch (...) {
      thrown = std::current_exception();
      throw;
    }
  });
  if (ran) {
    done_.emplace_back(target, statement);
    return;
  }
  if (ran.error().kind != SinkError::Kind::refused) std::rethrow_exception(thrown);
  throw Refused{of + ": " + ran.error().message +
                "; run it with the right to, or change what is in "
                "its way, " +
                then_reload + ": " + statement};
}

std::set<Relation> Targets::rolled_back(std::size_t changes) {
  std::set<Relation> tables;
  for (std::size_t i = changes; i < done_.size(); ++i) tables.insert(done_[i].first);
  done_.resize(std::min(changes, done_.size()));
  if (changes == 0) warnings_.clear();
  return tables;
}

std::vector<std::string> Targets::done_to(const Relation& target) const {
  std::vector<std::string> statements;
  for (const auto& [table, statement] : done_) {
    if (table == target && statement.starts_with("ALTER")) statements.push_back(statement);
  }
  return statements;
}

void Targets::committed() {
  for (const auto& [target, statement] : done_) {
    spdlog::info("target table changed pipeline={} table={} statement: {}", config_.pipeline,
                 to_string(target), statement);
  }
  for (const auto& warning : warnings_) {
    if (shared_->is_news(warning)) spdlog::warn("{} pipeline={}", warning, config_.pipeline);
  }
  rolled_back(0);
}

}  // namespace lockstep::postgres
