#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::test {

/// A Kafka client of the test's own: writes what it is told, looks at what is there. Each call
/// waits for its effect; a failure is a std::runtime_error.
class Kafka {
 public:
  Kafka();  ///< the stack's brokers
  ~Kafka();
  Kafka(const Kafka&) = delete;
  Kafka& operator=(const Kafka&) = delete;

  void create_topic(const std::string& topic, int partitions = 1,
                    const std::map<std::string, std::string>& config = {});
  /// Returns when the topic is gone.
  void delete_topic(const std::string& topic);
  /// Removes the records before `offset`, as retention does.
  void delete_records(const std::string& topic, int partition, std::int64_t offset);

  /// Hands a record over; flush() sends it. nullopt is Kafka's null.
  void produce(const std::string& topic, int partition, const std::optional<std::string>& key,
               const std::optional<std::string>& value,
               const std::map<std::string, std::string>& headers = {});
  /// Waits until all is in the log.
  void flush();

  struct Record {
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::map<std::string, std::string> headers{};
  };
  /// All that is in the partition now, in order.
  std::vector<Record> records(const std::string& topic, int partition = 0);

  /// The end of the partition's log: what the next record's offset will be.
  std::int64_t end(const std::string& topic, int partition);
  /// What the group has committed; nullopt: nothing.
  std::optional<std::int64_t> committed(const std::string& group, const std::string& topic,
                                        int partition);
  /// How many members the group has now.
  int members(const std::string& group);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::test
