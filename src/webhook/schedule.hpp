#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lockstep/batch/backoff.hpp"

namespace lockstep::webhook {

/// Which calls to one destination may begin now.
///
/// Order: the calls of a key one after the other: the next begins when the one before it is done or
/// given up. One that is alone begins when all calls of its topic before it are over, and those
/// behind it when it is. Otherwise the oldest goes first.
/// A call that fails is tried again with a backoff, jittered to half of it. If it has failed
/// `most_strikes` times while others succeeded meanwhile, it is given up.
/// Outage: after `failures_of_outage` failures in a row the destination itself is at fault. Then
/// one call at a time is tried, another one each time, and none is given up, until one succeeds.
/// Pure: no I/O; the time is handed in. Threads: one. Errors: none; an unknown id is a bug of the
/// caller.
class Schedule {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Id = std::uint64_t;  ///< a higher one is newer

  struct Limits {
    std::size_t max_in_flight = 64;
    std::size_t rate = 0;  ///< beginning in a second; 0: no limit
  };
  struct Outage {
    Time since;
    Time next_try;
    int tries = 0;
  };

  explicit Schedule(Limits limits, std::uint_fast32_t seed = 1) : limits_{limits}, random_{seed} {}

  void add(Id id, std::string_view topic, std::string_view key, bool alone);
  /// Those that begin now.
  std::vector<Id> begin(Time now);
  /// When begin() has something without anything else happening, maybe a moment later; nullopt:
  /// never.
  std::optional<Time> next_at(Time now) const;

  // ---- What came of one that has begun

  /// The destination has taken it, or has refused it for good: it works.
  void answered(Id id);
  /// False: it is given up.
  [[nodiscard]] bool failed(Id id, Time now);
  /// The destination wants no calls for so long.
  void rest(Id id, Time now, std::chrono::seconds for_s);

  /// Forgets one that is not in flight.
  void drop(Id id);
  bool is_in_flight(Id id) const { return items_.at(id).place == Place::in_flight; }
  std::size_t in_flight() const noexcept { return in_flight_; }
  std::size_t not_in_flight() const noexcept { return items_.size() - in_flight_; }
  const std::optional<Outage>& outage() const noexcept { return outage_; }
  /// The one call of an outage is under way.
  bool is_probing() const noexcept { return probe_.has_value(); }
  Time rests_until() const noexcept { return rests_until_; }

  static constexpr Backoff backoff{std::chrono::milliseconds{500}, std::chrono::seconds{60}};
  static constexpr Backoff probe_backoff{std::chrono::seconds{1}, std::chrono::seconds{30}};
  static constexpr int failures_of_outage = 10;
  static constexpr int most_strikes = 10;

 private:
  enum class Place : std::uint8_t {
    barred,  ///< behind one that is alone, or alone behind others
    queued,  ///< behind others of its key
    ready,
    waiting,  ///< for its next try
    in_flight,
  };
  /// The calls of a topic.
  struct Topic {
    std::size_t entered = 0;  ///< not barred
    bool is_barred = false;   ///< one that is alone has entered
    std::deque<Id> barred;
  };
  struct Item {
    Topic* topic;
    std::string chain;  ///< topic and key
    bool alone;
    Place place = Place::barred;
    int failures = 0;
    int strikes = 0;
    std::uint64_t answers_then = 0;  ///< answers_ when it was first tried, or failed last
    Time due{};                      ///< when waiting
  };

  void enter(Id id, Item& item);
  void leave(Id id);
  void let_in(Topic& topic);
  void put_off(Id id, Item& item, Time until);
  void wake_due(Time now);
  void start(Id id);
  Id next_probe() const;
  void end_outage();
  std::chrono::milliseconds jittered(std::chrono::milliseconds longest);

  const Limits limits_;
  std::minstd_rand random_;
  std::unordered_map<Id, Item> items_;
  std::unordered_map<std::string, std::deque<Id>> chains_;
  std::map<std::string, Topic, std::less<>> topics_;
  std::set<Id> ready_;
  std::set<std::pair<Time, Id>> waiting_;
  std::size_t in_flight_ = 0;
  std::uint64_t answers_ = 0;
  int failures_in_row_ = 0;
  std::optional<Outage> outage_;
  std::optional<Id> probe_;  ///< the call that is tried during an outage
  Time rests_until_{};
  Time next_begin_{};  ///< for the rate
};

}  // namespace lockstep::webhook
