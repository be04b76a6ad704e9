#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>

namespace lockstep {

/// Whether a table's dead letters are a flood: more than so many for an error within a minute.
/// Pure: the time is handed in. Threads: one.
class FloodGuard {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit FloodGuard(std::size_t per_minute) : per_minute_{per_minute} {}

  /// Counts one. False: it is one too many; counting begins anew.
  [[nodiscard]] bool admit(Time now);

 private:
  std::size_t per_minute_;
  std::deque<Time> times_;
};

/// What stops the table then: why the record would have been a letter, and what to do.
std::string flood_cause(const std::string& of_record, std::size_t per_minute);

}  // namespace lockstep
