#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/model/change.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/model/sink.hpp"
#include "lockstep/model/tables.hpp"

namespace lockstep::postgres {

struct SinkConfig {
  std::string pipeline;   ///< names its rows of lockstep.progress
  std::string url;        ///< libpq connection string or URI
  std::string schema;     ///< of the target tables; empty: the source's own
  std::string synced_at;  ///< column that takes the applying transaction's time; empty: none
  MissingTable missing_table = MissingTable::pause;
  SchemaChange schema_change = SchemaChange::pause;
  std::vector<TableRule> tables{};
  ConnectorModes connector{};  ///< for what its messages don't tell
  bool parks_keys = false;     ///< keeps lockstep.parked: batches can have letters
};

/// The sink that keeps a target PostgreSQL equal to the source.
///
/// A batch is one transaction: lockstep.progress is moved by compare-and-set, then each table's
/// truncate, deletes and upserts follow as array statements of many rows each. Schema lockstep and
/// its table are made when missing. It connects when first used and again after a loss or a
/// refusal. Waits: connect 5 s, a lock 1.5 s, a statement 10 min, an answer from a dead peer 30 s;
/// 5 s more to find the record for which a batch is refused.
std::unique_ptr<Sink> make_sink(SinkConfig config);

/// The sinks of one pipeline, each with a connection of its own. They know of each other's tables:
/// no two of the source's are written to one of the target's.
std::vector<std::unique_ptr<Sink>> make_sinks(const SinkConfig& config, std::size_t count);

/// "host:port/dbname" of a connection string, for logs: never the password.
std::string describe(const std::string& url);

/// What is known of a table's records, before any is applied.
struct TableForm {
  Relation source;
  const Layout* key = nullptr;  ///< nullptr: not known
  const Layout* row = nullptr;  ///< nullptr: not known; known only with the key, if there is one
  bool has_key = true;          ///< false: rows are found by all their columns
};

/// What a look at the target says of one table; for `lockstepd --check`.
struct TableReport {
  Relation target;
  /// Why such records can't be applied, and what to do. Each goes on from the table's name: "does
  /// not exist: create it".
  std::vector<std::string> problems;
  /// What the daemon will run before it writes such records; where this is something, there is no
  /// problem with it.
  bool will_be_created = false;
  std::vector<std::string> statements;
  std::vector<std::string> warnings;
};

/// Connects, reads the target's catalog, and plans for each table what would be written to it.
/// Changes nothing. Errors: the target can't be reached, or its role can't keep a position there.
Result<std::vector<TableReport>, SinkError> check_target(const SinkConfig& config,
                                                         const std::vector<TableForm>& tables);

}  // namespace lockstep::postgres
