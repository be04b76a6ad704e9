#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "text.hpp"

/// Dates and times as PostgreSQL's input functions take them, from Debezium's numbers and ISO 8601
/// texts. Pure. nullopt: not of the expected form, or outside of what PostgreSQL can store.
namespace lockstep::debezium {

inline constexpr std::int64_t nanos_per_second = 1'000'000'000;

std::optional<ShortText> date_of_days(std::int64_t days);
std::optional<ShortText> time_of_nanos(std::int64_t nanos);
/// What dates before 1582-10-15 are written in. PostgreSQL knows only the Gregorian calendar;
/// Java's old classes read what is older as Julian, and so does the connector in arrays.
enum class Calendar { gregorian, julian_before_1582 };

/// `nanos` of the second, 0 to 999,999,999.
std::optional<ShortText> timestamp_of(std::int64_t seconds, std::int64_t nanos,
                                      Calendar calendar = Calendar::gregorian);

/// "-3 days -04:05:06.5": a day is 24 hours, all parts have the sign of the whole.
ShortText interval_of_micros(std::int64_t micros);

/// "2024-02-29Z", "+5874897-12-31Z", "-0043-03-15": years count as in ISO 8601, 0000 is 1 BC.
std::optional<ShortText> date_of_iso(std::string_view iso);
/// "23:59:59.999999Z"; the zone is dropped: the source column has none.
std::optional<ShortText> time_of_iso(std::string_view iso);
/// "06:30:00.123456Z", "06:30:00+05:30".
std::optional<ShortText> timetz_of_iso(std::string_view iso);
/// "2024-01-01T00:00:00.123Z"; the zone is dropped: the source column has none.
std::optional<ShortText> timestamp_of_iso(std::string_view iso);
std::optional<ShortText> julian_timestamp_of_iso(std::string_view iso);
/// "2024-06-01T10:00:00.123456Z", "2024-06-01T10:00:00+02:00".
std::optional<ShortText> timestamptz_of_iso(std::string_view iso);

}  // namespace lockstep::debezium
