#include "store.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <ctime>
#include <random>
#include <utility>

#include "lockstep/batch/backoff.hpp"
#include "lockstep/model/utc.hpp"

namespace lockstep::threshold {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds redis_deadline{1000};
constexpr milliseconds look_interval{1000};  // whether what was written is still there
constexpr Backoff outage_backoff{milliseconds{100}, milliseconds{5000}};
constexpr std::size_t entry_bytes = 128;  // of a map's entry, beside its texts

// What is pending becomes what is loaded; there may be nothing.
constexpr std::string_view rename_script =
    R"(if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end)";

std::string name_of_this() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return fmt::format("{}:{}:{:08x}", host, getpid(), std::random_device{}());
}

template <class T>
std::optional<T> number_of(const std::string& text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// A hash of partitions and next offsets; what is none is left out: it is counted again.
void put_positions(Positions& positions, const std::string& topic, const Redis::Answer& answer) {
  for (std::size_t i = 0; i + 1 < answer.list.size(); i += 2) {
    const auto partition = number_of<std::int32_t>(answer.list[i].text);
    const auto next = number_of<std::int64_t>(answer.list[i + 1].text);
    if (partition && next) positions[{topic, *partition}] = NextOffset{*next};
  }
}

}  // namespace

std::optional<WallTime> from_iso(const std::string& text) {
  std::tm parts{};
  int ms = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &ms) != 7) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return std::chrono::system_clock::from_time_t(timegm(&parts)) + milliseconds{ms};
}

Store::Store(std::string pipeline, RedisServer server, std::size_t max_bytes,
             std::function<void()> wake)
    : pipeline_{std::move(pipeline)},
      server_{std::move(server)},
      max_bytes_{max_bytes},
      wake_{std::move(wake)},
      writer_{name_of_this()},
      thread_{[this] { run(); }} {}

Store::~Store() {
  {
    const Lock lock{mutex_};
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

// ---- The owner's side

void Store::assigned(const std::set<std::string>& topics) {
  const Lock lock{mutex_};
  topics_ = topics;
}

void Store::ask() {
  {
    const Lock lock{mutex_};
    is_asked_ = true;
    stored_.reset();
    unread_ = topics_;
  }
  changed_.notify_all();
}

std::optional<Gathered> Store::take_stored() {
  const Lock lock{mutex_};
  return std::exchange(stored_, std::nullopt);
}

void Store::begin(const Gathered& gathered, bool is_new) {
  {
    const Lock lock{mutex_};
    writes_ = true;
    is_asked_ = false;
    is_new_ = is_new_ || is_new;
    gathered_ = gathered;
    is_saved_ = false;
    for (const auto& [tp, until] : gathered.load_until) loading_.insert(tp.topic);
  }
  changed_.notify_all();
}

void Store::rest() {
  const Lock lock{mutex_};
  writes_ = is_asked_ = is_new_ = false;
  pending_.clear();
  steps_.clear();
  loading_.clear();
  pending_bytes_ = step_bytes_ = 0;
}

void Store::keep(const TopicPartition& tp, RecordOffset offset, std::string key, std::string json) {
  const auto text = std::make_shared<const std::string>(std::move(json));
  {
    const Lock lock{mutex_};
    auto& of_topic = pending_[tp.topic];
    const auto [at, is_first] = of_topic.try_emplace(key);
    if (is_first) {
      pending_bytes_ += key.size() + entry_bytes;
    } else {
      pending_bytes_ -= at->second.json->size();
    }
    pending_bytes_ += text->size();
    at->second = {tp.partition, offset, text};
    log({Step::What::keep, tp.topic, std::move(key), text});
  }
  changed_.notify_all();
}

void Store::forget(const TopicPartition& tp, NextOffset next) {
  const Lock lock{mutex_};
  const auto of_topic = pending_.find(tp.topic);
  if (of_topic == pending_.end()) return;
  for (auto at = of_topic->second.begin(); at != of_topic->second.end();) {
    const auto& [key, pending] = *at;
    if (pending.partition != tp.partition || pending.offset.value >= next.value) {
      ++at;
      continue;
    }
    pending_bytes_ -= key.size() + pending.json->size() + entry_bytes;
    log({Step::What::forget, tp.topic, key});
    at = of_topic->second.erase(at);
  }
}

void Store::begin_load() {
  const Lock lock{mutex_};
  auto topics = std::exchange(unread_, {});
  for (const auto& [topic, of_topic] : pending_) topics.insert(topic);
  for (const auto& topic : topics) log({Step::What::begin_load, topic});
  loading_.merge(topics);
  pending_.clear();
  pending_bytes_ = 0;
}

void Store::end_load() {
  const Lock lock{mutex_};
  for (const auto& topic : std::exchange(loading_, {})) log({Step::What::end_load, topic});
}

void Store::save(const Gathered& gathered) {
  {
    const Lock lock{mutex_};
    gathered_ = gathered;
    is_saved_ = false;
  }
  changed_.notify_all();
}

void Store::renew() {
  const Lock lock{mutex_};
  is_new_ = writes_;
  steps_.clear();
  step_bytes_ = 0;
}

std::size_t Store::bytes() const {
  const Lock lock{mutex_};
  return pending_bytes_;
}

std::string Store::outage() const {
  const Lock lock{mutex_};
  return outage_;
}

std::optional<Store::Trouble> Store::last_trouble() const {
  const Lock lock{mutex_};
  return last_trouble_;
}

void Store::log(Step step) {
  if (is_new_) return;
  step_bytes_ += step.key.size() + (step.json ? step.json->size() : 0) + entry_bytes;
  steps_.push_back(std::move(step));
  if (step_bytes_ <= max_bytes_) return;
  is_new_ = true;
  steps_.clear();
  step_bytes_ = 0;
}

// ---- The thread's side

bool Store::has_work() const {
  return is_asked_ || (writes_ && (is_new_ || !steps_.empty() || !is_saved_));
}

Store::Work Store::take_work() {
  Work work{.is_asked = is_asked_, .writes = writes_, .topics = topics_};
  if (is_asked_ || !writes_) return work;
  work.is_new = std::exchange(is_new_, false);
  if (work.is_new) {
    work.pending = pending_;
    steps_.clear();
  } else {
    work.steps = std::exchange(steps_, {});
  }
  step_bytes_ = 0;
  work.gathered = gathered_;
  is_saved_ = true;
  return work;
}

void Store::run() {
  for (bool closing = false; !closing;) {
    Work work;
    {
      const auto until =
          Clock::now() + (failures_ > 0 ? outage_backoff.after(failures_) : look_interval);
      Lock lock{mutex_};
      while (!closing_ && (failures_ > 0 || !has_work()) &&
             changed_.wait_until(lock, until) != std::cv_status::timeout) {
      }
      closing = closing_;
      if (closing && (failures_ > 0 || !writes_)) return;
      work = take_work();
    }
    if (work.is_asked || work.writes) turn(std::move(work));
  }
}

void Store::turn(Work work) {
  if (!redis_) {
    auto opened = Redis::open(server_, redis_deadline);
    if (!opened) return failed(opened.error());
    redis_.emplace(std::move(*opened));
  }
  if (work.is_asked) {
    auto stored = read(work.topics);
    if (!stored) return failed(stored.error());
    written_ = *stored;
    is_ours_ = false;
    {
      const Lock lock{mutex_};
      if (is_asked_) stored_ = std::move(*stored);
      is_asked_ = false;
    }
    wake_();
  } else {
    auto written = write(std::move(work));
    if (!written) return failed(written.error());
    if (*written) {
      written_ = **std::move(written);
    } else {
      const Lock lock{mutex_};
      is_new_ = writes_;
      steps_.clear();
    }
  }
  answered();
}

Result<Gathered, std::string> Store::read(const std::set<std::string>& topics) {
  std::vector<std::string> hashes;
  for (const auto& topic : topics) {
    hashes.push_back(key("counted", topic));
    hashes.push_back(key("load_until", topic));
  }
  redis_->put({"MGET", key("count"), key("window_start")});
  redis_->put({"HMGET", key("load"), "begun", "ended", "events"});
  for (const auto& hash : hashes) redis_->put({"HGETALL", hash});
  const auto answers = redis_->answers();
  if (!answers) return answers.error();
  for (const auto& answer : *answers) {
    if (answer.is_error) return "what is kept can't be read: " + answer.text;
  }
  Gathered stored;
  const auto& counts = answers->at(0).list;
  stored.count = number_of<std::uint64_t>(counts.at(0).text).value_or(0);
  stored.window_start = from_iso(counts.at(1).text);
  const auto& load = answers->at(1).list;
  const auto begun = from_iso(load.at(0).text);
  const auto events = number_of<std::uint64_t>(load.at(2).text);
  if (begun && events) stored.load = Load{*begun, from_iso(load.at(1).text), *events};
  std::size_t at = 2;
  for (const auto& topic : topics) {
    put_positions(stored.counted, topic, answers->at(at++));
    put_positions(stored.load_until, topic, answers->at(at++));
  }
  return stored;
}

Result<std::optional<Gathered>, std::string> Store::write(Work work) {
  const auto before = work.is_new ? Gathered{} : written_;
  const bool looks = is_ours_ && !work.is_new;
  const auto written_by = key("written_by");
  if (looks) redis_->put({"GET", written_by});
  const bool changes = !looks || !work.steps.empty() || !(before == work.gathered);
  if (changes) {
    redis_->put({"MULTI"});
    work.is_new ? put_all(work) : put_steps(work);
    put_difference(before, work.gathered);
    if (!looks) redis_->put({"SET", written_by, writer_});
    redis_->put({"EXEC"});
  }
  const auto answers = redis_->answers();
  if (!answers) return answers.error();
  for (const auto& answer : *answers) {
    if (!answer.is_error) continue;
    if (work.is_new) return "refused: " + answer.text;
    spdlog::debug("redis refuses a step, writing all anew pipeline={}: {}", pipeline_, answer.text);
    return std::optional<Gathered>{};
  }
  if (looks && answers->front().is_nil) {
    spdlog::warn("what was gathered is gone from redis, writing it anew pipeline={}", pipeline_);
    return std::optional<Gathered>{};
  }
  if (looks && answers->front().text != writer_) {
    spdlog::warn(
        "another daemon has written what this one has gathered, writing it anew; let one daemon at "
        "a time have the pipeline's partitions pipeline={} other={}",
        pipeline_, answers->front().text);
    return std::optional<Gathered>{};
  }
  is_ours_ = true;
  return std::optional{std::move(work.gathered)};
}

void Store::put_steps(const Work& work) {
  for (const auto& step : work.steps) {
    const auto pending = key("pending", step.topic);
    const auto loading = key("loading", step.topic);
    switch (step.what) {
      case Step::What::keep:
        redis_->put({"HSET", pending, step.key, *step.json});
        break;
      case Step::What::forget:
        redis_->put({"HDEL", pending, step.key});
        break;
      case Step::What::begin_load:
        redis_->put({"EVAL", rename_script, "2", pending, loading});
        break;
      case Step::What::end_load:
        redis_->put({"DEL", loading});
        break;
    }
  }
}

void Store::put_all(const Work& work) {
  redis_->put({"DEL", key("count"), key("window_start"), key("load")});
  for (const auto& topic : work.topics) {
    redis_->put({"DEL", key("pending", topic), key("loading", topic), key("counted", topic),
                 key("load_until", topic)});
  }
  for (const auto& [topic, of_topic] : work.pending) {
    const auto name = key("pending", topic);
    for (const auto& [row, pending] : of_topic) redis_->put({"HSET", name, row, *pending.json});
  }
}

void Store::put_difference(const Gathered& before, const Gathered& now) {
  redis_->put({"SET", key("count"), std::to_string(now.count)});
  if (now.window_start != before.window_start) {
    const auto name = key("window_start");
    now.window_start ? redis_->put({"SET", name, utc_text(*now.window_start)})
                     : redis_->put({"DEL", name});
  }
  if (now.load && now.load != before.load) {
    const auto& [begun, ended, events] = *now.load;
    redis_->put({"HSET", key("load"), "begun", utc_text(begun), "ended",
                 ended ? utc_text(*ended) : std::string{}, "events", std::to_string(events)});
  }
  put_difference("counted", before.counted, now.counted);
  put_difference("load_until", before.load_until, now.load_until);
}

void Store::put_difference(std::string_view name, const Positions& before, const Positions& now) {
  for (const auto& [tp, next] : now) {
    const auto known = before.find(tp);
    if (known != before.end() && known->second == next) continue;
    redis_->put(
        {"HSET", key(name, tp.topic), std::to_string(tp.partition), std::to_string(next.value)});
  }
  for (const auto& [tp, next] : before) {
    if (now.contains(tp)) continue;
    redis_->put({"HDEL", key(name, tp.topic), std::to_string(tp.partition)});
  }
}

void Store::failed(const std::string& cause) {
  redis_.reset();
  const bool is_first = failures_++ == 0;
  if (is_first) outage_since_ = Clock::now();
  std::string known;
  {
    const Lock lock{mutex_};
    known = std::exchange(outage_, cause);
    last_trouble_ = Trouble{cause, std::chrono::system_clock::now()};
    is_new_ = is_new_ || writes_;
    steps_.clear();
    step_bytes_ = 0;
  }
  if (cause == known) return;  // a new cause is news, the same one is not
  spdlog::warn("redis unavailable, gathering goes on without it pipeline={}: {}", pipeline_, cause);
}

void Store::answered() {
  if (std::exchange(failures_, 0) == 0) return;
  {
    const Lock lock{mutex_};
    outage_.clear();
  }
  spdlog::info("redis is back pipeline={} after_ms={}", pipeline_,
               std::chrono::duration_cast<milliseconds>(Clock::now() - outage_since_).count());
}

std::string Store::key(std::string_view name) const {
  return fmt::format("lockstep:{}:{}", pipeline_, name);
}

std::string Store::key(std::string_view name, std::string_view topic) const {
  return fmt::format("lockstep:{}:{}:{}", pipeline_, name, topic);
}

}  // namespace lockstep::threshold
