#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "lockstep/batch/flood.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/letter.hpp"
#include "lockstep/model/position.hpp"

namespace lockstep {

/// A row's key as one text, for people too: `id="7", region="eu"`, columns by name. Equal for equal
/// keys, whatever the order of their columns and whether the record had a schema.
std::string identity_of(const Layout& key_layout, std::span<const Cell> key);

/// Which records are dead letters, where they don't stop their table.
///
/// Order: once a record of a row is a letter, all later ones of that row are, until the key is let
/// go: whoever mends and applies the first does not put an old value over a new one. Which keys are
/// parked is the target's to keep (lockstep.parked); here is what was read of it, and what has been
/// read from the log since.
/// Pure: no I/O; the time is handed in. Threads: one.
class Letterbox {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `per_minute`: of letters for an error, of one topic; more are a flood. nullopt: no record is
  /// ever a letter.
  explicit Letterbox(std::optional<std::size_t> per_minute) : per_minute_{per_minute} {}

  bool is_open() const noexcept { return per_minute_.has_value(); }

  // ---- What the target has refused

  /// The record is a letter when it is read again.
  void condemn(const TopicPartition& partition, RecordOffset offset, std::string cause);
  /// The cause; nullptr: not condemned.
  const std::string* condemned(const TopicPartition& partition, RecordOffset offset) const;
  /// It is none yet: the target is to be asked again.
  void pardon(const TopicPartition& partition, RecordOffset offset);
  /// All before `next` is applied, and will not be read again; no skip waits for it any more.
  void passed(const TopicPartition& partition, NextOffset next);

  // ---- What an operator passes by, whether the letterbox is open or not

  /// This one record, which has stopped its table, is a letter when it is read again. Nothing is
  /// parked behind it.
  void skip(const RecordPlace& record, std::string cause);
  bool has_skips() const noexcept { return !skips_.empty(); }
  /// The cause; nullptr: it is not to be skipped, or it is passed.
  const std::string* skipped(const RecordPlace& record) const;
  /// It was not skipped, and is not to be any more.
  void keep(const RecordPlace& record) { skips_.erase(record); }

  // ---- Keys

  /// The topic is read anew, and these are what the target has parked.
  void begin(std::string_view topic, ParkedKeys::mapped_type keys);
  bool has_parked(std::string_view topic) const { return parked_.contains(topic); }
  std::size_t parked_count(std::string_view topic) const;
  bool is_parked(std::string_view topic, std::string_view row_key) const;
  /// False: the table has so many already (most_parked).
  [[nodiscard]] bool park(std::string_view topic, std::string row_key);
  void unpark(std::string_view topic);
  /// The columns of keys that the topic has parked, where they are not the columns of this one:
  /// such keys can't be compared with it. Empty: none.
  std::string other_columns(std::string_view topic, std::string_view row_key) const;

  // ---- Floods

  /// Counts a letter for an error. False: it is one too many within a minute; counting begins anew.
  [[nodiscard]] bool admit(const TopicPartition& partition, RecordOffset offset, Time now);

  std::size_t per_minute() const noexcept { return per_minute_.value_or(0); }

  static constexpr std::size_t most_parked = 100'000;

 private:
  struct Parked {
    ParkedKeys::mapped_type keys;
    std::set<std::string> columns;  ///< of the keys: one list of columns, as a rule
  };
  struct Count {
    std::map<std::int32_t, RecordOffset> counted;  ///< the last, by partition: each counts once
    FloodGuard guard;
  };

  const std::optional<std::size_t> per_minute_;
  std::map<TopicPartition, std::map<RecordOffset, std::string>> condemned_;
  std::map<RecordPlace, std::string> skips_;
  std::map<std::string, Parked, std::less<>> parked_;  ///< none without keys
  std::map<std::string, Count, std::less<>> counts_;
};

}  // namespace lockstep
