#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

/// What a Debezium connector is set to, as far as its messages don't tell it by themselves. Named
/// as Debezium's settings.
struct ConnectorModes {
  enum class Binary : std::uint8_t { untold, bytes, base64, base64_url_safe, hex };
  enum class Time : std::uint8_t {
    untold,
    adaptive,
    adaptive_time_microseconds,
    microseconds,
    nanoseconds,
    connect,
    isostring
  };
  enum class Decimal : std::uint8_t { untold, precise, as_double, string };

  Binary binary = Binary::untold;     ///< binary.handling.mode
  Time time = Time::untold;           ///< time.precision.mode: only for messages without schema
  Decimal decimal = Decimal::untold;  ///< decimal.handling.mode: only for messages without schema
  std::string placeholder = "__debezium_unavailable_value";  ///< unavailable.value.placeholder

  bool operator==(const ConnectorModes&) const = default;
};

}  // namespace lockstep
