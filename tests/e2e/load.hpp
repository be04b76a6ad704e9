#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "connector.hpp"
#include "daemon.hpp"
#include "database.hpp"
#include "eventually.hpp"
#include "feed.hpp"
#include "kafka.hpp"
#include "stack.hpp"

namespace lockstep::test {

/// Does something in a database, the source, again and again, in a thread of its own, until it
/// ends.
class Again {
 public:
  explicit Again(std::function<void(Database&)> step,
                 const std::string& url = Stack::from_environment().source_url) {
    done_ = std::async(std::launch::async, [this, step = std::move(step), url] {
      Database database{url};
      for (; !ending_; ++steps_) {
        step(database);
        std::this_thread::sleep_for(std::chrono::milliseconds{5});  // all of it is waited for
      }
    });
  }
  ~Again() { ending_ = true; }
  Again(const Again&) = delete;
  Again& operator=(const Again&) = delete;

  /// Waits until some more were done.
  void await_more() const {
    const int target = steps_ + 20;
    eventually(std::chrono::seconds{20}, "more writes", [&] { return steps_ >= target; });
  }
  void end() {
    ending_ = true;
    done_.get();
  }

 private:
  std::atomic<int> steps_{0};
  std::atomic<bool> ending_{false};
  std::future<void> done_;  // last: it is joined before what it uses
};

/// A table that a thread of its own fills at the source in many small transactions until it is told
/// to end, the connector on it, and its audited copy at the target. The first steps follow one
/// another at once, so that there is much behind; each later one after a pause.
class Load {
 public:
  /// Per step: 1000 rows inserted, 300 updated, 100 deleted, in a transaction each.
  Load(const std::string& name, int steps_at_once) : table{unique(name)}, at_once_{steps_at_once} {
    source.exec("CREATE TABLE " + table +
                " (id bigint PRIMARY KEY, version bigint NOT NULL, note text)");
    source.exec("CREATE SEQUENCE " + table + "_version");
    target.exec(create_audited_table(table));
    connector_.emplace(unique(name), std::vector<std::string>{table});
    topic = connector_->topic(table);
  }
  ~Load() { ending_ = true; }

  void begin() {
    done_ = std::async(std::launch::async, [this] {
      Database database{Stack::from_environment().source_url};
      for (; !ending_; ++steps_) {
        run(database, steps_);
        if (steps_ >= at_once_) std::this_thread::sleep_for(std::chrono::milliseconds{500});
      }
    });
  }
  int steps() const { return steps_; }
  void restart_failed_connector() const { connector_->restart_failed(); }
  /// Ends it, then waits for the target, and compares.
  void await_equal() {
    ending_ = true;
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
  /// Each statement can be repeated: whether one took effect whose answer was lost does not matter.
  void run(Database& database, int step) const {
    const auto first = std::to_string(step * 1000 + 1);
    const auto next = "nextval('" + table + "_version')";
    patiently(database, "INSERT INTO " + table + " SELECT i, " + next +
                            ", 'row ' || i FROM generate_series(" + first + ", " + first +
                            " + 999) i ON CONFLICT DO NOTHING");
    // Of all rows so far, spread over them: what was applied long ago changes, too.
    patiently(database, "UPDATE " + table + " SET version = " + next + ", note = 'step " +
                            std::to_string(step) + "' WHERE id IN (SELECT id FROM " + table +
                            " WHERE id % 97 = " + std::to_string(step % 97) + " OR id >= " + first +
                            " ORDER BY id LIMIT 300)");
    patiently(database,
              "DELETE FROM " + table + " WHERE id BETWEEN " + first + " AND " + first + " + 99");
  }
  /// Again while the source is away; it gives up when the test has.
  void patiently(Database& database, const std::string& sql) const {
    while (true) {
      try {
        database.exec(sql);
        return;
      } catch (const std::exception&) {
        if (ending_) return;
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
      }
    }
  }

  const int at_once_;
  std::atomic<int> steps_{0};
  std::atomic<bool> ending_{false};
  std::optional<Connector> connector_;
  std::future<void> done_;
};

}  // namespace lockstep::test
