#include "lockstep/live/live.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>

#include "event.hpp"
#include "lockstep/kafka/reader.hpp"
#include "lockstep/model/mutex.hpp"

namespace lockstep::live {

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds window{100};  // a text is about this much time
constexpr milliseconds look_for_clients{250};
constexpr seconds look_for_topics{2};
constexpr seconds after_failure{1};
constexpr milliseconds brokers_deadline{2000};
constexpr std::size_t shown_of_topic = 10;  // in a text
constexpr std::size_t shown_in_all = 20;
constexpr std::size_t most_read = 300;      // in a window; what is more is jumped over
constexpr std::int64_t to_begin_with = 10;  // of each partition, when the first looks
constexpr std::size_t most_marks = 1000;    // that wait for a text
constexpr std::size_t most_messages = 100;  // of an answer

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Raw raw(const kafka::Message& message) {
  return {std::string{message.topic()},
          message.partition(),
          message.offset().value,
          message.time_ms(),
          message.key(),
          message.value()};
}

/// A number of a query; nullopt: it is none.
std::optional<std::int64_t> number(const http::Request& request, const std::string& name,
                                   std::int64_t otherwise) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return otherwise;
  const std::string& text = found->second;
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || value < 0) {
    return std::nullopt;
  }
  return value;
}

Json text_or_null(const std::optional<std::string_view>& text) {
  return text ? Json(std::string{*text}) : Json(nullptr);
}

Json message_json(const kafka::Message& message) {
  Json headers = Json::array();
  for (const auto& [name, value] : message.headers()) {
    headers.push_back({{"name", std::string{name}}, {"value", text_or_null(value)}});
  }
  const auto time = message.time_ms();
  return {{"partition", message.partition()},
          {"offset", message.offset().value},
          {"timestamp_ms", time ? Json(*time) : Json(nullptr)},
          {"key", text_or_null(message.key())},
          {"value", text_or_null(message.value())},
          {"headers", std::move(headers)}};
}

}  // namespace

class Live::Impl {
 public:
  Impl(LiveConfig config, std::shared_ptr<http::Feed> feed)
      : config_{std::move(config)}, feed_{std::move(feed)} {
    consumer_.brokers = config_.brokers;
    consumer_.properties = config_.properties;
    // Most of what is fetched is not looked at: little at a time. The queue takes several fetches:
    // librdkafka's thread sleeps for up to a second when it finds it full.
    consumer_.queue_bytes = 1024 * 1024;
    consumer_.properties.try_emplace("max.partition.fetch.bytes", "65536");
    thread_ = std::jthread{[this](const std::stop_token& stop) { work(stop); }};
  }

  void applied(const std::string& pipeline, const TopicPartition& partition, NextOffset next) {
    if (feed_->clients() == 0) return;
    const Lock lock{mutex_};
    if (marks_.size() >= most_marks) marks_.pop_front();
    marks_.push_back({pipeline, partition, next, now_ms()});
  }

  http::Response topics() {
    const auto wanted = config_.topics();
    auto reader = kafka::Reader::open(consumer_);
    if (!reader) return unreachable(reader.error());
    const auto all = (*reader)->topics(brokers_deadline);
    if (!all) return unreachable(all.error());
    std::map<std::string, int> partitions;
    for (const auto& [topic, pipelines] : wanted) {
      const auto found = all->find(topic);
      if (found != all->end()) partitions.insert(*found);
    }
    const auto bounds = (*reader)->bounds(partitions, brokers_deadline);
    if (!bounds) return unreachable(bounds.error());
    Json list = Json::array();
    for (const auto& [topic, pipelines] : wanted) {
      Json of_topic = Json::array();
      for (const auto& [tp, stretch] : *bounds) {
        if (tp.topic != topic) continue;
        of_topic.push_back(
            {{"partition", tp.partition}, {"first", stretch.begin}, {"end", stretch.end}});
      }
      list.push_back(
          {{"topic", topic}, {"pipelines", pipelines}, {"partitions", std::move(of_topic)}});
    }
    return {.body = dumped(Json{{"topics", std::move(list)}}) + "\n"};
  }

  http::Response messages(const http::Request& request) {
    const auto& topic = request.parameters.front();
    const auto partition = number(request, "partition", 0);
    const auto offset = number(request, "offset", 0);
    const auto limit = number(request, "limit", 20);
    if (!partition || !offset || !limit) {
      return http::error(400, "no number", "partition, offset and limit are whole numbers");
    }
    const auto most = std::min<std::int64_t>(*limit, most_messages);
    auto reader = kafka::Reader::open(consumer_);
    if (!reader) return unreachable(reader.error());
    const auto all = (*reader)->topics(brokers_deadline);
    if (!all) return unreachable(all.error());
    const auto found = all->find(topic);
    if (found == all->end()) return http::error(404, "no such topic", "GET /topics lists them");
    auto bounds = (*reader)->bounds({*found}, brokers_deadline);
    if (!bounds) return unreachable(bounds.error());
    kafka::Stretches stretches;
    const bool one = request.query.contains("offset");
    for (const auto& [tp, log] : *bounds) {
      if (one && tp.partition != *partition) continue;
      // Markers of transactions take offsets, too: each message may have one.
      const auto begin = one ? *offset : std::max(log.begin, log.end - 2 * most - 2);
      if (one && (begin < log.begin || begin >= log.end)) {
        return http::error(404, "not in the log",
                           "the partition holds " + std::to_string(log.begin) + " to " +
                               std::to_string(log.end - 1) + ": retention may have passed it");
      }
      if (begin < log.end) stretches[tp] = {begin, one ? std::min(begin + most, log.end) : log.end};
    }
    std::vector<kafka::Message> read;
    if (auto done_reading =
            (*reader)->read(stretches, brokers_deadline,
                            [&](kafka::Message message) { read.push_back(std::move(message)); });
        !done_reading) {
      return unreachable(done_reading.error());
    }
    std::stable_sort(read.begin(), read.end(), [](const auto& a, const auto& b) {
      return a.time_ms().value_or(0) < b.time_ms().value_or(0);
    });
    Json list = Json::array();
    const auto count = static_cast<std::size_t>(most);
    for (std::size_t i = read.size() > count ? read.size() - count : 0; i < read.size(); ++i) {
      list.push_back(message_json(read[i]));
    }
    return {.body = dumped(Json{{"messages", std::move(list)}}) + "\n"};
  }

 private:
  struct Mark {
    std::string pipeline;
    TopicPartition partition;
    NextOffset next;
    std::int64_t at_ms;
  };
  struct Seen {
    std::uint64_t arrived = 0;
    std::deque<kafka::Message> newest;
  };

  static http::Response unreachable(const kafka::KafkaError& error) {
    return http::error(503, "Kafka does not answer", error.message);
  }

  void work(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (feed_->clients() == 0) {
        rest(stop, look_for_clients);
        continue;
      }
      const auto looked = look(stop);
      if (looked) continue;
      // The same cause every second is no news.
      if (looked.error().message != failure_) {
        failure_ = looked.error().message;
        spdlog::warn("the live page gets nothing, trying on: {}", failure_);
      }
      rest(stop, after_failure);
    }
  }

  void rest(const std::stop_token& stop, milliseconds duration) {
    Lock lock{mutex_};
    woken_.wait_for(lock, stop, duration, [] { return false; });
  }

  /// Until nobody looks any more. Errors: the brokers do not answer, or a right to read is missing.
  Result<Done, kafka::KafkaError> look(const std::stop_token& stop) {
    auto reader = kafka::Reader::open(consumer_);
    if (!reader) return reader.error();
    reader_ = std::move(*reader);
    next_.clear();
    feed_->begin("");
    auto topics_at = Clock::time_point{};
    while (!stop.stop_requested() && feed_->clients() > 0) {
      const auto begin = Clock::now();
      if (begin >= topics_at) {
        if (auto followed = follow(); !followed) return followed;
        if (auto jumped = jump(most_read); !jumped) return jumped;
        topics_at = begin + look_for_topics;
      }
      auto read = read_window(begin + window);
      if (!read) return read.error();
      if (!std::exchange(failure_, {}).empty()) spdlog::info("the live page goes on");
      publish();
      if (*read == Window::full) {
        if (auto jumped = jump(shown_of_topic); !jumped) return jumped;
        rest(stop, std::chrono::duration_cast<milliseconds>(begin + window - Clock::now()));
      }
    }
    reader_.reset();
    return done;
  }

  /// What topics there are now; those that are new are read from near their ends on.
  Result<Done, kafka::KafkaError> follow() {
    const auto wanted = config_.topics();
    const auto all = reader_->topics(brokers_deadline);
    if (!all) return all.error();
    std::map<std::string, int> fresh;
    for (const auto& [topic, pipelines] : wanted) {
      const auto found = all->find(topic);
      if (found == all->end()) continue;
      if (!next_.contains({topic, found->second - 1})) fresh.insert(*found);
    }
    if (fresh.empty()) return done;
    const auto bounds = reader_->bounds(fresh, brokers_deadline);
    if (!bounds) return bounds.error();
    for (const auto& [tp, log] : *bounds) {
      next_.try_emplace(tp, std::max(log.begin, log.end - to_begin_with));
    }
    Json hello{{"type", "hello"}, {"version", config_.version}, {"topics", Json::array()}};
    for (const auto& [topic, pipelines] : wanted) hello["topics"].push_back(topic);
    feed_->begin(dumped(hello));
    return reader_->assign(next_);
  }

  enum class Window { over, full };

  Result<Window, kafka::KafkaError> read_window(Clock::time_point end) {
    for (std::size_t read = 0; read < most_read;) {
      const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
      if (left.count() <= 0) return Window::over;
      auto polled = reader_->poll(left);
      if (!polled) return polled.error();
      if (!polled->message) continue;
      ++read;
      const TopicPartition tp{std::string{polled->message->topic()}, polled->message->partition()};
      next_[tp] = polled->message->offset().value + 1;
      auto& seen = seen_[tp.topic];
      ++seen.arrived;
      seen.newest.push_back(*std::move(polled->message));
      if (seen.newest.size() > shown_of_topic) seen.newest.pop_front();
    }
    return Window::full;
  }

  /// To near the ends, where more than `behind` records are before them.
  Result<Done, kafka::KafkaError> jump(std::size_t behind) {
    std::map<std::string, int> topics;
    for (const auto& [tp, next] : next_) {
      topics[tp.topic] = std::max(topics[tp.topic], tp.partition + 1);
    }
    const auto bounds = reader_->bounds(topics, brokers_deadline);
    if (!bounds) return bounds.error();
    bool any = false;
    for (const auto& [tp, log] : *bounds) {
      auto& next = next_[tp];
      if (log.end - next <= static_cast<std::int64_t>(behind)) continue;
      any = true;
      const auto there = log.end - static_cast<std::int64_t>(shown_of_topic);
      seen_[tp.topic].arrived += static_cast<std::uint64_t>(there - next);
      next = there;
    }
    if (!any) return done;
    return reader_->assign(next_);
  }

  void publish() {
    std::deque<Mark> marks;
    {
      const Lock lock{mutex_};
      marks.swap(marks_);
    }
    if (!seen_.empty()) publish_changes();
    for (const auto& mark : marks) {
      feed_->publish(dumped({{"type", "applied"},
                             {"pipeline", mark.pipeline},
                             {"topic", mark.partition.topic},
                             {"partition", mark.partition.partition},
                             {"next", mark.next.value},
                             {"at_ms", mark.at_ms}}));
    }
  }

  void publish_changes() {
    Json text{{"type", "changes"}, {"changes", Json::array()}, {"seen", Json::object()}};
    const auto each = std::max<std::size_t>(1, shown_in_all / seen_.size());
    std::size_t room = shown_in_all;
    for (auto& [topic, seen] : seen_) {
      while (seen.newest.size() > std::min(each, room)) seen.newest.pop_front();
      room -= seen.newest.size();
      for (const auto& message : seen.newest) text["changes"].push_back(event_of(raw(message)));
      text["seen"][topic] = {{"arrived", seen.arrived}, {"shown", seen.newest.size()}};
    }
    seen_.clear();
    feed_->publish(dumped(text));
  }

  const LiveConfig config_;
  const std::shared_ptr<http::Feed> feed_;
  kafka::ConsumerConfig consumer_;

  // The thread's:
  std::unique_ptr<kafka::Reader> reader_;
  std::map<TopicPartition, std::int64_t> next_;  ///< to be read
  std::map<std::string, Seen> seen_;             ///< since the last text
  std::string failure_;                          ///< that was told last; empty: it went on

  Mutex mutex_;
  std::condition_variable_any woken_;
  std::deque<Mark> marks_ LOCKSTEP_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: it uses all of the above
};

Live::Live(LiveConfig config, std::shared_ptr<http::Feed> feed)
    : impl_{std::make_unique<Impl>(std::move(config), std::move(feed))} {}
Live::~Live() = default;

void Live::applied(const std::string& pipeline, const TopicPartition& partition, NextOffset next) {
  impl_->applied(pipeline, partition, next);
}

std::vector<http::Route> Live::routes() {
  auto* const impl = impl_.get();
  return {{"GET", "/topics", http::Access::guarded, http::Waits::for_others,
           [impl](const http::Request&) { return impl->topics(); }},
          {"GET", "/topics/{topic}/messages", http::Access::guarded, http::Waits::for_others,
           [impl](const http::Request& request) { return impl->messages(request); }}};
}

}  // namespace lockstep::live
