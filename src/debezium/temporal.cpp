#include "temporal.hpp"

#include <charconv>

namespace lockstep::debezium {
namespace {

constexpr std::int64_t seconds_per_day = 86'400;

// PostgreSQL's limits, in days since 1970-01-01: 4714-11-24 BC, 5874897-12-31 and 294276-12-31.
constexpr std::int64_t first_day = -2'440'588;
constexpr std::int64_t last_date = 2'145'042'905;
constexpr std::int64_t last_timestamp_day = 106'762'939;

struct Date {
  std::int64_t year = 0;  // ISO: 0 is 1 BC
  unsigned month = 0;
  unsigned day = 0;
};

// The two conversions between days and the proleptic Gregorian calendar count in eras of 400 years
// that begin on 1 March, so that the leap day is the last of its year.
constexpr std::int64_t days_per_era = 146'097;
constexpr std::int64_t days_from_0000_03_01_to_1970 = 719'468;

Date date_of(std::int64_t days) {
  days += days_from_0000_03_01_to_1970;
  const std::int64_t era = (days >= 0 ? days : days - (days_per_era - 1)) / days_per_era;
  const auto day_of_era = static_cast<unsigned>(days - era * days_per_era);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {.year = static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0),
          .month = month,
          .day = day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

/// The date that the day has in the Julian calendar (Richards's algorithm).
Date julian_date_of(std::int64_t days) {
  constexpr std::int64_t days_from_march_4801_bc_to_1970 = 2'440'588 + 32'082;
  constexpr std::int64_t days_of_four_years = 1461;
  const std::int64_t from_epoch = days + days_from_march_4801_bc_to_1970;
  const std::int64_t year = (4 * from_epoch + 3) / days_of_four_years;
  const auto day_of_year = static_cast<unsigned>(from_epoch - days_of_four_years * year / 4);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  return {.year = year - 4800 + (month_from_march >= 10 ? 1 : 0),
          .month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9,
          .day = day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

std::int64_t days_of(const Date& date) {
  const std::int64_t year = date.month <= 2 ? date.year - 1 : date.year;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
  const unsigned day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * days_per_era + static_cast<std::int64_t>(day_of_era) - days_from_0000_03_01_to_1970;
}

bool is_before_christ(const Date& date) {
  return date.year <= 0;
}

void put_date(ShortText& out, const Date& date) {
  out.put(static_cast<std::uint64_t>(is_before_christ(date) ? 1 - date.year : date.year), 4);
  out.put('-');
  out.put_two(date.month);
  out.put('-');
  out.put_two(date.day);
}

void put_era(ShortText& out, const Date& date) {
  if (is_before_christ(date)) out.put(" BC");
}

/// `seconds` of the day; a fraction is written as far as its last digit that is not zero.
void put_time(ShortText& out, std::int64_t seconds, std::int64_t nanos) {
  const auto second = static_cast<unsigned>(seconds);
  out.put_two(second / 3600);
  out.put(':');
  out.put_two(second / 60 % 60);
  out.put(':');
  out.put_two(second % 60);
  if (nanos == 0) return;
  std::size_t width = 9;
  for (; nanos % 10 == 0; nanos /= 10) --width;
  out.put('.');
  out.put(static_cast<std::uint64_t>(nanos), width);
}

// Readers of ISO texts: each takes its part off the front of `rest`.

bool take(std::string_view& rest, char c) {
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

std::optional<unsigned> take_two_digits(std::string_view& rest) {
  const auto digit = [&](std::size_t at) { return static_cast<unsigned>(rest[at] - '0'); };
  if (rest.size() < 2 || digit(0) > 9 || digit(1) > 9) return std::nullopt;
  const unsigned value = digit(0) * 10 + digit(1);
  rest.remove_prefix(2);
  return value;
}

std::optional<Date> take_date(std::string_view& rest) {
  const bool negative = !rest.empty() && rest.front() == '-';
  if (negative || (!rest.empty() && rest.front() == '+')) rest.remove_prefix(1);
  std::uint32_t year = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), year);
  if (error != std::errc{} || end - rest.data() < 4 || year > 999'999'999) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));

  if (!take(rest, '-')) return std::nullopt;
  const auto month = take_two_digits(rest);
  if (!month || !take(rest, '-')) return std::nullopt;
  const auto day = take_two_digits(rest);
  if (!day || *month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;

  const Date date{
      .year = negative ? -std::int64_t{year} : std::int64_t{year}, .month = *month, .day = *day};
  if (date_of(days_of(date)).day != *day) return std::nullopt;  // 30 February
  return date;
}

struct Time {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
};

/// "10:00", "10:00:00", "10:00:00.123456"
std::optional<Time> take_time(std::string_view& rest) {
  const auto hour = take_two_digits(rest);
  if (!hour || !take(rest, ':')) return std::nullopt;
  const auto minute = take_two_digits(rest);
  if (!minute) return std::nullopt;
  unsigned second = 0;
  if (take(rest, ':')) {
    const auto digits = take_two_digits(rest);
    if (!digits) return std::nullopt;
    second = *digits;
  }
  std::int64_t nanos = 0;
  if (take(rest, '.')) {
    int digits = 0;
    for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; rest.remove_prefix(1)) {
      if (++digits > 9) return std::nullopt;
      nanos = nanos * 10 + (rest.front() - '0');
    }
    if (digits == 0) return std::nullopt;
    for (; digits < 9; ++digits) nanos *= 10;
  }
  if (*hour > 24 || *minute > 59 || second > 59) return std::nullopt;
  const Time time{.seconds = std::int64_t{*hour} * 3600 + *minute * 60 + second, .nanos = nanos};
  if (*hour == 24 && (time.seconds != seconds_per_day || nanos != 0)) return std::nullopt;
  return time;
}

/// "Z", "+02:00", "-05:30:15": all that is left must be the offset.
bool put_offset(ShortText& out, std::string_view rest) {
  if (rest == "Z") {
    out.put("+00");
    return true;
  }
  if (rest.empty() || (rest.front() != '+' && rest.front() != '-')) return false;
  out.put(rest.front());
  rest.remove_prefix(1);
  for (int part = 0; part < 3; ++part) {
    const auto digits = take_two_digits(rest);
    if (!digits || *digits > 59) return false;
    out.put_two(*digits);
    if (rest.empty()) return true;
    if (!take(rest, ':')) return false;
    out.put(':');
  }
  return false;
}

bool fits_timestamp(std::int64_t day) {
  return day >= first_day && day <= last_timestamp_day;
}

bool is_utc_or_nothing(std::string_view zone) {
  return zone.empty() || zone == "Z";
}

std::optional<ShortText> iso_in(Calendar calendar, std::string_view iso) {
  const auto date = take_date(iso);
  if (!date || !take(iso, 'T')) return std::nullopt;
  const auto time = take_time(iso);
  if (!time || !is_utc_or_nothing(iso)) return std::nullopt;
  return timestamp_of(days_of(*date) * seconds_per_day + time->seconds, time->nanos, calendar);
}

}  // namespace

std::optional<ShortText> date_of_days(std::int64_t days) {
  if (days < first_day || days > last_date) return std::nullopt;
  const Date date = date_of(days);
  ShortText out;
  put_date(out, date);
  put_era(out, date);
  return out;
}

std::optional<ShortText> time_of_nanos(std::int64_t nanos) {
  if (nanos < 0 || nanos > seconds_per_day * nanos_per_second) return std::nullopt;
  ShortText out;
  put_time(out, nanos / nanos_per_second, nanos % nanos_per_second);
  return out;
}

std::optional<ShortText> timestamp_of(std::int64_t seconds, std::int64_t nanos, Calendar calendar) {
  constexpr std::int64_t first_gregorian_day = -141'427;  // 1582-10-15
  std::int64_t day = seconds / seconds_per_day;
  if (seconds % seconds_per_day < 0) --day;
  if (!fits_timestamp(day)) return std::nullopt;
  const bool is_julian = calendar == Calendar::julian_before_1582 && day < first_gregorian_day;
  const Date date = is_julian ? julian_date_of(day) : date_of(day);
  ShortText out;
  put_date(out, date);
  out.put(' ');
  put_time(out, seconds - day * seconds_per_day, nanos);
  put_era(out, date);
  return out;
}

ShortText interval_of_micros(std::int64_t micros) {
  constexpr std::uint64_t micros_per_second = 1'000'000;
  constexpr std::uint64_t micros_per_day = seconds_per_day * micros_per_second;
  const bool negative = micros < 0;
  const std::uint64_t size =
      negative ? 0 - static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
  ShortText out;
  if (const std::uint64_t days = size / micros_per_day; days > 0) {
    if (negative) out.put('-');
    out.put(days, 1);
    out.put(" days ");
  }
  if (negative) out.put('-');
  const std::uint64_t rest = size % micros_per_day;
  put_time(out, static_cast<std::int64_t>(rest / micros_per_second),
           static_cast<std::int64_t>(rest % micros_per_second * 1'000));
  return out;
}

std::optional<ShortText> date_of_iso(std::string_view iso) {
  const auto date = take_date(iso);
  if (!date || !is_utc_or_nothing(iso)) return std::nullopt;
  return date_of_days(days_of(*date));
}

std::optional<ShortText> time_of_iso(std::string_view iso) {
  const auto time = take_time(iso);
  if (!time || !is_utc_or_nothing(iso)) return std::nullopt;
  ShortText out;
  put_time(out, time->seconds, time->nanos);
  return out;
}

std::optional<ShortText> timetz_of_iso(std::string_view iso) {
  const auto time = take_time(iso);
  if (!time) return std::nullopt;
  ShortText out;
  put_time(out, time->seconds, time->nanos);
  if (!put_offset(out, iso)) return std::nullopt;
  return out;
}

std::optional<ShortText> timestamp_of_iso(std::string_view iso) {
  return iso_in(Calendar::gregorian, iso);
}

std::optional<ShortText> julian_timestamp_of_iso(std::string_view iso) {
  return iso_in(Calendar::julian_before_1582, iso);
}

std::optional<ShortText> timestamptz_of_iso(std::string_view iso) {
  const auto date = take_date(iso);
  if (!date || !fits_timestamp(days_of(*date)) || !take(iso, 'T')) return std::nullopt;
  const auto time = take_time(iso);
  if (!time) return std::nullopt;
  ShortText out;
  put_date(out, *date);
  out.put(' ');
  put_time(out, time->seconds, time->nanos);
  if (!put_offset(out, iso)) return std::nullopt;
  put_era(out, *date);
  return out;
}

}  // namespace lockstep::debezium
