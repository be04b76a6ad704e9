#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "lockstep/model/mutex.hpp"
#include "lockstep/model/redis.hpp"
#include "lockstep/model/result.hpp"
#include "redis.hpp"
#include "window.hpp"

namespace lockstep::threshold {

/// Keeps in Redis what a pipeline has gathered, as README.md says, on a thread of its own.
///
/// Each write is one transaction: Redis goes from one state that was to the next. What is there may
/// be lost at any time (away, restarted empty, flushed): then all is written anew, from what is
/// held here. Bounds: what is held is the pending changes, and what of them is still to be written;
/// more than `max_bytes` of that are written anew, not one by one.
/// Threads: all functions from one, the owner's, none blocks; `wake` is called from the store's.
class Store {
 public:
  Store(std::string pipeline, RedisServer server, std::size_t max_bytes,
        std::function<void()> wake);
  ~Store();  ///< what can be written within two seconds is
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The topics that it is about.
  void assigned(const std::set<std::string>& topics);
  /// Asks for what is kept of them.
  void ask();
  /// The answer, once; nullopt: there is none yet.
  std::optional<Gathered> take_stored();
  /// From now on it is written. `is_new`: what is in Redis does not count, all is written anew.
  void begin(const Gathered& gathered, bool is_new);
  /// Other daemons have the partitions: nothing is held, nothing written, until begin().
  void rest();

  /// The newest change of a row, by its key.
  void keep(const TopicPartition& partition, RecordOffset offset, std::string key,
            std::string json);
  /// What is before the offset is applied.
  void forget(const TopicPartition& partition, NextOffset next);
  /// What is pending is being loaded from now on.
  void begin_load();
  /// It is loaded.
  void end_load();
  void save(const Gathered& gathered);
  /// What is in Redis may be more than what is gathered: all is written anew.
  void renew();

  std::size_t bytes() const;  ///< of the pending changes
  struct Trouble {
    std::string cause;
    WallTime at;
  };
  std::string outage() const;  ///< why Redis can't be used; empty: it can
  std::optional<Trouble> last_trouble() const;

 private:
  struct Pending {
    std::int32_t partition = 0;
    RecordOffset offset;
    std::shared_ptr<const std::string> json;
  };
  using ByKey = std::unordered_map<std::string, Pending>;

  /// A step of what is written.
  struct Step {
    enum class What : std::uint8_t { keep, forget, begin_load, end_load };
    What what;
    std::string topic;
    std::string key{};
    std::shared_ptr<const std::string> json{};
  };
  /// What a turn of the thread has to do.
  struct Work {
    bool is_asked = false;  ///< what is kept is to be read
    bool writes = false;
    bool is_new = false;  ///< all is written anew: `pending` instead of `steps`
    std::vector<Step> steps{};
    std::map<std::string, ByKey> pending{};
    std::set<std::string> topics{};
    Gathered gathered{};
  };

  void log(Step step) LOCKSTEP_REQUIRES(mutex_);
  bool has_work() const LOCKSTEP_REQUIRES(mutex_);
  Work take_work() LOCKSTEP_REQUIRES(mutex_);

  // On the thread:
  void run();
  void turn(Work work);
  Result<Gathered, std::string> read(const std::set<std::string>& topics);
  /// What Redis has after it; nullopt: not what was written, all has to be written anew.
  Result<std::optional<Gathered>, std::string> write(Work work);
  void put_steps(const Work& work);
  void put_all(const Work& work);
  void put_difference(const Gathered& before, const Gathered& now);
  void put_difference(std::string_view name, const Positions& before, const Positions& now);
  void failed(const std::string& cause);
  void answered();
  std::string key(std::string_view name) const;
  std::string key(std::string_view name, std::string_view topic) const;

  const std::string pipeline_;
  const RedisServer server_;
  const std::size_t max_bytes_;
  const std::function<void()> wake_;
  const std::string writer_;  ///< what written_by says of this object

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  bool closing_ LOCKSTEP_GUARDED_BY(mutex_) = false;
  bool writes_ LOCKSTEP_GUARDED_BY(mutex_) = false;
  bool is_asked_ LOCKSTEP_GUARDED_BY(mutex_) = false;
  bool is_new_ LOCKSTEP_GUARDED_BY(mutex_) = false;
  bool is_saved_ LOCKSTEP_GUARDED_BY(mutex_) = true;  ///< `gathered_` needs no writing
  std::set<std::string> topics_ LOCKSTEP_GUARDED_BY(mutex_);
  std::map<std::string, ByKey> pending_ LOCKSTEP_GUARDED_BY(mutex_);
  std::size_t pending_bytes_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
  std::vector<Step> steps_ LOCKSTEP_GUARDED_BY(mutex_);
  std::size_t step_bytes_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
  std::set<std::string> unread_ LOCKSTEP_GUARDED_BY(mutex_);   ///< may have pending ones in Redis
  std::set<std::string> loading_ LOCKSTEP_GUARDED_BY(mutex_);  ///< topics of the load that runs
  Gathered gathered_ LOCKSTEP_GUARDED_BY(mutex_);
  std::optional<Gathered> stored_ LOCKSTEP_GUARDED_BY(mutex_);
  std::string outage_ LOCKSTEP_GUARDED_BY(mutex_);
  std::optional<Trouble> last_trouble_ LOCKSTEP_GUARDED_BY(mutex_);

  // The thread's:
  std::optional<Redis> redis_;
  bool is_ours_ = false;  ///< written_by says so, unless somebody else has changed it
  Gathered written_;      ///< what Redis has
  int failures_ = 0;
  std::chrono::steady_clock::time_point outage_since_;

  std::thread thread_;  // last: it uses all of the above
};

/// What utc_text() writes, as Redis has it; nullopt: it is none.
std::optional<WallTime> from_iso(const std::string& text);

}  // namespace lockstep::threshold
