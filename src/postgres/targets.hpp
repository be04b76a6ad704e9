#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "known_columns.hpp"
#include "lockstep/model/mutex.hpp"
#include "lockstep/postgres/catalog.hpp"
#include "lockstep/postgres/mapping.hpp"
#include "lockstep/postgres/session.hpp"
#include "lockstep/postgres/sink.hpp"

namespace lockstep::postgres {

/// What the connections of one pipeline tell each other of their tables. Safe from every thread.
class SharedTables {
 public:
  /// Whose rows the target table takes: `source` unless another was first.
  Relation owner_of(const Relation& target, const Relation& source);
  /// True once for each word.
  bool is_news(const std::string& word);

 private:
  Mutex mutex_;
  std::map<Relation, Relation> owners_ LOCKSTEP_GUARDED_BY(mutex_);
  std::set<std::string> told_ LOCKSTEP_GUARDED_BY(mutex_);
};

/// Why rows of `source` can't go into a table that has `owner`'s; goes on from the table's name.
std::string two_sources(const Relation& owner, const Relation& source);

/// The types that a row's columns have at the target, where the source's can be had there.
std::vector<ColumnType> types_of(pqxx::transaction_base& tx, const Layout& row,
                                 const std::string& schema, const ConnectorModes& modes);

/// Why no table can be made of such rows; empty: one can.
std::string why_not_created(const Layout& row);

/// The target's tables as a connection sees them: where a source's rows go, and a table that is
/// made or altered to take them, as far as the configuration lets it. Throws Refused and pqxx's
/// exceptions.
class Targets {
 public:
  Targets(const SinkConfig& config, Session& session, std::shared_ptr<SharedTables> shared);

  /// Refuses a source whose target table takes another's rows.
  Relation claim(const Relation& source);
  const Mapping& mapping() const { return mapping_; }

  /// The table, ready for rows like these; nullopt: there is none. `row`: nullptr for rows that are
  /// removed. Columns that are not to be written are taken out of it. What it does to the table
  /// is a part of the transaction.
  std::optional<TargetTable> prepare(pqxx::transaction_base& tx, const Relation& source,
                                     MappedLayout* row, const Layout* key);

  /// How many statements it has run in the transaction.
  std::size_t changes() const { return done_.size(); }
  /// Those that alter a table, in order.
  std::vector<std::string> done_to(const Relation& target) const;
  /// Logs what it has done.
  void committed();
  /// All but the first `changes` of its statements; returns their tables.
  std::set<Relation> rolled_back(std::size_t changes);

 private:
  TargetTable create(pqxx::transaction_base& tx, const Relation& target, const Layout& row,
                     const Layout* key);
  TargetTable evolve(pqxx::transaction_base& tx, TargetTable table, const Layout& row);
  void leave_out_unknown(const TargetTable& table, MappedLayout& row);
  void run(pqxx::transaction_base& tx, const Relation& target, const std::string& statement);

  const SinkConfig& config_;
  const Mapping mapping_;
  const std::shared_ptr<SharedTables> shared_;
  std::optional<KnownColumns> known_;  // if tables evolve
  std::vector<std::pair<Relation, std::string>> done_;
  std::vector<std::string> warnings_;
};

}  // namespace lockstep::postgres
