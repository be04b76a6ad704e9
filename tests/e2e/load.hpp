#pragma once

#include <future>
#include <string>

#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

namespace lockstep::test {

/// A table that a thread of its own fills at the source in many small transactions, the connector
/// on it, and its audited copy at the target.
class Load {
 public:
  /// Per step: 1000 rows inserted, 300 updated, 100 deleted, in a transaction each.
  Load(const std::string& name, int steps) : table{unique(name)}, steps_{steps} {
    source.exec("CREATE TABLE " + table +
                " (id bigint PRIMARY KEY, version bigint NOT NULL, note text)");
    source.exec("CREATE SEQUENCE " + table + "_version");
    target.exec(create_audited_table(table));
    connector_.emplace(unique(name), std::vector<std::string>{table});
    topic = connector_->topic(table);
  }

  void begin() {
    done_ = std::async(std::launch::async, [this] {
      Database database{Stack::from_environment().source_url};
      for (int step = 0; step < steps_; ++step) run(database, step);
    });
  }
  bool done() const { return done_.wait_for(std::chrono::seconds{0}) == std::future_status::ready; }
  /// Waits for the load's end, then for the target, and compares.
  void await_equal() {
    done_.get();
    test::await_equal(source, target, table, 120);
    check_only_forward(target, table);
  }
  std::int64_t progress() { return test::progress(target, table, topic); }
  DaemonConfig config() const {
    DaemonConfig config{table, {topic}};
    config.max_events = 1000;
    return config;
  }

  Database source{Stack::from_environment().source_url};
  Database target{Stack::from_environment().target_url};
  const std::string table;
  std::string topic;

 private:
  void run(Database& database, int step) const {
    const auto first = std::to_string(step * 1000 + 1);
    const auto next = "nextval('" + table + "_version')";
    database.exec("INSERT INTO " + table + " SELECT i, " + next +
                  ", 'row ' || i FROM generate_series(" + first + ", " + first + " + 999) i");
    // Of all rows so far, spread over them: what was applied long ago changes, too.
    database.exec("UPDATE " + table + " SET version = " + next + ", note = 'step " +
                  std::to_string(step) + "' WHERE id IN (SELECT id FROM " + table +
                  " WHERE id % 97 = " + std::to_string(step % 97) + " OR id >= " + first +
                  " ORDER BY id LIMIT 300)");
    database.exec("DELETE FROM " + table + " WHERE id BETWEEN " + first + " AND " + first +
                  " + 99");
  }

  const int steps_;
  std::optional<Connector> connector_;
  std::future<void> done_;
};

}  // namespace lockstep::test
