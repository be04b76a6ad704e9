#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "lockstep/model/position.hpp"

namespace lockstep::threshold {

using WallTime = std::chrono::system_clock::time_point;

struct Limits {
  std::uint64_t max_event = 0;
  std::chrono::milliseconds max_time{};
};

struct Load {
  WallTime begun;
  std::optional<WallTime> ended{};  ///< nullopt: it runs
  std::uint64_t events = 0;
  bool operator==(const Load&) const = default;
};

/// What a window must know after a restart.
struct Gathered {
  std::uint64_t count = 0;                 ///< events that the next load is for
  std::optional<WallTime> window_start{};  ///< when the first of them came
  Positions counted{};                     ///< all before them is counted, or loaded
  Positions load_until{};                  ///< where the load that runs ends; empty: none runs
  std::optional<Load> load{};              ///< that runs, or the last one
  bool operator==(const Gathered&) const = default;
};

/// Which events have come for the next load, when it is due, and what is still to be applied of the
/// one that runs.
///
/// An event counts once, however often it is read: those before `counted` have been. What comes
/// while a load runs is the next one's, unless it is applied with it. A load is over where the
/// target stands at what had come when it began; a topic that is there is shut again, though others
/// are not.
/// Pure: the time is handed in. Threads: one. Errors: none.
class Window {
 public:
  enum class Due : std::uint8_t { events, time, memory };

  explicit Window(Limits limits) : limits_{limits} {}

  /// What an earlier run has gathered; after assigned(). Events that came since are put to it.
  void restore(const Gathered& stored, WallTime now);
  /// Other partitions are not ours (any more): what has come of them is another's to load.
  void assigned(const std::set<TopicPartition>& partitions, WallTime now);

  /// False: it is of the load that runs, or in the target.
  bool came(const TopicPartition& partition, RecordOffset offset, WallTime now);
  /// The target has all before `next`. True: events of this window are among it.
  bool applied(const TopicPartition& partition, NextOffset next, WallTime now);
  /// The load goes without what is left of the topic.
  void give_up(std::string_view topic, WallTime now);

  /// Why a load should begin now; nullopt: it should not. `is_full`: nothing more can be held.
  std::optional<Due> due(bool is_full, WallTime now) const;
  /// When it will be due for its time.
  std::optional<WallTime> due_at() const;
  void open(WallTime now);

  bool is_loading() const noexcept { return !loading_.empty(); }
  /// The topics that a load still needs something of.
  const std::map<std::string, std::size_t, std::less<>>& loading() const noexcept {
    return loading_;
  }
  std::uint64_t count() const noexcept { return count_; }
  std::optional<WallTime> start() const noexcept { return start_; }
  const std::optional<Load>& load() const noexcept { return load_; }  ///< that runs, or the last
  Gathered gathered() const;
  /// gathered() is not what it was at the last call.
  bool take_changed() noexcept { return std::exchange(changed_, false); }
  /// What an earlier run has gathered was found in the target since the last call.
  bool take_forgot() noexcept { return std::exchange(forgot_, false); }

 private:
  struct Partition {
    std::optional<NextOffset> counted;
    std::optional<NextOffset> applied;
    std::optional<NextOffset> load_until;
    std::optional<NextOffset> opened_at;  ///< what is before it is of no window any more
    std::deque<RecordOffset> held;        ///< read, of this window
  };

  void run_until(const std::string& topic, Partition& partition, NextOffset until);
  void loaded(std::string_view topic, Partition& partition, WallTime now);
  void end_if_over(WallTime now);
  void forget_if_all_applied();
  void uncount(std::uint64_t events);

  const Limits limits_;
  std::map<TopicPartition, Partition> partitions_;
  std::uint64_t count_ = 0;
  std::optional<WallTime> start_;
  std::map<std::string, std::size_t, std::less<>> loading_;  ///< topics, with their partitions
  std::optional<Load> load_;
  bool changed_ = false;
  bool forgot_ = false;
};

}  // namespace lockstep::threshold
