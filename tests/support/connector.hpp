#pragma once

#include <map>
#include <string>
#include <vector>

#include "database.hpp"

namespace lockstep::test {

/// Debezium on some tables of the source, as debezium-config/postgres-connector.json sets it up,
/// with a slot, a publication and topics of its own. All are removed with this object.
class Connector {
 public:
  using Settings = std::map<std::string, std::string>;

  /// The tables must exist, in schema public, and are named as in SQL. Returns when the connector
  /// runs. `settings`: other than in the file; an empty one is left out.
  Connector(std::string name, const std::vector<std::string>& tables,
            const Settings& settings = {});
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  /// One more table from now on. Its rows that are there come with a snapshot that is asked for.
  void add(const std::string& table);
  /// Asks for it; where snapshot.mode says so it takes a new snapshot then.
  void restart() const;
  /// What an operator does after an outage: Connect leaves a task that has failed as it is.
  void restart_failed() const;

  /// The topic of a table's changes.
  std::string topic(const std::string& table) const { return name_ + ".public." + table; }

 private:
  void publish(const std::vector<std::string>& tables, const std::string& verb) const;
  /// Makes it what the settings say, and waits until it runs.
  void configure() const;

  const std::string name_;
  Settings settings_;  ///< all of them
};

}  // namespace lockstep::test
