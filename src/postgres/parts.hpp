#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "applier.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep::postgres {

/// Errors that are about rows: forms of values, constraints, exceptions of triggers, checks of
/// views, two rows of one key, rows too large for an index.
bool is_about_rows(std::string_view sqlstate);
/// Of those: the form of a value.
bool is_about_values(std::string_view sqlstate);

/// Where writing in parts has ended: all changes before `begin` are written, of those up to `end`
/// one can't be.
struct Stuck {
  std::size_t begin = 0;
  std::size_t end = 0;
  SinkError error;
  bool unfinished = false;  ///< what frees a key is behind `end`
  bool is_one() const { return end == begin + 1; }
};

/// Writes changes that the target has refused as a whole: the first half, then the second, each in
/// halves again where it is refused, at last one by one. That is their order at the source, in
/// which a unique value can go from row to row. What can't be written alone is tried with more and
/// more of what follows: what it lacks, or what is in its way, may be gone by then. Under
/// savepoints, in the transaction of the whole.
class Parts {
 public:
  /// When constraints are checked that can wait for COMMIT.
  enum class Check { at_the_end, after_each_part };

  Parts(Applier& applier, pqxx::work& tx, std::span<const Change> changes, SinkError error,
        Check check)
      : applier_{applier}, tx_{tx}, changes_{changes}, error_{std::move(error)}, check_{check} {}

  /// nullopt: all are written. After 5 s it ends where it is.
  std::optional<Stuck> write();

 private:
  /// The end of a range from `begin` on that can be written, and is.
  std::optional<std::size_t> write_with_more(std::size_t begin);
  std::vector<std::size_t> ends_after(std::size_t begin) const;
  std::optional<Stuck> write(std::size_t begin, std::size_t end, const SinkError& known);
  std::optional<Stuck> halves(std::size_t begin, std::size_t end, const SinkError& error);
  std::optional<Stuck> try_to_write(std::size_t begin, std::size_t end);

  using Clock = std::chrono::steady_clock;

  Applier& applier_;
  pqxx::work& tx_;
  const std::span<const Change> changes_;
  const SinkError error_;
  const Check check_;
  const Clock::time_point deadline_ = Clock::now() + std::chrono::seconds{5};
};

}  // namespace lockstep::postgres
