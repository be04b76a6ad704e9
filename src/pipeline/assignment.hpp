#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lockstep/batch/lanes.hpp"
#include "lockstep/batch/ledger.hpp"
#include "lockstep/batch/letterbox.hpp"
#include "lockstep/debezium/decoder.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "writers.hpp"

namespace lockstep::pipeline {

/// What an Assignment has Kafka do; a kafka::Consumer does it (see there).
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  virtual Result<Positions, kafka::KafkaError> assign(
      const std::vector<kafka::Consumer::Start>& starts, std::chrono::milliseconds deadline) = 0;
  virtual void pause(const std::vector<TopicPartition>& partitions) = 0;
  virtual void resume(const std::vector<TopicPartition>& partitions) = 0;
};

/// Which partitions are ours, and what Kafka is to fetch of them.
///
/// A partition begins in one way only, be it new, moved by another owner, or its table's retried:
/// the target is asked for its position, the table that its changes were of and the keys that are
/// parked, the ledger begins there, and the consumer is assigned all that is being read, from where
/// each stands. Between that, lanes that hold enough are paused. Needs no broker: Fetcher can be
/// anything. Threads: the pipeline's.
class Assignment {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `has_positions`: the target keeps them. If not, a partition that was ours all the time goes on
  /// where it was, and another begins at the group's offset.
  Assignment(std::string pipeline, Lanes& lanes, Ledger& ledger, Letterbox& letterbox,
             debezium::Decoder& decoder, Writers& writers, bool has_positions = true)
      : pipeline_{std::move(pipeline)},
        lanes_{lanes},
        ledger_{ledger},
        letterbox_{letterbox},
        decoder_{decoder},
        writers_{writers},
        has_positions_{has_positions} {}

  // ---- What the group says

  void assigned(const std::vector<TopicPartition>& partitions, Time now);
  /// All are gone, with what was read of them.
  void revoked();

  // ---- What the pipeline wants

  /// The topic's partitions begin anew at `when`, where the target stands by then.
  void begin_again(const std::string& topic, Time when);
  /// The same of one partition; the topic's others are not read until begin_again().
  void begin_only(const TopicPartition& partition, Time when);

  /// Brings what is fetched in line with what is wanted. Call it whenever something has happened.
  void follow(Fetcher& fetcher, Time now);
  /// When follow() has something to do without anything else happening; nullopt: never.
  std::optional<Time> next_at(Time now) const;
  /// A writer's answer to what follow() asked.
  void positions_read(const Writers::Answer& answer, Time now);

  std::size_t size() const noexcept { return assigned_.size(); }
  /// Nothing should be polled for the moment: memory is short, perhaps not for long. After a while
  /// all is paused, and polling goes on for the group's events.
  bool reading_rests() const noexcept { return lanes_.over_budget() && !all_paused_; }

 private:
  void ask_again(Time when);
  void ask(Time now);
  void assign(Fetcher& fetcher, Time now);
  void pause_and_resume(Fetcher& fetcher, Time now);

  const std::string pipeline_;
  Lanes& lanes_;
  Ledger& ledger_;
  Letterbox& letterbox_;
  debezium::Decoder& decoder_;
  Writers& writers_;
  const bool has_positions_;

  std::vector<TopicPartition> assigned_;
  std::set<TopicPartition> awaiting_;  ///< of those: their position is not known yet
  Time ask_at_{};                      ///< when to ask for it
  bool asked_ = false;
  std::uint64_t question_ = 0;  ///< raised when an answer on its way is of no use any more

  std::optional<Time> assign_at_;   ///< the consumer has to be assigned what the ledger reads
  std::set<TopicPartition> begun_;  ///< since the last time: for the log
  std::optional<Time> over_since_;  ///< the budget
  bool all_paused_ = false;         ///< for the budget's sake
};

}  // namespace lockstep::pipeline
