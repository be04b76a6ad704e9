// Prints a topic's records as they are: the newest, or from an offset or a time on.

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kafka.hpp"
#include "program.hpp"
#include "record_text.hpp"
#include "terminal.hpp"

namespace lockstep::tools {
namespace {

using kafka::Message;
using kafka::Stretches;

volatile std::sig_atomic_t interrupted = 0;

struct Options {
  std::string topic;
  bool dead_letters = false;
  std::optional<int> partition;
  std::optional<std::int64_t> from_offset;
  std::string since;
  std::string key;
  std::size_t limit = 10;  ///< 0: none
  bool follow = false;
  bool with_schema = false;
};

/// "90s", "10m", "2h", "3d" ago, or a time of day in UTC, as ms since 1970.
std::int64_t parse_since(const std::string& text) {
  using std::chrono::system_clock;
  static const std::map<char, int> seconds_of{{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  const auto unit = text.empty() ? seconds_of.end() : seconds_of.find(text.back());
  const auto number = text.substr(0, text.empty() ? 0 : text.size() - 1);
  if (unit != seconds_of.end() && !number.empty() && number.size() < 8 &&
      number.find_first_not_of("0123456789") == number.npos) {
    const auto ago = std::chrono::seconds{std::stoll(number) * unit->second};
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               (system_clock::now() - ago).time_since_epoch())
        .count();
  }
  for (const char* const form :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm utc{};
    const char* const rest = ::strptime(text.c_str(), form, &utc);
    if (rest != nullptr && (*rest == '\0' || std::string_view{rest} == "Z")) {
      return std::int64_t{::timegm(&utc)} * 1000;
    }
  }
  throw UsageError{"--since: \"" + text +
                   "\" is no time; expected such as 10m, 2h, 3d or \"2026-11-30 17:00\" (UTC)"};
}

/// The topic that is meant: by its name, or by the end of it that no other has ("users").
std::string find_topic(const Program& program, const std::map<std::string, int>& topics,
                       const std::string& wanted) {
  if (topics.contains(wanted)) return wanted;
  std::vector<std::string> same_end;
  std::vector<std::string> names;
  for (const auto& [topic, partitions] : topics) {
    names.push_back(topic);
    if (topic.ends_with("." + wanted)) same_end.push_back(topic);
  }
  if (same_end.size() == 1) return same_end.front();
  auto meant = did_you_mean(wanted, same_end.empty() ? names : same_end);
  for (const auto& topic : same_end) {
    if (meant.empty()) meant = "; there is " + topic;
  }
  throw Failure{"kafka " + program.config().kafka.brokers + ": no topic \"" + wanted + "\"" +
                (meant.empty() ? "; debug_kafka lists them" : meant)};
}

class Messages {
 public:
  Messages(const Program& program, const Options& options)
      : program_{program}, options_{options}, reader_{open_reader(program)} {}

  void print();

 private:
  /// What of the topic is asked for.
  Stretches find_partitions(const std::string& topic);
  /// The newest that are asked for, oldest first.
  std::vector<Message> newest(const Stretches& bounds);
  /// Prints what comes from there on, up to `until`, or for ever.
  void stream(const std::map<TopicPartition, std::int64_t>& from, const Stretches* until);
  void print(const Message& message);
  bool wanted(const Message& message) const {
    return options_.key.empty() || daemon::is_key(message.key(), options_.key);
  }

  const Program& program_;
  const Options& options_;
  std::unique_ptr<kafka::Reader> reader_;
  std::size_t printed_ = 0;
};

Stretches Messages::find_partitions(const std::string& wanted) {
  const auto topics = expect(program_, reader_->topics(kafka_patience));
  const auto topic = find_topic(program_, topics, wanted);
  const int count = topics.at(topic);
  auto bounds = expect(program_, reader_->bounds({{topic, count}}, kafka_patience));
  if (const auto partition = options_.partition) {
    if (*partition >= count) {
      throw Failure{"topic " + topic + " has no partition " + std::to_string(*partition) +
                    "; it has " + std::to_string(count) + ", the first is 0"};
    }
    std::erase_if(bounds, [&](const auto& one) { return one.first.partition != *partition; });
  }
  return bounds;
}

void Messages::print() {
  std::string topic = options_.topic;
  if (topic.empty()) topic = program_.sink().dead_letter_topic;
  const auto bounds = find_partitions(topic);
  std::map<TopicPartition, std::int64_t> ends;
  for (const auto& [tp, stretch] : bounds) ends[tp] = stretch.end;
  if (options_.from_offset || !options_.since.empty()) {
    std::map<TopicPartition, std::int64_t> from;
    if (options_.since.empty()) {
      for (const auto& [tp, stretch] : bounds) {
        from[tp] = std::max(stretch.begin, *options_.from_offset);
      }
    } else {
      from =
          expect(program_, reader_->at_time(bounds, parse_since(options_.since), kafka_patience));
    }
    stream(from, options_.follow ? nullptr : &bounds);
  } else {
    for (const auto& message : newest(bounds)) print(message);
    std::cout.flush();
    if (options_.follow) stream(ends, nullptr);
  }
  if (printed_ == 0 && !program_.json() && !options_.follow) {
    std::cout << "no such messages in " << bounds.begin()->first.topic << '\n';
  }
}

/// Puts together what the partitions have, each in its order, by their times.
std::vector<Message> merge(std::map<TopicPartition, std::deque<Message>>& partitions,
                           std::size_t limit) {
  std::vector<Message> merged;
  while (merged.size() < limit) {
    std::deque<Message>* last = nullptr;
    for (auto& [tp, messages] : partitions) {
      if (messages.empty()) continue;
      if (last == nullptr || messages.back().time_ms() > last->back().time_ms()) last = &messages;
    }
    if (last == nullptr) break;
    merged.push_back(std::move(last->back()));
    last->pop_back();
  }
  std::reverse(merged.begin(), merged.end());
  return merged;
}

std::vector<Message> Messages::newest(const Stretches& bounds) {
  constexpr std::int64_t growth = 10;
  constexpr std::int64_t largest_stretch = 20'000;  // offsets of each partition at a time
  constexpr std::chrono::seconds patience{60};      // with one of them of each
  const std::size_t limit = options_.limit == 0 ? SIZE_MAX : options_.limit;
  std::map<TopicPartition, std::deque<Message>> found;
  std::map<TopicPartition, std::int64_t> ends;  // of what is not read yet
  for (const auto& [tp, bound] : bounds) ends[tp] = bound.end;
  std::int64_t size =
      std::min<std::int64_t>(largest_stretch, static_cast<std::int64_t>(options_.limit) + 10);
  for (; interrupted == 0; size = std::min(largest_stretch, size * growth)) {
    Stretches stretches;
    for (const auto& [tp, bound] : bounds) {
      auto& end = ends[tp];
      if (bound.begin >= end || found[tp].size() >= limit) continue;
      const auto begin = std::max(bound.begin, end - size);
      stretches[tp] = {begin, end};
      end = begin;
    }
    if (stretches.empty()) break;
    std::map<TopicPartition, std::deque<Message>> read;
    expect(program_, reader_->read(stretches, patience, [&](Message message) {
      if (!wanted(message)) return;
      auto& messages = read[{std::string{message.topic()}, message.partition()}];
      messages.push_back(std::move(message));
      if (messages.size() > limit) messages.pop_front();
    }));
    if (!stretches.empty()) {
      fail(program_, {to_string(stretches.begin()->first) + " was not read in time"});
    }
    for (auto& [tp, messages] : read) {
      auto& all = found[tp];
      for (; !messages.empty() && all.size() < limit; messages.pop_back()) {
        all.push_front(std::move(messages.back()));
      }
    }
  }
  return merge(found, limit);
}

void Messages::stream(const std::map<TopicPartition, std::int64_t>& from, const Stretches* until) {
  constexpr std::chrono::seconds patience{10};  // without a record or an end
  using Clock = std::chrono::steady_clock;
  Stretches rest;
  auto begin = from;
  if (until != nullptr) {
    rest = *until;
    std::erase_if(rest, [&](const auto& one) { return from.at(one.first) >= one.second.end; });
    std::erase_if(begin, [&](const auto& one) { return !rest.contains(one.first); });
    if (rest.empty()) return;
  }
  expect(program_, reader_->assign(begin));
  auto heard = Clock::now();
  while (interrupted == 0) {
    auto polled = expect(program_, reader_->poll(std::chrono::milliseconds{200}));
    const auto now = Clock::now();
    if (polled.ended || polled.message) heard = now;
    if (until != nullptr && now - heard > patience) {
      fail(program_, {to_string(rest.begin()->first) + " was not read in time"});
    }
    if (polled.ended) rest.erase(*polled.ended);
    if (polled.message) {
      const auto& message = *polled.message;
      const auto stretch = rest.find({std::string{message.topic()}, message.partition()});
      const auto offset = message.offset().value;
      const bool asked_for =
          until == nullptr || (stretch != rest.end() && offset < stretch->second.end);
      if (asked_for && wanted(message)) print(message);
      if (stretch != rest.end() && offset + 1 >= stretch->second.end) rest.erase(stretch);
      if (until != nullptr && options_.limit != 0 && printed_ >= options_.limit) return;
    }
    if (until != nullptr && rest.empty()) return;
    if (until == nullptr && !std::cout.flush()) return;  // nobody reads it any more
  }
}

void Messages::print(const Message& message) {
  if (program_.json()) {
    std::cout << daemon::record_json(message, options_.with_schema) << '\n';
  } else {
    if (printed_ > 0) std::cout << '\n';
    std::cout << bold(daemon::record_title(message)) << '\n';
    daemon::print_record(std::cout, message, options_.with_schema);
  }
  ++printed_;
}

int run(int argc, char** argv) {
  Options options;
  Program program{
      "Prints a topic's messages as they are in the log, key and value indented, the newest 10 if\n"
      "nothing else is said. It joins no consumer group.",
      "debug_messages dbserver1.public.users\n"
      "debug_messages users --key 7 --limit 100\n"
      "debug_messages orders --from-offset 6 --partition 0 --limit 1\n"
      "debug_messages orders --since 10m --limit 0 --json | jq .value.after\n"
      "debug_messages users --follow\n"
      "debug_messages --dead-letters"};
  auto& app = program.options();
  auto* const topic =
      app.add_option("topic", options.topic, "its name, or the end of it that no other topic has")
          ->type_name("TOPIC");
  auto* const letters =
      app.add_flag("--dead-letters", options.dead_letters,
                   "those of the pipeline's dead-letter topic, with their causes");
  letters->excludes(topic);
  app.add_option("--partition", options.partition, "only of this partition")
      ->check(CLI::NonNegativeNumber);
  auto* const from = app.add_option("--from-offset", options.from_offset,
                                    "from this offset on, oldest first; of each partition")
                         ->check(CLI::NonNegativeNumber);
  app.add_option(
         "--since", options.since,
         "from this time on, oldest first: such as 10m, 2h, 3d ago, or \"2026-11-30 17:00\" "
         "(UTC)")
      ->excludes(from);
  app.add_option("--key", options.key,
                 "only of this key: its bytes, its JSON, or the value of its only column");
  app.add_option("--limit", options.limit,
                 "at most so many, 0: all; with --follow: before it begins")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  app.add_flag("--follow", options.follow, "go on with what comes, until interrupted");
  app.add_flag("--schema", options.with_schema, "with the schemas that Connect puts around");
  program.with_json("print a JSON object a line");
  program.with_pipeline();
  return program.run(argc, argv, [&] {
    if (options.topic.empty() && !options.dead_letters) {
      throw UsageError{"which topic? debug_kafka lists them; or --dead-letters"};
    }
    if (!options.since.empty()) parse_since(options.since);  // before brokers are asked
    for (const int signal : {SIGINT, SIGTERM}) {
      std::signal(signal, [](int) { interrupted = 1; });
    }
    Messages{program, options}.print();
    return true;
  });
}

}  // namespace
}  // namespace lockstep::tools

int main(int argc, char** argv) {
  return lockstep::tools::run(argc, argv);
}
