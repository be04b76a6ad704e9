#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/model/histogram.hpp"

namespace lockstep {

/// What came of a call, as it is counted.
enum class CallOutcome : std::uint8_t {
  taken,      ///< 2xx
  redirect,   ///< 3xx
  refused,    ///< 4xx but 429
  too_many,   ///< 429
  failed,     ///< 5xx
  timeout,    ///< no answer in time
  connect,    ///< no connection: name, address, TLS
  cut_short,  ///< the connection ended before the answer
};
inline constexpr std::array<std::string_view, 8> call_outcomes{
    "2xx", "3xx", "4xx", "429", "5xx", "timeout", "connect", "cut_short"};

/// Whether calls to a destination begin.
enum class Breaker : std::uint8_t {
  closed,     ///< they do
  throttled,  ///< it wants none for a while
  open,       ///< all have failed lately: none does until the next is tried
  half_open,  ///< that one is under way
};
inline constexpr std::array<std::string_view, 4> breaker_states{"closed", "throttled", "open",
                                                                "half_open"};

/// A destination of calls at one moment; counts since the pipeline started.
struct DestinationStatus {
  using Time = std::chrono::system_clock::time_point;

  std::string name;  ///< scheme, host and port
  Breaker breaker = Breaker::closed;
  std::optional<Time> next_call{};  ///< when throttled or open
  /// Why what was taken does not get on; empty: it does.
  std::string outage{};
  std::size_t in_flight = 0;
  std::size_t max_in_flight = 0;
  std::size_t waiting = 0;  ///< changes that have not begun, or are to be tried again
  std::array<std::uint64_t, call_outcomes.size()> calls{};  ///< by CallOutcome
  std::uint64_t retries = 0;                  ///< calls that were not a change's first
  SecondsHistogram duration{seconds_bounds};  ///< of a call
  struct Failure {
    std::string cause;
    Time at;
  };
  std::optional<Failure> last_failure{};
};

}  // namespace lockstep
