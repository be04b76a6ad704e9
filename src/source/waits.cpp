#include "waits.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "lockstep/kafka/reader.hpp"
#include "lockstep/model/mutex.hpp"
#include "markers.hpp"
#include "standing.hpp"

namespace lockstep::source {

namespace {

using Clock = std::chrono::steady_clock;
using Ends = std::map<TopicPartition, NextOffset>;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds brokers_deadline{2000};
constexpr milliseconds look_deadline{1000};
constexpr milliseconds look_again{20};  // at the pipelines
constexpr milliseconds look_for_topics{200};
constexpr milliseconds after_failure{500};
constexpr seconds stays_open{60};  // after the last that has waited: the next need not begin anew
constexpr seconds looks_back{60};  // for markers that were written before somebody waited
constexpr std::int64_t begins_before_end = 20;  // so that there is something to tell by
constexpr int most_read = 1000;                 // without a look at those who wait

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

http::Response there(const Wait& wait) {
  const auto waited = std::chrono::duration_cast<milliseconds>(Clock::now() - wait.begun).count();
  const nlohmann::ordered_json json{
      {"pipeline", wait.pipeline}, {"marker", wait.marker}, {"waited_ms", waited}};
  return {.body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

/// One who waits, and how far it is.
struct Waiting {
  Wait wait;
  std::string topic{};         ///< where its marker will come; empty: not known yet
  std::optional<Ends> ends{};  ///< taken once the marker had come
  std::string lacks = "there was no time to look for its marker";  ///< what it waits for
};

}  // namespace

class Waits::Impl {
 public:
  Impl(const std::map<std::string, PipelineSource>& pipelines, pipeline::Registry& registry)
      : registry_{registry} {
    for (const auto& [name, source] : pipelines) topics_of_[name] = source.consumer.topics;
    if (!pipelines.empty()) client_ = pipelines.begin()->second.consumer;
    client_.group.clear();
    thread_ = std::jthread{[this](const std::stop_token& stop) { work(stop); }};
  }

  void add(Wait wait) {
    {
      const Lock lock{mutex_};
      arrived_.push_back({std::move(wait)});
    }
    woken_.notify_one();
  }

 private:
  using Partitions = std::map<std::string, int>;
  using Overviews = std::vector<pipeline::Registry::Overview>;

  void work(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      take_arrived(stop);
      if (waiting_.empty() && Clock::now() - used_at_ > stays_open) {
        close();
        continue;
      }
      const auto looked = look();
      if (!looked) {
        for (auto& one : waiting_) one.lacks = "Kafka does not answer: " + looked.error().message;
        close();
      }
      answer_late();
      if (!looked) rest(stop, after_failure);
    }
    for (auto& one : waiting_) {
      one.wait.reply(http::error(503, "stopping", "the daemon has been told to stop"));
    }
  }

  void take_arrived(const std::stop_token& stop) {
    Lock lock{mutex_};
    if (waiting_.empty() && !markers_reader_) {
      woken_.wait(lock, stop, [this]() LOCKSTEP_REQUIRES(mutex_) { return !arrived_.empty(); });
    }
    for (auto& one : arrived_) {
      const auto known = known_topics_.find(one.wait.pipeline);
      if (known != known_topics_.end()) one.topic = known->second;
      if (known == known_topics_.end()) follow_at_ = {};
    }
    waiting_.splice(waiting_.end(), arrived_);
    if (!waiting_.empty()) used_at_ = Clock::now();
  }

  void rest(const std::stop_token& stop, milliseconds duration) {
    Lock lock{mutex_};
    woken_.wait_for(lock, stop, duration, [] { return false; });
  }

  void close() {
    markers_reader_.reset();
    ends_reader_.reset();
    next_.clear();
    markers_.clear();
    known_topics_.clear();
    for (auto& one : waiting_) one.topic.clear();
  }

  /// Errors: Kafka does not answer.
  Result<Done, kafka::KafkaError> look() {
    if (auto opened = open(); !opened) return opened;
    if (auto followed = follow(); !followed) return followed;
    if (auto read = read_some(); !read) return read;
    if (auto ended = take_ends(); !ended) return ended;
    ask_pipelines();
    return done;
  }

  Result<Done, kafka::KafkaError> open() {
    if (markers_reader_) return done;
    auto markers = kafka::Reader::open(client_);
    if (!markers) return markers.error();
    auto ends = kafka::Reader::open(client_, kafka::Reader::Sees::all);
    if (!ends) return ends.error();
    markers_reader_ = *std::move(markers);
    ends_reader_ = *std::move(ends);
    follow_at_ = {};
    return done;
  }

  // ---- The topics of markers

  /// Finds out where the markers come, and reads what is not read yet.
  Result<Done, kafka::KafkaError> follow() {
    const auto lacks_topic = [this](const Waiting& one) { return !markers_.contains(one.topic); };
    if (std::none_of(waiting_.begin(), waiting_.end(), lacks_topic)) return done;
    if (Clock::now() < follow_at_) return done;
    follow_at_ = Clock::now() + look_for_topics;
    const auto all = ends_reader_->topics(brokers_deadline);
    if (!all) return all.error();
    Partitions fresh;
    for (auto& one : waiting_) {
      const auto topic =
          message_topic_of(kafka::matching_topics(*all, topics_of_.at(one.wait.pipeline)));
      if (!topic) {
        one.lacks = topic.error().cause;
        continue;
      }
      one.topic = known_topics_[one.wait.pipeline] = *topic;
      const auto found = all->find(*topic);
      if (found == all->end()) {
        one.lacks = "there is no topic " + *topic +
                    ": the connector makes it with the first message that it passes on";
      } else if (!markers_.contains(*topic)) {
        fresh.insert(*found);
      }
    }
    return fresh.empty() ? Result<Done, kafka::KafkaError>{done} : begin(fresh);
  }

  Result<Done, kafka::KafkaError> begin(const Partitions& topics) {
    const auto bounds = markers_reader_->bounds(topics, brokers_deadline);
    if (!bounds) return bounds.error();
    const auto since = now_ms() - std::chrono::milliseconds{looks_back}.count();
    const auto at = markers_reader_->at_time(*bounds, since, brokers_deadline);
    if (!at) return at.error();
    for (const auto& [tp, log] : *bounds) {
      next_[tp] = std::max(log.begin, std::min(at->at(tp), log.end - begins_before_end));
    }
    for (const auto& [topic, partitions] : topics) markers_[topic];
    return markers_reader_->assign(next_);
  }

  Result<Done, kafka::KafkaError> read_some() {
    milliseconds patience = look_again;
    for (int read = 0; read < most_read; ++read) {
      auto polled = markers_reader_->poll(patience);
      if (!polled) return polled.error();
      patience = {};
      if (polled->message) {
        const auto& message = *polled->message;
        const std::string topic{message.topic()};
        const auto offset = message.offset().value;
        next_[{topic, message.partition()}] = offset + 1;
        markers_[topic].record(message.partition(), offset, message.value());
      } else if (polled->ended && polled->end) {
        markers_[polled->ended->topic].end_reached(polled->ended->partition, *polled->end);
      } else {
        break;
      }
    }
    return done;
  }

  // ---- Those who wait

  /// For those whose markers have come.
  Result<Done, kafka::KafkaError> take_ends() {
    std::optional<Partitions> all;
    std::map<std::string, Ends> of_pipelines;
    for (auto& one : waiting_) {
      const auto found = markers_.find(one.topic);
      if (one.ends || found == markers_.end()) continue;
      if (!found->second.has(one.wait.marker)) {
        one.lacks = "the marker has not come in " + one.topic;
        continue;
      }
      if (!all) {
        auto topics = ends_reader_->topics(brokers_deadline);
        if (!topics) return topics.error();
        all = *std::move(topics);
      }
      auto known = of_pipelines.find(one.wait.pipeline);
      if (known == of_pipelines.end()) {
        const auto topics = kafka::matching_topics(*all, topics_of_.at(one.wait.pipeline));
        if (const auto topic = message_topic_of(topics); !topic || *topic != one.topic) {
          known_topics_.erase(one.wait.pipeline);  // another connector's have come meanwhile
          one.topic.clear();
          continue;
        }
        auto ends = ends_of(topics);
        if (!ends) return ends.error();
        known = of_pipelines.emplace(one.wait.pipeline, *std::move(ends)).first;
      }
      one.ends = known->second;
    }
    return done;
  }

  /// Of the logs as a whole: a transaction that is committed may lack its marker in some.
  Result<Ends, kafka::KafkaError> ends_of(const Partitions& topics) {
    const auto bounds = ends_reader_->bounds(topics, brokers_deadline);
    if (!bounds) return bounds.error();
    Ends ends;
    for (const auto& [tp, log] : *bounds) {
      if (log.begin < log.end) ends[tp] = {log.end};
    }
    return ends;
  }

  void ask_pipelines() {
    std::map<std::string, Result<pipeline::PipelineStatus, std::string>> asked;
    const auto overviews = waiting_.empty() ? Overviews{} : registry_.list();
    answer_if([&](Waiting& one) -> std::optional<http::Response> {
      const auto& name = one.wait.pipeline;
      for (const auto& overview : overviews) {
        if (overview.name != name || overview.running) continue;
        return http::error(409, "stands still", "the pipeline has ended: " + overview.cause);
      }
      if (!one.ends) return std::nullopt;
      if (!asked.contains(name)) asked.emplace(name, ask(name));
      const auto& status = asked.at(name);
      if (!status) {
        one.lacks = "the pipeline does not answer: " + status.error();
        return std::nullopt;
      }
      const auto in_transactions = markers_[one.topic].in_transactions();
      if (in_transactions == false) {
        return http::error(409, "not exact",
                           "the connector writes to Kafka without transactions, so that its marker "
                           "may overtake changes: set exactly.once.support=required on it");
      }
      auto stands = standing(*status, *one.ends);
      if (stands.is == Standing::Is::stuck) {
        const auto& [tp, from] = *stands.stuck_at;
        const auto any = any_record(tp, from, one.ends->at(tp));
        if (any == true) return http::error(409, "stands still", stands.detail);
        if (any == false) one.ends->erase(tp);
        return std::nullopt;  // the others are looked at next time
      }
      one.lacks = std::move(stands.detail);
      if (stands.is == Standing::Is::behind || !in_transactions) return std::nullopt;
      return there(one.wait);
    });
  }

  /// Whether anything but markers of transactions is there, of what is committed or may still be:
  /// a table that stands still has not seen the end of its log. nullopt: no answer.
  std::optional<bool> any_record(const TopicPartition& tp, std::optional<NextOffset> from,
                                 NextOffset end) {
    constexpr std::int64_t enough = 1000;  // offsets; so many are no markers only
    kafka::Stretches stretches;
    if (from) {
      if (end.value - from->value > enough) return true;
      stretches[tp] = {from->value, end.value};
    } else {
      const auto log = ends_reader_->bounds({{tp.topic, tp.partition + 1}}, brokers_deadline);
      if (!log) return std::nullopt;
      stretches[tp] = {log->at(tp).begin, std::min(end.value, log->at(tp).begin + enough)};
    }
    bool any = false;
    const auto read = ends_reader_->read(stretches, brokers_deadline,
                                         [&any](const kafka::Message&) { any = true; });
    const auto left_alone = ends_reader_->assign({});
    if (any) return true;
    if (!read || !left_alone || !stretches.empty()) return std::nullopt;
    return false;
  }

  Result<pipeline::PipelineStatus, std::string> ask(const std::string& name) {
    const auto found = registry_.find(name);
    if (!found) return std::string{"it does not run"};
    return found->status(look_deadline);
  }

  /// Those whose time is over.
  void answer_late() {
    bool lost = false;
    answer_if([&](const Waiting& one) -> std::optional<http::Response> {
      if (Clock::now() < one.wait.until) return std::nullopt;
      std::string detail = one.lacks;
      if (!one.ends && !one.topic.empty()) {
        lost = true;
        detail +=
            "; the connector is behind or does not run, or leaves messages out "
            "(message.prefix.include.list, message.prefix.exclude.list), or the transaction that "
            "wrote the marker is not committed, or that was over a minute ago";
      }
      return http::error(504, "not there in time", detail);
    });
    if (lost && waiting_.empty()) close();  // the topic may have been made anew
  }

  /// `decide`: the answer to one who need not wait any longer.
  template <class Decide>
  void answer_if(const Decide& decide) {
    for (auto one = waiting_.begin(); one != waiting_.end();) {
      auto response = decide(*one);
      if (!response) {
        ++one;
        continue;
      }
      one->wait.reply(*std::move(response));
      one = waiting_.erase(one);
    }
  }

  pipeline::Registry& registry_;
  std::map<std::string, std::vector<std::string>> topics_of_;  ///< a pipeline: names or a pattern
  kafka::ConsumerConfig client_;

  // The thread's:
  std::list<Waiting> waiting_;
  std::unique_ptr<kafka::Reader> markers_reader_;
  std::unique_ptr<kafka::Reader> ends_reader_;  ///< there with the other
  std::map<TopicPartition, std::int64_t> next_;
  std::map<std::string, Markers> markers_;           ///< by the topics that are read
  std::map<std::string, std::string> known_topics_;  ///< of markers, by pipeline
  Clock::time_point follow_at_;
  Clock::time_point used_at_;

  Mutex mutex_;
  std::condition_variable_any woken_;
  std::list<Waiting> arrived_ LOCKSTEP_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: it uses all of the above
};

Waits::Waits(const std::map<std::string, PipelineSource>& pipelines, pipeline::Registry& registry)
    : impl_{std::make_unique<Impl>(pipelines, registry)} {}
Waits::~Waits() = default;

void Waits::add(Wait wait) {
  impl_->add(std::move(wait));
}

}  // namespace lockstep::source
