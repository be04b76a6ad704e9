#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lockstep/model/mutex.hpp"

namespace lockstep::http {

/// What one client of a Feed still has to be sent. Full, it drops the newest and counts them.
/// Threads: all functions from any.
class FeedClient {
 public:
  using Text = std::shared_ptr<const std::string>;

  static constexpr std::size_t most_texts = 256;
  static constexpr std::size_t most_bytes = 1024 * 1024;  ///< but one text may be larger

  /// `wake` is called when there is something to take, or it is over; on the publisher's thread.
  explicit FeedClient(std::function<void()> wake) : wake_{std::move(wake)} {}

  void push(const Text& text);
  /// The next to be sent; nullptr: nothing now.
  Text take();
  /// How many were dropped since this was last asked.
  std::uint64_t take_dropped();
  /// Another client has come under the same id.
  void replace();
  bool is_replaced() const;

 private:
  const std::function<void()> wake_;
  mutable Mutex mutex_;
  std::deque<Text> texts_ LOCKSTEP_GUARDED_BY(mutex_);
  std::size_t bytes_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
  std::uint64_t dropped_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
  bool replaced_ LOCKSTEP_GUARDED_BY(mutex_) = false;
};

/// Texts for all who listen, each by its own id. Publishing never waits for a client.
/// Threads: all functions from any.
class Feed {
 public:
  static constexpr std::size_t most_clients = 100;
  static constexpr std::size_t most_remembered = 100;  ///< texts, and half of a client's bytes

  /// nullptr: there are most_clients already. A client of the same id is replaced.
  std::shared_ptr<FeedClient> join(const std::string& id, std::function<void()> wake);
  void leave(const std::string& id, const std::shared_ptr<FeedClient>& client);
  void publish(std::string text);
  /// What a new client is sent first is this, and then what is published from now on, as far as it
  /// is among the newest most_remembered. Those who listen already are sent this, too. "": nothing.
  void begin(std::string text);
  /// While nobody listens, texts need not be made.
  std::size_t clients() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<FeedClient>> clients_ LOCKSTEP_GUARDED_BY(mutex_);
  FeedClient::Text first_ LOCKSTEP_GUARDED_BY(mutex_);
  std::deque<FeedClient::Text> remembered_ LOCKSTEP_GUARDED_BY(mutex_);
  std::size_t remembered_bytes_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
};

}  // namespace lockstep::http
