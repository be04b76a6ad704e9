#include "schedule.hpp"

#include <algorithm>

namespace lockstep::webhook {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

namespace {

// Calls may begin so much too early, since who begins them is woken a little late. It is taken off
// again, so that no second has too many.
constexpr milliseconds slack{10};

nanoseconds interval_of(std::size_t rate) {
  return nanoseconds{std::chrono::seconds{1} + slack} / static_cast<std::int64_t>(rate);
}

}  // namespace

void Schedule::add(Id id, std::string_view topic, std::string_view key, bool alone) {
  auto of_topic = topics_.find(topic);
  if (of_topic == topics_.end()) of_topic = topics_.emplace(topic, Topic{}).first;
  std::string chain{topic};
  chain += '\0';
  chain += key;
  items_.emplace(id, Item{.topic = &of_topic->second, .chain = std::move(chain), .alone = alone});
  of_topic->second.barred.push_back(id);
  let_in(of_topic->second);
}

void Schedule::let_in(Topic& topic) {
  while (!topic.barred.empty() && !topic.is_barred) {
    const Id id = topic.barred.front();
    Item& item = items_.at(id);
    if (item.alone && topic.entered > 0) return;
    topic.barred.pop_front();
    topic.is_barred = item.alone;
    enter(id, item);
  }
}

void Schedule::enter(Id id, Item& item) {
  ++item.topic->entered;
  auto& chain = chains_[item.chain];
  chain.push_back(id);
  item.place = chain.size() == 1 ? Place::ready : Place::queued;
  if (item.place == Place::ready) ready_.insert(id);
}

void Schedule::leave(Id id) {
  const auto found = items_.find(id);
  Item& item = found->second;
  switch (item.place) {
    case Place::barred:
    case Place::queued:
      break;
    case Place::ready:
      ready_.erase(id);
      break;
    case Place::waiting:
      waiting_.erase({item.due, id});
      break;
    case Place::in_flight:
      --in_flight_;
      break;
  }
  Topic& topic = *item.topic;
  if (item.place == Place::barred) {
    topic.barred.erase(std::find(topic.barred.begin(), topic.barred.end(), id));
  } else {
    const auto chain = chains_.find(item.chain);
    auto& ids = chain->second;
    ids.erase(std::find(ids.begin(), ids.end(), id));
    if (ids.empty()) {
      chains_.erase(chain);
    } else if (Item& head = items_.at(ids.front()); head.place == Place::queued) {
      head.place = Place::ready;
      ready_.insert(ids.front());
    }
    --topic.entered;
    if (item.alone) topic.is_barred = false;
  }
  if (probe_ == id) probe_.reset();
  items_.erase(found);
  let_in(topic);
}

std::vector<Schedule::Id> Schedule::begin(Time now) {
  std::vector<Id> begun;
  wake_due(now);
  if (now < rests_until_) return begun;
  if (outage_) {
    const bool has_one = !ready_.empty() || !waiting_.empty();
    if (probe_ || now < outage_->next_try || !has_one) return begun;
    probe_ = next_probe();
    begun.push_back(*probe_);
    start(*probe_);
    return begun;
  }
  while (!ready_.empty() && in_flight_ < limits_.max_in_flight) {
    if (limits_.rate != 0) {
      if (now + slack < next_begin_) break;
      next_begin_ = std::max(next_begin_, now) + interval_of(limits_.rate);
    }
    begun.push_back(*ready_.begin());
    start(*ready_.begin());
  }
  return begun;
}

void Schedule::start(Id id) {
  Item& item = items_.at(id);
  if (item.place == Place::ready) ready_.erase(id);
  if (item.place == Place::waiting) waiting_.erase({item.due, id});
  if (item.failures == 0) item.answers_then = answers_;
  item.place = Place::in_flight;
  ++in_flight_;
}

/// One that has failed least: it may be the others' own fault that they do.
Schedule::Id Schedule::next_probe() const {
  std::optional<Id> best;
  const auto consider = [&](Id id) {
    if (!best ||
        std::pair{items_.at(id).failures, id} < std::pair{items_.at(*best).failures, *best})
      best = id;
  };
  for (const Id id : ready_) consider(id);
  for (const auto& [due, id] : waiting_) consider(id);
  return *best;
}

std::optional<Schedule::Time> Schedule::next_at(Time now) const {
  std::optional<Time> next;
  if (outage_) {
    if (!probe_ && (!ready_.empty() || !waiting_.empty())) next = outage_->next_try;
  } else if (in_flight_ < limits_.max_in_flight) {
    if (!waiting_.empty()) next = waiting_.begin()->first;
    if (!ready_.empty()) next = now;
    if (next && limits_.rate != 0) next = std::max(*next, next_begin_);
  }
  if (!next) return std::nullopt;
  return std::max(*next, rests_until_);
}

void Schedule::answered(Id id) {
  ++answers_;
  end_outage();
  leave(id);
}

bool Schedule::failed(Id id, Time now) {
  Item& item = items_.at(id);
  ++item.failures;
  if (answers_ > item.answers_then) ++item.strikes;
  item.answers_then = answers_;
  if (outage_ && probe_ == id) {
    ++outage_->tries;
    outage_->next_try = now + jittered(probe_backoff.after(outage_->tries));
  } else if (!outage_ && ++failures_in_row_ >= failures_of_outage) {
    outage_ = {now, now + jittered(probe_backoff.after(1)), 1};
  }
  if (item.strikes >= most_strikes) {
    leave(id);
    return false;
  }
  put_off(id, item, now + jittered(backoff.after(item.failures)));
  return true;
}

void Schedule::rest(Id id, Time now, std::chrono::seconds for_s) {
  rests_until_ = std::max(rests_until_, now + for_s);
  end_outage();
  put_off(id, items_.at(id), rests_until_);
}

void Schedule::put_off(Id id, Item& item, Time until) {
  --in_flight_;
  if (probe_ == id) probe_.reset();
  item.place = Place::waiting;
  item.due = until;
  waiting_.insert({until, id});
}

void Schedule::drop(Id id) {
  leave(id);
}

void Schedule::wake_due(Time now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    const Id id = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    items_.at(id).place = Place::ready;
    ready_.insert(id);
  }
}

/// Who waits for a backoff need not wait it out.
void Schedule::end_outage() {
  failures_in_row_ = 0;
  if (!outage_) return;
  outage_.reset();
  probe_.reset();
  wake_due(Time::max());
}

milliseconds Schedule::jittered(milliseconds longest) {
  return milliseconds{
      std::uniform_int_distribution<std::int64_t>{longest.count() / 2, longest.count()}(random_)};
}

}  // namespace lockstep::webhook
