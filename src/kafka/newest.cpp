#include "lockstep/kafka/newest.hpp"

#include <algorithm>
#include <cstdint>

#include "brokers.hpp"
#include "lockstep/kafka/reader.hpp"

namespace lockstep::kafka {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Of offsets, at first: a delete, its tombstone and the marker of a transaction are three of them.
constexpr std::int64_t first_stretch = 10;
constexpr std::int64_t growth = 10;

/// What the topics hold, without the partitions that are empty.
Result<Stretches, KafkaError> all_of(Reader& reader, const std::map<std::string, int>& topics,
                                     Clock::time_point deadline) {
  auto bounds = reader.bounds(topics, time_until(deadline));
  if (bounds) {
    std::erase_if(*bounds, [](const auto& one) { return one.second.begin >= one.second.end; });
  }
  return bounds;
}

}  // namespace

Result<Done, KafkaError> read_all(const ConsumerConfig& config,
                                  const std::map<std::string, int>& topics, milliseconds deadline,
                                  const std::function<void(const Message&)>& visit) {
  const auto end = Clock::now() + deadline;
  auto reader = Reader::open(config);
  if (!reader) return reader.error();
  auto unread = all_of(**reader, topics, end);
  if (!unread) return unread.error();
  if (auto read = (*reader)->read(*unread, time_until(end), visit); !read) return read;
  if (unread->empty()) return done;
  return KafkaError{to_string(unread->begin()->first) + ": not read to its end in time"};
}

Result<std::map<std::string, Looked>, KafkaError> read_newest(
    const ConsumerConfig& config, const std::map<std::string, int>& topics, milliseconds deadline,
    const std::function<bool(const Message&)>& visit) {
  const auto end = Clock::now() + deadline;
  auto reader = Reader::open(config);
  if (!reader) return reader.error();
  auto bounds = all_of(**reader, topics, end);
  if (!bounds) return bounds.error();

  std::map<std::string, Looked> looked;
  for (const auto& [topic, partitions] : topics) looked[topic] = Looked::nothing;
  auto& unread = *bounds;
  for (std::int64_t size = first_stretch; !unread.empty(); size *= growth) {
    Stretches stretches;
    for (auto& [tp, rest] : unread) {
      const auto begin = std::max(rest.begin, rest.end - size);
      stretches[tp] = {begin, rest.end};
      rest.end = begin;
    }
    const auto was_read = (*reader)->read(stretches, time_until(end), [&](const Message& message) {
      if (visit(message)) looked[std::string{message.topic()}] = Looked::found;
    });
    if (!was_read) return was_read.error();
    const bool in_time = stretches.empty();
    std::erase_if(unread, [&](const auto& one) {
      const auto& [tp, rest] = one;
      auto& topic = looked[tp.topic];
      const bool all_read = rest.begin >= rest.end && !stretches.contains(tp);
      if (topic != Looked::found && !all_read && !in_time) topic = Looked::out_of_time;
      return topic == Looked::found || all_read;
    });
    if (!in_time) break;
  }
  return looked;
}

}  // namespace lockstep::kafka
