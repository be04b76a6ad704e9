#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lockstep/batch/lane.hpp"

namespace lockstep {

/// The lanes of one pipeline: which is served next, which are read, and how much they hold.
///
/// Fair: of the lanes that are ready, the one that has been served for the shortest time goes
/// first. One that was empty begins level with the least served of the others, so that a table
/// that has just changed waits for one running batch at most, however long another's backlog is.
/// Bounds: all lanes together hold at most `budget` bytes (one record may go beyond). Those that
/// hold something share three quarters of it, max_bytes each at most; a lane with more than its
/// share, or with enough full batches for the writers not to wait for it, is not read until much of
/// that is applied. Pure: no I/O; the time is handed in. Threads: one.
class Lanes {
 public:
  using Time = Lane::Time;

  /// `gathers`: what they hold may have to wait for more, however many batches that is.
  explicit Lanes(BatchLimits limits, bool gathers = false)
      : limits_{limits},
        gathers_{gathers},
        budget_{2 * limits.max_bytes},
        share_{limits.max_bytes} {}

  /// The lane of the topic, made if there is none. Indexes and addresses stay.
  std::size_t index_of(std::string_view topic);
  std::optional<std::size_t> find(std::string_view topic) const;
  std::size_t size() const noexcept { return entries_.size(); }
  const Lane& operator[](std::size_t i) const { return entries_[i]->lane; }

  /// Whoever changes a lane gets it here; when the guard goes, the sums are right again.
  class Guard {
   public:
    Guard(Lanes& lanes, std::size_t index) : lanes_{lanes}, index_{index} {}
    ~Guard() { lanes_.settle(index_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    Lane* operator->() const { return &lanes_.entries_[index_]->lane; }

   private:
    Lanes& lanes_;
    const std::size_t index_;
  };
  Guard change(std::size_t index) { return {*this, index}; }

  // ---- What goes to a writer next

  /// Whether a lane's turn can come at all.
  using Admits = std::function<bool(const Lane&)>;
  std::optional<std::size_t> next_ready(Time now, const Lane::Remaining& remaining,
                                        const Admits& admits = {}) const;
  /// When next_ready() may find one without anything else happening; nullopt: never.
  std::optional<Time> next_ready_at(Time now) const;
  /// A writer was busy with the lane for so long.
  void served(std::size_t index, std::chrono::steady_clock::duration took);

  // ---- What is read

  std::size_t bytes() const noexcept { return bytes_; }
  /// No lane holds anything or has anything in flight.
  bool idle() const noexcept { return active_.empty(); }
  /// Nothing more may be read, of whatever lane.
  bool over_budget() const noexcept { return bytes_ >= budget_; }
  /// Some lane can't read on before what it holds is applied.
  bool is_full() const;
  /// Enough was given back that reading may go on after it was over the budget.
  bool has_room() const noexcept { return bytes_ <= budget_ / 2; }
  /// Kafka should fetch the lane's partitions.
  bool wants_reading(std::size_t index) const noexcept { return entries_[index]->wanted; }
  /// The lanes for which wants_reading() has changed since the last call.
  std::vector<std::size_t> take_turned() { return std::exchange(turned_, {}); }
  /// The lanes whose log is to be read again now.
  std::vector<std::size_t> rereads(Time now) const;
  std::optional<Time> next_reread_at() const;
  /// Over the budget, and this lane holds the most of those that can't be served now; nullopt:
  /// none, the writers will make room.
  std::optional<std::size_t> to_evict(Time now) const;

 private:
  struct Entry {
    Lane lane;
    std::size_t bytes = 0;  ///< as counted in bytes_
    std::chrono::steady_clock::duration served{};
    bool wanted = true;
  };

  void settle(std::size_t index);
  std::size_t share() const noexcept;

  const BatchLimits limits_;
  const bool gathers_;
  const std::size_t budget_;
  const std::size_t share_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::unordered_map<std::string_view, std::size_t> by_topic_;  // the names are the lanes' own
  std::set<std::size_t> active_;   ///< those that hold something or have something in flight
  std::set<std::size_t> rereads_;  ///< those that have a reread_at()
  std::vector<std::size_t> turned_;
  std::size_t bytes_ = 0;
  std::chrono::steady_clock::duration least_served_{};
};

}  // namespace lockstep
