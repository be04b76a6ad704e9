#include "lockstep/webhook/sink.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "caller.hpp"
#include "lockstep/batch/flood.hpp"
#include "lockstep/batch/letterbox.hpp"
#include "lockstep/batch/portions.hpp"
#include "lockstep/model/mutex.hpp"
#include "request.hpp"
#include "schedule.hpp"

namespace lockstep::webhook {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t most_calls = 10'000;  // that wait, are under way, or become letters
constexpr milliseconds longest_wait_for_room{1000};
constexpr milliseconds redeliver_after{1000};
constexpr std::size_t most_letters_at_once = 500;

/// A change on its way, with what a dead letter would need of its record.
struct Call {
  Slice portion;
  RecordOffset offset;
  std::uint64_t generation = 0;
  std::string key;  ///< what it stays in order with
  bool alone = false;
  std::string body;
  std::optional<std::string> record_key;
  std::optional<std::string> record_value;
  std::vector<std::pair<std::string, std::optional<std::string>>> record_headers;
  std::string error;  ///< why it is a letter
  bool was_tried = false;
  std::size_t bytes = 0;

  const std::string& topic() const noexcept { return portion.partition.topic; }
};

std::size_t bytes_of(const Call& call) {
  std::size_t bytes = sizeof(Call) + call.key.size() + call.body.size();
  bytes += call.record_key.value_or("").size();
  if (call.record_value) bytes += call.record_value->size();
  for (const auto& [name, value] : call.record_headers) {
    bytes += name.size() + (value ? value->size() : 0);
  }
  return bytes;
}

std::optional<std::string> owned(std::optional<std::string_view> text) {
  return text ? std::optional<std::string>{*text} : std::nullopt;
}

/// Without a key nothing says which row it is: then the partition's order is kept.
std::string order_key_of(const Change& change) {
  if (change.op == Op::truncate || !change.has_key || change.key_layout == nullptr) {
    return std::to_string(change.partition);
  }
  return identity_of(*change.key_layout, change.key);
}

void join(std::vector<Slice>& slices, Slice slice) {
  const bool follows = !slices.empty() && slices.back().partition == slice.partition &&
                       slices.back().next == slice.expected;
  if (follows) {
    slices.back().next = slice.next;
  } else {
    slices.push_back(std::move(slice));
  }
}

class WebhookSink : public Sink, public LateSink {
 public:
  explicit WebhookSink(const SinkConfig& config)
      : config_{config},
        destination_{destination_of(config.route.url)},
        caller_{config.route},
        schedule_{{config.route.max_in_flight, config.route.rate}, std::random_device{}()},
        calling_{[this] { make_calls(); }},
        delivering_{[this] { deliver_letters(); }} {}

  ~WebhookSink() override {
    {
      const Lock lock{mutex_};
      closing_ = true;
    }
    caller_.wake();
    changed_.notify_all();
    calling_.join();
    delivering_.join();
  }

  Result<SinkPositions, SinkError> positions(const std::vector<TopicPartition>&) override {
    return SinkPositions{};
  }

  Result<Done, SinkError> apply(const Batch& batch) override {
    if (!await_room()) return SinkError{SinkError::Kind::busy, why_full()};
    LateAnswer passed{.slices = {}, .generation = batch.generation};
    auto calls = calls_of(batch, passed);
    {
      const Lock lock{mutex_};
      rests_ = false;
      if (!is_wanted(topic_of(batch), batch.generation)) return done;
      for (auto& call : calls) take(std::move(call));
      if (!passed.slices.empty()) answers_.push_back(std::move(passed));
    }
    caller_.wake();
    wake_();
    changed_.notify_all();  // there may be letters
    return done;
  }

  LateSink* late() noexcept override { return this; }

  void attach(std::function<void()> wake, Deliver deliver) override {
    wake_ = std::move(wake);
    deliver_ = std::move(deliver);
  }

  std::vector<LateAnswer> take_answers() override {
    const Lock lock{mutex_};
    auto answers = std::exchange(answers_, {});
    for (auto& refusal : std::exchange(refusals_, {})) answers.push_back(std::move(refusal));
    return answers;
  }

  void forget(const std::string& topic, std::uint64_t generation) override {
    {
      const Lock lock{mutex_};
      generations_[topic] = generation;
      refused_.erase(topic);
      drop_waiting(topic);
    }
    changed_.notify_all();
  }

  bool settle(milliseconds timeout) override {
    const auto deadline = Clock::now() + timeout;
    Lock lock{mutex_};
    rests_ = true;
    while (schedule_.in_flight() > 0 || !letters_.empty() || delivers_) {
      if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) {
        return schedule_.in_flight() == 0 && letters_.empty() && !delivers_;
      }
    }
    return true;
  }

  DestinationStatus status() const override {
    const Lock lock{mutex_};
    DestinationStatus status = counts_;
    status.name = destination_;
    status.in_flight = schedule_.in_flight();
    status.max_in_flight = config_.route.max_in_flight;
    status.waiting = schedule_.not_in_flight();
    const auto now = Clock::now();
    const auto at = [&](Clock::time_point time) {
      return std::chrono::system_clock::now() +
             std::chrono::duration_cast<std::chrono::system_clock::duration>(time - now);
    };
    if (const auto& outage = schedule_.outage()) {
      status.outage = destination_ + " takes no calls: " + last_error();
      status.breaker = schedule_.is_probing() ? Breaker::half_open : Breaker::open;
      if (!schedule_.is_probing()) status.next_call = at(outage->next_try);
    } else if (schedule_.rests_until() > now) {
      status.breaker = Breaker::throttled;
      status.next_call = at(schedule_.rests_until());
    }
    return status;
  }

 private:
  static const std::string& topic_of(const Batch& batch) {
    return batch.slices.front().partition.topic;
  }

  // ---- Taking

  bool has_room() const LOCKSTEP_REQUIRES(mutex_) {
    return calls_.size() < most_calls && bytes_ < config_.max_bytes;
  }

  bool await_room() {
    const auto deadline = Clock::now() + longest_wait_for_room;
    Lock lock{mutex_};
    while (!has_room()) {
      if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) return has_room();
    }
    return true;
  }

  std::string last_error() const LOCKSTEP_REQUIRES(mutex_) {
    return counts_.last_failure ? counts_.last_failure->cause : std::string{};
  }

  std::string why_full() const {
    const Lock lock{mutex_};
    std::string text = std::to_string(calls_.size()) + " changes wait for " + destination_ + ", " +
                       std::to_string(schedule_.in_flight()) + " calls are under way";
    if (const auto& outage = schedule_.outage()) {
      const auto since = std::chrono::duration_cast<seconds>(Clock::now() - outage->since);
      text += "; none has succeeded for " + std::to_string(since.count()) + " s";
    }
    if (counts_.last_failure) text += "; the last error: " + last_error();
    return text;
  }

  /// Of those that the route wants; the others are in `passed`.
  std::vector<Call> calls_of(const Batch& batch, LateAnswer& passed) {
    std::vector<Call> calls;
    auto portions = portions_of(batch);
    for (std::size_t i = 0; i < batch.changes.size(); ++i) {
      const Change& change = batch.changes[i];
      const Origin& origin = batch.origins[i];
      const auto matched = match(config_.route.match, change, origin);
      if (matched.fit == Fit::yes) {
        calls.push_back(call_of(batch, change, origin, std::move(portions.of_changes[i])));
        continue;
      }
      ++passed.skipped[matched.fit == Fit::no ? "no_route" : "unroutable"];
      if (matched.fit != Fit::no) warn(matched, change);
      join(passed.slices, std::move(portions.of_changes[i]));
    }
    for (auto& slice : portions.without_changes) passed.slices.push_back(std::move(slice));
    return calls;
  }

  Call call_of(const Batch& batch, const Change& change, const Origin& origin, Slice portion) {
    Call call;
    call.portion = std::move(portion);
    call.offset = change.offset;
    call.generation = batch.generation;
    call.key = order_key_of(change);
    call.alone = change.op == Op::truncate;
    call.record_key = owned(origin.key);
    call.record_value = owned(origin.value);
    for (const auto& header : origin.headers) {
      call.record_headers.emplace_back(header.name, owned(header.value));
    }
    auto body = body_of(config_.route.body, change, origin, call.topic());
    if (body) {
      call.body = *std::move(body);
    } else {
      call.error = body.error().cause;
    }
    call.bytes = bytes_of(call);
    return call;
  }

  /// Once for each column of each table.
  void warn(const Match& matched, const Change& change) {
    const auto table = to_string(*change.relation);
    if (!warned_.insert(table + "." + matched.column).second) return;
    if (matched.fit == Fit::no_column) {
      spdlog::warn("{} has no column {}: its changes go to no route that asks for it pipeline={}",
                   table, matched.column, config_.pipeline);
    } else {
      spdlog::warn(
          "a change of {} does not tell {}, it goes to no route that asks for it: ALTER TABLE {} "
          "REPLICA IDENTITY FULL makes the source send it pipeline={}",
          table, matched.column, table, config_.pipeline);
    }
  }

  bool is_wanted(const std::string& topic, std::uint64_t generation) const
      LOCKSTEP_REQUIRES(mutex_) {
    const auto wanted = generations_.find(topic);
    return !refused_.contains(topic) &&
           (wanted == generations_.end() || generation >= wanted->second);
  }

  void take(Call call) LOCKSTEP_REQUIRES(mutex_) {
    if (!is_wanted(call.topic(), call.generation)) return;  // refused with one before it
    const auto id = next_id_++;
    bytes_ += call.bytes;
    const Call& kept = calls_.emplace(id, std::move(call)).first->second;
    if (kept.error.empty()) {
      schedule_.add(id, kept.topic(), kept.key, kept.alone);
    } else {
      condemn(id, kept.error);
    }
  }

  /// What is not wanted any more of those that have not begun.
  void drop_waiting(const std::string& topic) LOCKSTEP_REQUIRES(mutex_) {
    for (auto at = calls_.begin(); at != calls_.end();) {
      const Call& call = at->second;
      const bool waits = call.error.empty() && !schedule_.is_in_flight(at->first);
      if (call.topic() != topic || is_wanted(topic, call.generation) || !waits) {
        ++at;
        continue;
      }
      schedule_.drop(at->first);
      bytes_ -= call.bytes;
      at = calls_.erase(at);
    }
  }

  void drop(Schedule::Id id) LOCKSTEP_REQUIRES(mutex_) {
    const auto call = calls_.find(id);
    bytes_ -= call->second.bytes;
    calls_.erase(call);
  }

  // ---- Calling

  void make_calls() {
    while (const auto until = begin_calls()) {
      const auto finished = caller_.wait(*until);
      if (!finished.empty()) judge_all(finished);
    }
  }

  /// Until when to wait at most; nullopt: it is time to end.
  std::optional<Clock::time_point> begin_calls() {
    struct Begun {
      Schedule::Id id;
      const Call* call;  // stays where it is while it is in flight
    };
    std::vector<Begun> begun;
    auto until = Clock::time_point::max();
    {
      const Lock lock{mutex_};
      if (closing_) return std::nullopt;
      const auto now = Clock::now();
      if (!rests_) {
        for (const auto id : schedule_.begin(now)) {
          Call& call = calls_.at(id);
          if (std::exchange(call.was_tried, true)) ++counts_.retries;
          begun.push_back({id, &call});
        }
        until = schedule_.next_at(now).value_or(until);
      }
    }
    for (const auto& [id, call] : begun) {
      caller_.begin(id, call->body,
                    idempotency_key(config_.pipeline, call->portion.partition, call->offset));
    }
    return until;
  }

  void judge_all(const std::vector<Caller::Finished>& finished) {
    {
      const Lock lock{mutex_};
      const auto before = schedule_.outage();
      for (const auto& [id, outcome] : finished) {
        ++counts_.calls[static_cast<std::size_t>(kind_of(outcome))];
        counts_.duration.add(std::chrono::duration<double>(outcome.took).count());
        take_verdict(id, judge(outcome));
      }
      tell_outage(before);
    }
    changed_.notify_all();
    wake_();
  }

  void take_verdict(Schedule::Id id, const Verdict& verdict) LOCKSTEP_REQUIRES(mutex_) {
    const auto now = Clock::now();
    if (verdict.kind != Verdict::Kind::done) {
      counts_.last_failure = {verdict.cause, std::chrono::system_clock::now()};
    }
    switch (verdict.kind) {
      case Verdict::Kind::done:
        schedule_.answered(id);
        answer(id, false);
        return;
      case Verdict::Kind::undeliverable:
        schedule_.answered(id);
        condemn(id, verdict.cause);
        return;
      case Verdict::Kind::rest:
        if (schedule_.rests_until() <= now) {
          spdlog::info("destination wants no calls for a while pipeline={} destination={} for_s={}",
                       config_.pipeline, destination_, verdict.rest.count());
        }
        schedule_.rest(id, now, verdict.rest);
        drop_if_unwanted(id);
        return;
      case Verdict::Kind::again:
        if (!schedule_.failed(id, now)) {
          condemn(id,
                  "failed again and again while other calls succeeded; at last: " + verdict.cause);
        } else {
          drop_if_unwanted(id);
        }
        return;
    }
  }

  /// It was in flight when the others of its generation were dropped.
  void drop_if_unwanted(Schedule::Id id) LOCKSTEP_REQUIRES(mutex_) {
    const Call& call = calls_.at(id);
    if (is_wanted(call.topic(), call.generation)) return;
    schedule_.drop(id);
    drop(id);
  }

  /// Makes a letter of a call that is not in the schedule, or, of one that is too many, the end of
  /// its topic.
  void condemn(Schedule::Id id, const std::string& error) LOCKSTEP_REQUIRES(mutex_) {
    Call& call = calls_.at(id);
    const std::string topic = call.topic();
    if (!is_wanted(topic, call.generation)) return drop(id);
    auto& guard =
        guards_.try_emplace(topic, FloodGuard{config_.dead_letters_per_minute}).first->second;
    if (guard.admit(Clock::now())) {
      call.error = error;
      letters_.push_back(id);
      return;
    }
    LateAnswer answer{.slices = {}, .generation = call.generation};
    answer.refusal = {{call.portion.partition, call.offset},
                      flood_cause(error, config_.dead_letters_per_minute)};
    refusals_.push_back(std::move(answer));
    drop(id);
    refused_.insert(topic);
    drop_waiting(topic);
  }

  void answer(Schedule::Id id, bool is_letter) LOCKSTEP_REQUIRES(mutex_) {
    const auto found = calls_.find(id);
    Call& call = found->second;
    auto to = std::find_if(answers_.begin(), answers_.end(), [&](const LateAnswer& one) {
      return one.generation == call.generation &&
             one.slices.front().partition.topic == call.topic();
    });
    if (to == answers_.end()) {
      to = answers_.insert(to, LateAnswer{.slices = {}, .generation = call.generation});
    }
    if (is_letter) {
      ++to->letters;
    } else {
      ++to->changes;
      if (call.portion.source_ts_us != 0) {
        to->commit_times.push_back({call.portion.source_ts_us, 1});
      }
    }
    to->slices.push_back(std::move(call.portion));
    bytes_ -= call.bytes;
    calls_.erase(found);
  }

  void tell_outage(const std::optional<Schedule::Outage>& before) const LOCKSTEP_REQUIRES(mutex_) {
    const auto& now = schedule_.outage();
    if (now && !before) {
      spdlog::warn(
          "destination takes no calls, one at a time is tried until it does pipeline={} "
          "destination={} waiting={} cause: {}",
          config_.pipeline, destination_, calls_.size(), last_error());
    } else if (before && !now) {
      spdlog::info("destination is back pipeline={} destination={} after_ms={}", config_.pipeline,
                   destination_,
                   std::chrono::duration_cast<milliseconds>(Clock::now() - before->since).count());
    }
  }

  // ---- Letters

  void deliver_letters() {
    std::string told;  // the cause of the last failure, once
    for (;;) {
      std::vector<Schedule::Id> ids;
      std::vector<const Call*> calls;  // stay where they are until they are answered
      {
        Lock lock{mutex_};
        while (!closing_ && letters_.empty()) changed_.wait(lock);
        if (closing_) return;
        delivers_ = true;
        while (!letters_.empty() && ids.size() < most_letters_at_once) {
          ids.push_back(letters_.front());
          calls.push_back(&calls_.at(letters_.front()));
          letters_.pop_front();
        }
      }
      const auto delivered = deliver(calls);
      {
        Lock lock{mutex_};
        delivers_ = false;
        if (delivered) {
          for (const auto id : ids) answer(id, true);
        } else {
          letters_.insert(letters_.begin(), ids.begin(), ids.end());
          const auto again_at = Clock::now() + redeliver_after;
          while (!closing_ && changed_.wait_until(lock, again_at) != std::cv_status::timeout) {
          }
        }
      }
      if (!delivered && delivered.error() != told) {
        spdlog::warn("dead letters can't be delivered, trying until they are pipeline={}: {}",
                     config_.pipeline, delivered.error());
      }
      told = delivered ? std::string{} : delivered.error();
      changed_.notify_all();
      wake_();
    }
  }

  Result<Done, std::string> deliver(const std::vector<const Call*>& calls) const {
    std::deque<std::vector<Header>> headers;  // that letters point to
    std::vector<Letter> letters;
    for (const Call* const call : calls) {
      auto& of_call = headers.emplace_back();
      for (const auto& [name, value] : call->record_headers) of_call.push_back({name, value});
      letters.push_back({.stage = Letter::Stage::apply,
                         .topic = call->topic(),
                         .partition = call->portion.partition.partition,
                         .offset = call->offset,
                         .key = call->record_key,
                         .value = call->record_value,
                         .headers = of_call,
                         .error = call->error,
                         .row_key = {}});
    }
    auto delivered = deliver_(letters);
    if (delivered) {
      const Call& last = *calls.back();
      spdlog::warn(
          "undeliverable changes are in the dead-letter topic pipeline={} destination={} count={} "
          "last={} cause: {}",
          config_.pipeline, destination_, calls.size(),
          to_string(last.portion.partition, last.offset), last.error);
    }
    return delivered;
  }

  const SinkConfig config_;
  const std::string destination_;
  std::function<void()> wake_;
  Deliver deliver_;
  std::set<std::string> warned_;  // of the writer's thread
  Caller caller_;                 // of the thread that calls

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  Schedule schedule_ LOCKSTEP_GUARDED_BY(mutex_);
  std::unordered_map<Schedule::Id, Call> calls_ LOCKSTEP_GUARDED_BY(mutex_);
  Schedule::Id next_id_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
  std::size_t bytes_ LOCKSTEP_GUARDED_BY(mutex_) = 0;
  std::deque<Schedule::Id> letters_ LOCKSTEP_GUARDED_BY(mutex_);
  bool delivers_ LOCKSTEP_GUARDED_BY(mutex_) = false;             ///< some of them are on their way
  std::vector<LateAnswer> answers_ LOCKSTEP_GUARDED_BY(mutex_);   ///< none is a refusal
  std::vector<LateAnswer> refusals_ LOCKSTEP_GUARDED_BY(mutex_);  ///< all are
  /// By topic: what is older is not wanted any more.
  std::map<std::string, std::uint64_t> generations_ LOCKSTEP_GUARDED_BY(mutex_);
  std::map<std::string, FloodGuard> guards_ LOCKSTEP_GUARDED_BY(mutex_);  ///< by topic
  std::set<std::string> refused_ LOCKSTEP_GUARDED_BY(mutex_);  ///< topics, until forgotten
  DestinationStatus counts_ LOCKSTEP_GUARDED_BY(mutex_);  ///< all else of it is told by status()
  bool rests_ LOCKSTEP_GUARDED_BY(mutex_) = false;
  bool closing_ LOCKSTEP_GUARDED_BY(mutex_) = false;

  std::thread calling_;  // last: they use all of the above
  std::thread delivering_;
};

}  // namespace

std::unique_ptr<Sink> make_sink(const SinkConfig& config) {
  return std::make_unique<WebhookSink>(config);
}

}  // namespace lockstep::webhook
