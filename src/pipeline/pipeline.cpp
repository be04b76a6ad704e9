#include "lockstep/pipeline/pipeline.hpp"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <span>

#include "assignment.hpp"
#include "deliver.hpp"
#include "dispatcher.hpp"
#include "intake.hpp"
#include "lockstep/model/advice.hpp"
#include "mailbox.hpp"
#include "report.hpp"
#include "wakeup.hpp"
#include "writers.hpp"

namespace lockstep::pipeline {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

struct MessageHeaders : debezium::Headers {
  explicit MessageHeaders(const kafka::Message& of) : message{of} {}
  std::optional<std::string_view> find(const char* name) const override {
    return message.header(name);
  }
  std::vector<Header> all() const override { return message.headers(); }
  const kafka::Message& message;
};

constexpr milliseconds commit_interval{500};  // offsets to Kafka; lockstep.progress is the truth
constexpr milliseconds longest_wait{500};     // the consumer looks after its brokers when polled
constexpr seconds rejoin_interval{60};
constexpr milliseconds count_deadline{1000};
// Of the 10 s that stopping may take: the running transactions, the offsets, leaving the group.
constexpr milliseconds finish_deadline{5000};
constexpr milliseconds last_commit_deadline{2000};
constexpr milliseconds close_deadline{8500};

const std::string position_gone =
    "this offset is not in the log: retention has passed it, or the topic was made anew; changes "
    "may be missing. Take a new snapshot of the table, set next_offset in lockstep.progress to "
    "where to go on (docs/operation.md), " +
    then_reload + ". Kafka: ";
const std::string unreadable =
    "the broker's records from here on can't be read. Mend the log, or set next_offset in "
    "lockstep.progress past them (docs/operation.md), " +
    then_reload + ". Kafka: ";

}  // namespace

class Pipeline::Impl : public kafka::ConsumerListener, private Fetcher {
 public:
  Impl(PipelineConfig config, std::vector<std::unique_ptr<Sink>> sinks, std::unique_ptr<Gate> gate)
      : mailbox{wakeup_},
        config_{std::move(config)},
        gate_{std::move(gate)},
        lanes_{config_.limits, gate_ != nullptr},
        letterbox_{config_.dead_letters.per_minute},
        report_{config_.name, lanes_, ledger_, Clock::now(), config_.on_applied},
        decoder_{config_.connector, config_.keeps_origins},
        intake_{decoder_, lanes_, ledger_, letterbox_, report_, config_.keeps_origins, gate_.get()},
        late_{sinks.front()->late()},
        writers_{config_.name, std::move(sinks), [this] { wakeup_.notify(); },
                 [this](const Batch& batch) {
                   return deliver(*producer_, config_.name, batch.letters);
                 }},
        assignment_{config_.name,         lanes_, ledger_, letterbox_, decoder_, writers_,
                    config_.has_positions},
        dispatcher_{config_.name, lanes_,  ledger_, letterbox_, writers_,
                    assignment_,  report_, late_,   gate_.get()} {
    config_.consumer.wake_fd = wakeup_.fd();
    if (gate_) gate_->attach([this] { wakeup_.notify(); });
    if (late_ == nullptr) return;
    late_->attach([this] { wakeup_.notify(); },
                  [this](std::span<const Letter> letters) {
                    return deliver(*producer_, config_.name, letters);
                  });
  }

  Result<Done, std::string> run(const std::stop_token& stop) {
    const std::stop_callback wake{stop, [this] { wakeup_.notify(); }};
    if (config_.dead_letters.per_minute) {
      if (auto opened = open_producer(); !opened) return opened.error();
    }
    if (auto opened = open(); !opened) return opened.error();
    spdlog::info("pipeline started pipeline={} group={}", config_.name, config_.consumer.group);
    mailbox.open();
    auto ended = work(stop);
    mailbox.close();
    dispatcher_.give_up_skips("the pipeline has ended", now_);
    return ended;
  }

 private:
  Wakeup wakeup_;

 public:
  Mailbox mailbox;
  std::atomic<Clock::time_point> last_loop{Clock::now()};

 private:
  Result<Done, std::string> work(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      now_ = Clock::now();
      last_loop = now_;
      if (auto fatal = consumer_->fatal_error()) {
        if (auto again = join_again(*fatal); !again) return again.error();
      }
      read_mail();
      dispatcher_.take_answers(now_);
      dispatcher_.look_after(now_);
      assignment_.follow(*this, now_);
      hand_over();
      commit_if_due();
      report_.tick(consumer_.get(), now_);
      const bool more = read_some();
      hand_over();  // what has just come need not wait for the next round
      if (!more) {
        give_memory_back();
        wakeup_.wait(next_event() - Clock::now());
      }
    }
    spdlog::info("pipeline stopping pipeline={}", config_.name);
    consumer_->close(close_deadline);
    report_.tell_progress(consumer_.get(), Clock::now());
    return done;
  }

  /// Where only what is skipped becomes a letter, threads and connections of a producer come with
  /// the first.
  Result<Done, std::string> open_producer() {
    if (producer_) return done;
    auto opened = kafka::Producer::open(config_.dead_letters.producer);
    if (!opened) return opened.error().message;
    producer_ = std::move(*opened);
    return done;
  }

  Result<Done, std::string> open() {
    auto opened = kafka::Consumer::open(config_.consumer, *this);
    if (!opened) return opened.error().message;
    consumer_ = std::move(*opened);
    return done;
  }

  /// After an outage of the brokers a static member can be fenced by its own return. One new start
  /// settles that; if it happens again soon, another daemon is behind it.
  Result<Done, std::string> join_again(const std::string& cause) {
    if (joined_again_at_ && now_ - *joined_again_at_ < rejoin_interval) return cause;
    joined_again_at_ = now_;
    spdlog::warn("group membership lost, joining again pipeline={}: {}", config_.name, cause);
    forget_assignment();
    consumer_.reset();
    return open();
  }

  /// What a backlog has taken is not needed once all is quiet again.
  void give_memory_back() {
    constexpr seconds rest{5};
    if (!lanes_.idle()) {
      busy_at_ = now_;
    } else if (busy_at_ && now_ - *busy_at_ >= rest) {
      malloc_trim(0);
      busy_at_.reset();
    }
  }

  Result<Positions, kafka::KafkaError> assign(const std::vector<kafka::Consumer::Start>& starts,
                                              milliseconds deadline) override {
    return consumer_->assign(starts, deadline);
  }
  void pause(const std::vector<TopicPartition>& partitions) override {
    consumer_->pause(partitions);
  }
  void resume(const std::vector<TopicPartition>& partitions) override {
    consumer_->resume(partitions);
  }

  void hand_over() {
    if (gate_) gate_->follow(lanes_, ledger_, now_);
    dispatcher_.hand_over(now_, [this](const auto& tp) { return consumer_->known_end(tp); });
  }

  // ---- Kafka to lanes

  /// True: there may be more to read at once.
  bool read_some() {
    constexpr int records_a_round = 500;
    const auto count_partitions = [this](const std::string& topic) -> std::optional<int> {
      const auto count = consumer_->partition_count(topic, count_deadline);
      return count ? std::optional{*count} : std::nullopt;
    };
    for (int read = 0; read < records_a_round; ++read) {
      if (assignment_.reading_rests()) return false;
      if (writers_.has_answers()) return true;  // a writer that is free comes first
      const bool is_sample = report_.samples_next();
      const auto begin = is_sample ? Clock::now() : Clock::time_point{};
      const auto message = consumer_->poll(milliseconds{0});
      if (!message) return false;
      const auto fetched = is_sample ? Clock::now() : begin;
      const MessageHeaders headers{*message};
      intake_.accept({{message->topic(), message->key(), message->value(), &headers},
                      message->partition(),
                      message->offset()},
                     count_partitions, now_);
      if (is_sample) report_.sampled(fetched - begin, Clock::now() - fetched);
    }
    return true;
  }

  Clock::time_point next_event() const {
    auto next = now_ + longest_wait;
    const auto at = [&](std::optional<Clock::time_point> time) {
      if (time) next = std::min(next, *time);
    };
    if (ledger_.has_committable()) at(next_commit_);
    if (writers_.has_free(now_)) at(lanes_.next_ready_at(now_));
    at(lanes_.next_reread_at());
    at(writers_.next_free_at(now_));
    at(assignment_.next_at(now_));
    at(report_.next_tick());
    if (gate_) at(gate_->next_at());
    return next;
  }

  void on_assigned(const std::vector<TopicPartition>& partitions) override {
    intake_.forget_partition_counts();
    if (gate_) gate_->assigned(partitions, Clock::now());
    assignment_.assigned(partitions, Clock::now());
  }

  void on_revoked(bool lost) override {
    // What is queued is dropped and read again by the next owner; what runs may finish.
    if (!writers_.wait_idle(finish_deadline)) {
      spdlog::warn("transaction still running, left to the target pipeline={}", config_.name);
    }
    if (late_ != nullptr && !late_->settle(finish_deadline)) {
      spdlog::warn("not all is done that has begun, it is begun again pipeline={}", config_.name);
    }
    now_ = Clock::now();
    dispatcher_.take_answers(now_);
    if (!lost) commit_at_last();
    forget_assignment();
    spdlog::info("partitions given back pipeline={}", config_.name);
  }

  void on_end_reached(const TopicPartition& tp, NextOffset end) override {
    intake_.end_reached(tp, end);
  }

  void on_position_gone(const TopicPartition& tp, const std::string& cause) override {
    intake_.stop_at(tp, position_gone + cause, Clock::now());
  }

  void on_unreadable(const TopicPartition& tp, RecordOffset at, const std::string& cause) override {
    intake_.stop_at(tp, "offset " + std::to_string(at.value) + ": " + unreadable + cause,
                    Clock::now());
  }

  /// Back to holding nothing: buffers dropped, answers under way ignored.
  void forget_assignment() {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto lane = lanes_.change(i);
      lane->drop();
      // Its next owner finds out by itself whether it still can't go on; that may be us.
      if (lane->state() == Lane::State::stopped) lane->reopen();
    }
    ledger_.clear();
    assignment_.revoked();
    dispatcher_.give_up_skips("the table's partitions were given back meanwhile", now_);
  }

  // ---- Commands

  void read_mail() {
    for (auto& letter : mailbox.take()) {
      if (auto* const question = std::get_if<Mailbox::Question>(&letter)) {
        auto status =
            report_.status(consumer_.get(), writers_, assignment_.size(), now_, gate_.get());
        if (late_ != nullptr) add_destination(status, late_->status());
        question->answer->set_value(std::move(status));
        // What is at rest does not notice that it is cut off: who asks later is told.
        writers_.ping_if_quiet(now_);
        consumer_->ask_for_life();
      } else {
        obey(std::get<Mailbox::Order>(letter));
      }
    }
  }

  void obey(const Mailbox::Order& order) {
    if (order.command.verb != Command::Verb::skip) {
      order.answer->set_value(dispatcher_.obey(order.command, now_));
      return;
    }
    if (config_.dead_letters.producer.topic.empty()) {
      order.answer->set_value(CommandError{"the pipeline's sink has no dead-letter topic",
                                           CommandError::Kind::refused});
      return;
    }
    const auto record = dispatcher_.to_skip(order.command);
    if (!record) {
      order.answer->set_value(record.error());
      return;
    }
    if (auto opened = open_producer(); !opened) {
      order.answer->set_value(CommandError{"dead letters can't be delivered: " + opened.error(),
                                           CommandError::Kind::failed});
      return;
    }
    const auto answer = [promise = order.answer](Result<Done, CommandError> told) {
      promise->set_value(std::move(told));
    };
    dispatcher_.skip(*record, answer, now_);
  }

  // ---- Now and then

  void commit_if_due() {
    if (!ledger_.has_committable() || now_ < next_commit_ || !consumer_->reachable()) return;
    consumer_->commit(ledger_.take_committable());
    next_commit_ = now_ + commit_interval;
  }

  void commit_at_last() {
    const auto positions = ledger_.take_committable();
    const Result<Done, kafka::KafkaError> committed =
        consumer_->reachable() ? consumer_->commit(positions, last_commit_deadline)
                               : kafka::KafkaError{"kafka is unreachable"};
    if (!committed && !positions.empty()) {
      spdlog::warn("offsets not committed, lockstep.progress has them pipeline={}: {}",
                   config_.name, committed.error().message);
    }
  }

  PipelineConfig config_;
  Clock::time_point now_ = Clock::now();  // of this round
  const std::unique_ptr<Gate> gate_;      // nullptr: nothing is held back
  Lanes lanes_;
  Ledger ledger_;
  Letterbox letterbox_;
  Report report_;
  std::unique_ptr<kafka::Producer> producer_;  // of dead letters; used by the writers' threads
  debezium::Decoder decoder_;  // before the writers: batches point to its layouts and tables
  Intake intake_;
  LateSink* const late_;  // the writers' only sink, if it is one
  Writers writers_;       // before the consumer, whose end hands partitions back
  Assignment assignment_;
  Dispatcher dispatcher_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::optional<Clock::time_point> joined_again_at_;
  Clock::time_point next_commit_{};
  std::optional<Clock::time_point> busy_at_;
};

Pipeline::Pipeline(PipelineConfig config, std::vector<std::unique_ptr<Sink>> sinks,
                   std::unique_ptr<Gate> gate)
    : impl_{std::make_unique<Impl>(std::move(config), std::move(sinks), std::move(gate))} {}
Pipeline::~Pipeline() = default;

Result<Done, std::string> Pipeline::run(const std::stop_token& stop) {
  return impl_->run(stop);
}
Result<PipelineStatus, std::string> Pipeline::status(milliseconds deadline) {
  return impl_->mailbox.ask(deadline);
}
Result<Done, CommandError> Pipeline::tell(Command command, milliseconds deadline) {
  return impl_->mailbox.tell(std::move(command), deadline);
}
Clock::time_point Pipeline::last_sign_of_life() const noexcept {
  return impl_->last_loop;
}

}  // namespace lockstep::pipeline
