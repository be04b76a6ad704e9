#include "parts.hpp"

#include <algorithm>

#include "error.hpp"

namespace lockstep::postgres {

using std::chrono::milliseconds;

namespace {

/// Unique and excluded values, foreign keys.
bool is_about_other_rows(std::string_view sqlstate) {
  return sqlstate == "23505" || sqlstate == "23P01" || sqlstate == "23503";
}

}  // namespace

bool is_about_values(std::string_view sqlstate) {
  return sqlstate.starts_with("22") || sqlstate == "42601";  // the syntax of a tsvector, jsonpath
}

bool is_about_rows(std::string_view sqlstate) {
  const auto of = sqlstate.substr(0, 2);
  return is_about_values(sqlstate) || of == "23" || of == "21" || of == "P0" || of == "44" ||
         of == "54";
}

std::optional<Stuck> Parts::write() {
  auto stuck = halves(0, changes_.size(), error_);
  while (stuck && stuck->is_one() && is_about_other_rows(stuck->error.sqlstate)) {
    const auto end = write_with_more(stuck->begin);
    if (!end) return stuck;
    stuck = write(*end, changes_.size(), stuck->error);
  }
  return stuck;
}

/// Behind a truncate nothing is left that could be in the way. Otherwise any end may be the one:
/// what comes after it may want something else again.
std::vector<std::size_t> Parts::ends_after(std::size_t begin) const {
  std::vector<std::size_t> ends;
  for (std::size_t i = begin + 1; i < changes_.size(); ++i) {
    if (changes_[i].op == Op::truncate) ends.push_back(i + 1);
  }
  for (std::size_t end = begin + 2; end <= changes_.size(); ++end) ends.push_back(end);
  return ends;
}

std::optional<std::size_t> Parts::write_with_more(std::size_t begin) {
  for (const std::size_t end : ends_after(begin)) {
    if (Clock::now() >= deadline_) return std::nullopt;
    const auto stuck = try_to_write(begin, end);
    if (!stuck) return end;
    if (stuck->error.kind == SinkError::Kind::unavailable) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Stuck> Parts::write(std::size_t begin, std::size_t end, const SinkError& known) {
  if (begin == end) return std::nullopt;
  if (Clock::now() >= deadline_) return Stuck{begin, end, known};
  auto stuck = try_to_write(begin, end);
  if (!stuck || stuck->unfinished) return stuck;
  const auto& sqlstate = stuck->error.sqlstate;
  const bool is_refused = stuck->error.kind == SinkError::Kind::refused;
  if (!is_refused || !(sqlstate.empty() || is_about_rows(sqlstate))) {
    const bool out_of_time = sqlstate == "57014" && Clock::now() + milliseconds{50} >= deadline_;
    return out_of_time ? Stuck{begin, end, known} : stuck;
  }
  return stuck->is_one() ? stuck : halves(begin, end, stuck->error);
}

std::optional<Stuck> Parts::halves(std::size_t begin, std::size_t end, const SinkError& error) {
  const std::size_t whole = begin;
  for (std::size_t cut = begin + (end - begin) / 2; cut < end; ++cut) {
    auto stuck = write(begin, cut, error);
    if (!stuck) return write(cut, end, error);
    if (!stuck->unfinished) return stuck;
    begin = stuck->begin;  // these changes need one more
  }
  if (begin > whole) return write(begin, end, error);
  return Stuck{begin, end, error};
}

std::optional<Stuck> Parts::try_to_write(std::size_t begin, std::size_t end) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now());
  tx_.exec("SET LOCAL statement_timeout = " +
           std::to_string(std::max<std::int64_t>(1, left.count())));
  Stuck stuck{begin, end, {}};
  try {
    const auto written = translating_errors([&] {
      applier_.write_part(tx_, changes_.subspan(begin, end - begin),
                          check_ == Check::after_each_part);
    });
    if (written) return std::nullopt;
    stuck.error = written.error();
  } catch (const Refused& refused) {
    stuck.error = {SinkError::Kind::refused, refused.message};
    stuck.error.is_about_table = refused.is_about_table;
  } catch (const Unfinished& unfinished) {
    stuck.error = {SinkError::Kind::waits, unfinished.message};
    stuck.unfinished = true;
  }
  return stuck;
}

}  // namespace lockstep::postgres
