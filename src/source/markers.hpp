#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace lockstep::source {

/// What messages are called that somebody waits for: pg_logical_emit_message's prefix.
inline constexpr std::string_view marker_prefix = "lockstep.wait";

/// The markers that have come in one topic <topic.prefix>.message, and whether its records are
/// written in transactions: each leaves a marker of Kafka's own behind its records, and so a hole
/// in the offsets.
/// Pure: no I/O. Threads: one.
class Markers {
 public:
  static constexpr std::size_t most = 10'000;  ///< that are remembered, the newest

  /// What comes next of a partition, all of it.
  void record(std::int32_t partition, std::int64_t offset, std::optional<std::string_view> value);
  /// All of the partition before `end` has been read.
  void end_reached(std::int32_t partition, std::int64_t end);

  bool has(const std::string& marker) const;
  /// nullopt: what was read so far does not tell.
  std::optional<bool> in_transactions() const noexcept { return in_transactions_; }

 private:
  struct Read {
    std::int64_t next = 0;
    bool is_open = false;  ///< records came, and neither hole nor end behind them
  };

  std::map<std::int32_t, Read> read_;
  std::optional<bool> in_transactions_;
  std::set<std::string> known_;
  std::deque<std::set<std::string>::iterator> by_age_;
};

}  // namespace lockstep::source
