#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>

#include "database.hpp"
#include "kafka.hpp"

namespace lockstep::test {

/// The target table (id bigint PRIMARY KEY, version bigint NOT NULL, note text, synced_at) and,
/// filled by a trigger, NAME_audit with every write to it in order: (seq, id, version, op).
std::string create_audited_table(const std::string& name);
/// Fails if the table was ever given a version that was not newer than the one before it for that
/// id: a change applied twice, or an old one put over a newer.
void check_only_forward(Database& target, const std::string& name);

/// next_offset of the pipeline's row of lockstep.progress, 0 if it has none.
std::int64_t progress(Database& target, const std::string& pipeline, const std::string& topic,
                      int partition = 0);

/// An audited table of the target and the topic of its changes, which the test writes itself, in
/// Debezium's form with schema: for faults that must hit at a certain record. Each change has a
/// higher version than all before it.
class Feed {
 public:
  /// Makes the tables and the topic; the name gets what makes it unique.
  Feed(Kafka& kafka, Database& target, const std::string& name, int partitions = 1);

  void upsert(std::int64_t id, const std::string& note = "");
  void remove(std::int64_t id);
  void truncate();  ///< in partition 0
  /// `count` changes of ids below `ids`: inserts, updates and one delete in ten. Same seed, same
  /// load.
  void load(int count, int ids, unsigned seed = 1);
  void flush() { kafka_.flush(); }

  /// Waits until the target has what was fed, row by row.
  void await_equal(Database& target, int seconds = 60) const;
  std::int64_t progress(Database& target, const std::string& pipeline, int partition = 0) const {
    return test::progress(target, pipeline, topic, partition);
  }
  std::int64_t end(int partition = 0) { return kafka_.end(topic, partition); }

  const std::string name;
  const std::string topic;

  std::string key(std::int64_t id) const;
  /// `op` is c, u, r, d or t.
  std::string value(char op, std::int64_t id, std::int64_t version, const std::string& note) const;

 private:
  struct State {
    std::int64_t version;
    std::string note;
  };
  int partition_of(std::int64_t id) const { return static_cast<int>(id % partitions_); }

  Kafka& kafka_;
  const int partitions_;
  std::int64_t version_ = 0;
  std::map<std::int64_t, State> truth_;
};

}  // namespace lockstep::test
