#include "lockstep/pipeline/pipeline.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "lockstep/debezium/decoder.hpp"
#include "worker.hpp"

namespace lockstep::pipeline {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds commit_interval{500};    // offsets to Kafka; lockstep.progress is the truth
constexpr seconds report_interval{10};          // the progress line, when something was applied
constexpr seconds stopped_reminder{60};         // and when a table stands still
constexpr milliseconds longest_poll{100};       // so that answers of the worker don't lie about
constexpr milliseconds busy_poll{5};            // an answer of the worker is awaited
constexpr milliseconds full_before_pause{500};  // pausing drops what was fetched: not for a moment
constexpr milliseconds restart_delay{1000};
constexpr seconds rejoin_interval{60};
constexpr milliseconds kafka_deadline{5000};
// Of the 10 s that stopping may take: the running transaction, the offsets, leaving the group.
constexpr milliseconds finish_deadline{5000};
constexpr milliseconds last_commit_deadline{2000};
constexpr milliseconds close_deadline{8500};

milliseconds until(Clock::time_point when) {
  return std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(when - Clock::now()));
}

double seconds_since(std::int64_t source_ts_us) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return static_cast<double>(now_us - source_ts_us) / 1e6;
}

/// What one topic's changes go through. Kept while the daemon runs, whoever holds its partitions.
struct Table {
  std::string topic;
  std::unique_ptr<Batch> filling;
  /// Raised when what was handed over no longer counts: answers to older chains are ignored.
  std::uint64_t chain = 0;
  std::string stopped_by;  ///< why the table stands still; empty: it does not
};

struct Partition {
  std::size_t table = 0;
  /// The next offset that is wanted; lower ones are dropped. nullopt: whatever comes first.
  std::optional<NextOffset> position;
  /// What the sink's position will be once all that was begun is applied.
  std::optional<NextOffset> chained;
  /// What the sink's position is, as far as it has answered.
  std::optional<NextOffset> applied;
  /// The end of the log when it was last reached.
  std::optional<NextOffset> read_end;
  std::optional<std::size_t> slice;  ///< index into table.filling->slices
};

struct Counters {
  std::uint64_t records = 0;  ///< applied or skipped
  std::uint64_t changes = 0;
  std::uint64_t batches = 0;
  std::uint64_t already_read = 0;  ///< lower offset than wanted: dropped
  std::map<debezium::SkipRule, std::uint64_t> skipped;
};

}  // namespace

class Pipeline::Impl : public kafka::ConsumerListener {
 public:
  Impl(PipelineConfig config, std::unique_ptr<Sink> sink)
      : config_{std::move(config)}, worker_{config_.name, std::move(sink)} {}

  Result<Done, std::string> run(const std::stop_token& stop) {
    if (auto opened = open(); !opened) return opened.error();
    spdlog::info("pipeline started pipeline={} group={}", config_.name, config_.consumer.group);
    while (!stop.stop_requested()) {
      last_loop_ = Clock::now();
      if (auto fatal = consumer_->fatal_error()) {
        if (auto again = join_again(*fatal); !again) return again.error();
      }
      for (auto& answer : worker_.take()) {
        std::visit([&](auto& a) { handle(a); }, answer);
      }
      start_if_due();
      hand_over();
      if (over_budget()) {
        worker_.wait(longest_poll);
        pause_if_long_full();
      } else {
        resume_if_paused();
      }
      if (!over_budget() || paused_) read_some();  // paused: for the group's events only
      commit_if_due();
      report_if_due();
    }
    spdlog::info("pipeline stopping pipeline={}", config_.name);
    consumer_->close(close_deadline);
    report();
    return done;
  }

  std::atomic<Clock::time_point> last_loop_{Clock::now()};

 private:
  Result<Done, std::string> open() {
    auto opened = kafka::Consumer::open(config_.consumer, *this);
    if (!opened) return opened.error().message;
    consumer_ = std::move(*opened);
    return done;
  }

  /// After an outage of the brokers a static member can be fenced by its own return. One new start
  /// settles that; if it happens again soon, another daemon is behind it.
  Result<Done, std::string> join_again(const std::string& cause) {
    const auto now = Clock::now();
    if (joined_again_at_ && now - *joined_again_at_ < rejoin_interval) return cause;
    joined_again_at_ = now;
    spdlog::warn("group membership lost, joining again pipeline={}: {}", config_.name, cause);
    forget_assignment();
    assigned_.clear();
    to_commit_.clear();
    consumer_.reset();
    return open();
  }

  // ---- Kafka to batches

  void read_some() {
    constexpr int records_a_round = 1000;
    auto timeout = next_wait();
    int read = 0;
    do {
      const auto message = consumer_->poll(timeout);
      if (!message) return;
      accept(*message);
      timeout = milliseconds{0};
    } while (++read < records_a_round && !over_budget());
  }

  milliseconds next_wait() const {
    if (!awaiting_start_.empty()) return busy_poll;
    auto wait = longest_poll;
    for (const auto& table : tables_) {
      if (table->filling) wait = std::min(wait, until(due_at(*table->filling, config_.limits)));
    }
    return wait == milliseconds{0} ? busy_poll : wait;
  }

  void accept(const kafka::Message& message) {
    Partition* const partition = find_partition(message.topic(), message.partition());
    if (partition == nullptr) return;  // read before a rebalance, or not started yet
    Table& table = *tables_[partition->table];
    if (!table.stopped_by.empty()) return;
    if (partition->position && message.offset().value < partition->position->value) {
      ++counters_.already_read;
      return;
    }
    if (!table.filling) {
      table.filling = std::make_unique<Batch>();
      table.filling->begun = Clock::now();
    }
    Batch& batch = *table.filling;
    const std::size_t bytes_before = batch.bytes();
    auto decoded = decoder_.decode({message.topic(), message.key(), message.value()}, batch.arena);
    filling_bytes_ += batch.bytes() - bytes_before;  // also what a bad record has taken
    if (const auto* bad = std::get_if<debezium::BadRecord>(&decoded)) {
      stop_before(message, table, bad->cause);
      return;
    }
    auto* const change = std::get_if<Change>(&decoded);
    if (change != nullptr && change->op == Op::truncate) {
      if (auto unordered = truncate_without_order(message)) {
        stop_before(message, table, *unordered);
        return;
      }
    }
    Slice& slice = slice_of(batch, *partition, message);
    slice.next = after(message.offset());
    partition->position = slice.next;
    partition->chained = slice.next;
    ++batch.records;
    if (change != nullptr) {
      change->partition = message.partition();
      change->offset = message.offset();
      if (change->source_ts_us != 0) slice.source_ts_us = change->source_ts_us;
      if (!change->source_position.empty()) slice.source_position = change->source_position;
      const std::size_t bytes = batch.bytes();
      batch.changes.push_back(*change);
      filling_bytes_ += batch.bytes() - bytes;
    } else {
      ++counters_.skipped[std::get<debezium::Skipped>(decoded).rule];
    }
    if (is_full(batch, config_.limits)) hand_over(partition->table);
  }

  /// What came before the record is applied, the record and what follows is not.
  void stop_before(const kafka::Message& message, Table& table, const std::string& cause) {
    if (table.filling->records == 0) drop_filling(table);
    stop_table(table, at(message) + ": " + cause);
  }

  /// A truncate can only be put in order with the rows if they are in its own partition.
  std::optional<std::string> truncate_without_order(const kafka::Message& message) {
    const auto count = consumer_->partition_count(std::string{message.topic()}, kafka_deadline);
    if (!count)
      return "TRUNCATE, and the topic's partitions can't be counted: " + count.error().message;
    if (*count == 1) return std::nullopt;
    return "TRUNCATE in a topic with " + std::to_string(*count) +
           " partitions: its order among the rows of the others is not known. Truncate the target "
           "by hand, then move the position past this record (docs/operation.md)";
  }

  static std::string at(const kafka::Message& message) {
    return std::string{message.topic()} + "[" + std::to_string(message.partition()) + "]@" +
           std::to_string(message.offset().value);
  }

  Slice& slice_of(Batch& batch, Partition& partition, const kafka::Message& message) {
    if (!partition.slice) {
      partition.slice = batch.slices.size();
      batch.slices.push_back(
          {{std::string{message.topic()}, message.partition()}, partition.chained, {}, 0, {}});
    }
    return batch.slices[*partition.slice];
  }

  Partition* find_partition(std::string_view topic, std::int32_t partition) {
    // Messages come in runs of one partition.
    if (last_found_ != nullptr && last_found_->first.partition == partition &&
        last_found_->first.topic == topic) {
      return &last_found_->second;
    }
    const auto found = partitions_.find({std::string{topic}, partition});
    if (found == partitions_.end()) return nullptr;
    last_found_ = &*found;
    return &found->second;
  }

  // ---- Batches to the worker

  void hand_over() {
    // While the worker is busy a due batch may as well grow: that is what makes a backlog fast.
    if (!worker_.idle()) return;
    const auto now = Clock::now();
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      const auto& filling = tables_[i]->filling;
      if (filling && due_at(*filling, config_.limits) <= now) hand_over(i);
    }
  }

  void hand_over(std::size_t index) {
    Table& table = *tables_[index];
    for (auto& [tp, partition] : partitions_) {
      if (partition.table == index) partition.slice.reset();
    }
    std::sort(table.filling->slices.begin(), table.filling->slices.end(),
              [](const Slice& a, const Slice& b) { return a.partition < b.partition; });
    filling_bytes_ -= table.filling->bytes();
    worker_.push(Worker::Apply{std::move(table.filling), index, table.chain});
  }

  std::size_t buffered_bytes() const { return filling_bytes_ + worker_.held_bytes(); }
  bool over_budget() const { return buffered_bytes() >= 2 * config_.limits.max_bytes; }

  void pause_if_long_full() {
    if (!full_since_) full_since_ = Clock::now();
    if (paused_ || Clock::now() - *full_since_ < full_before_pause) return;
    paused_ = true;
    consumer_->pause(running_partitions());
    spdlog::debug("partitions paused pipeline={} buffered_bytes={}", config_.name,
                  buffered_bytes());
  }

  void resume_if_paused() {
    full_since_.reset();
    if (!paused_ || buffered_bytes() > config_.limits.max_bytes) return;
    paused_ = false;
    consumer_->resume(running_partitions());
    spdlog::debug("partitions resumed pipeline={}", config_.name);
  }

  std::vector<TopicPartition> running_partitions() const {
    std::vector<TopicPartition> running;
    for (const auto& [tp, partition] : partitions_) {
      if (tables_[partition.table]->stopped_by.empty()) running.push_back(tp);
    }
    return running;
  }

  // ---- Answers of the worker

  void handle(Worker::Applied& answer) {
    const Batch& batch = *answer.task.batch;
    counters_.records += batch.records;
    counters_.changes += batch.changes.size();
    ++counters_.batches;
    // Its partitions may have gone and come back since: then their positions were read anew.
    const bool current = answer.task.chain == tables_[answer.task.owner]->chain;
    for (const auto& slice : batch.slices) {
      spdlog::debug("batch applied pipeline={} rows={} took_ms={} next={}@{}", config_.name,
                    batch.changes.size(), answer.took.count(), to_string(slice.partition),
                    slice.next.value);
      if (slice.source_ts_us != 0) newest_source_ts_us_ = slice.source_ts_us;
      if (!current) continue;
      to_commit_[slice.partition] = slice.next;
      partitions_.at(slice.partition).applied = slice.next;
    }
  }

  void handle(Worker::Failed& answer) {
    const Batch& batch = *answer.task.batch;
    Table& table = *tables_[answer.task.owner];
    if (answer.task.chain != table.chain) return;  // it was to follow one that failed before
    if (answer.error.kind == SinkError::Kind::moved) {
      spdlog::warn("position moved by another, starting from it again pipeline={} topic={}",
                   config_.name, table.topic);
      forget_assignment();
      awaiting_start_ = assigned_;
      start_at_ = Clock::now() + restart_delay;
      return;  // what is still fetched until then is passed over
    }
    std::string where;
    for (const auto& slice : batch.slices) {
      if (!where.empty()) where += ", ";
      where += to_string(slice.partition) + "@" +
               (slice.expected ? std::to_string(slice.expected->value) : "begin") + ".." +
               std::to_string(slice.next.value - 1);
    }
    ++table.chain;
    drop_filling(table);
    stop_table(table, where + ": " + answer.error.message);
  }

  void stop_table(Table& table, const std::string& cause) {
    table.stopped_by = cause;
    spdlog::error("table stopped, the others go on pipeline={} topic={} cause: {}", config_.name,
                  table.topic, cause);
    std::vector<TopicPartition> stopped;
    for (const auto& [tp, partition] : partitions_) {
      if (tables_[partition.table].get() == &table) stopped.push_back(tp);
    }
    if (!stopped.empty()) consumer_->pause(stopped);
  }

  void drop_filling(Table& table) {
    if (!table.filling) return;
    filling_bytes_ -= table.filling->bytes();
    table.filling.reset();
  }

  // ---- The assignment

  void on_assigned(const std::vector<TopicPartition>& partitions) override {
    spdlog::info("partitions assigned pipeline={} count={}", config_.name, partitions.size());
    assigned_ = partitions;
    awaiting_start_ = partitions;
    start_at_ = Clock::now();
  }

  void on_revoked(bool lost) override {
    // What is queued is dropped and read again by the next owner; what runs may finish.
    for (auto& table : tables_) drop_filling(*table);
    worker_.cancel();
    if (!worker_.wait_idle(finish_deadline)) {
      spdlog::warn("transaction still running, left to the target pipeline={}", config_.name);
    }
    for (auto& answer : worker_.take()) {
      if (auto* applied = std::get_if<Worker::Applied>(&answer)) handle(*applied);
    }
    if (!lost) commit_at_last();
    to_commit_.clear();
    forget_assignment();
    assigned_.clear();
    spdlog::info("partitions given back pipeline={}", config_.name);
  }

  void on_end_reached(const TopicPartition& tp, NextOffset end) override {
    if (Partition* const partition = find_partition(tp.topic, tp.partition)) {
      partition->read_end = end;
    }
  }

  void on_position_gone(const TopicPartition& tp, const std::string& cause) override {
    const auto found = partitions_.find(tp);
    if (found == partitions_.end()) return;
    const auto position = found->second.position;
    stop_table(
        *tables_[found->second.table],
        to_string(tp) + (position ? "@" + std::to_string(position->value) : "") +
            ": this offset is not in the log: retention has passed it, or the topic was made "
            "anew; changes may be missing. Take a new snapshot of the table, set next_offset "
            "in lockstep.progress to where to go on, restart (docs/operation.md). Kafka: " +
            cause);
  }

  void on_unreadable(const TopicPartition& tp, RecordOffset at, const std::string& cause) override {
    const auto found = partitions_.find(tp);
    if (found == partitions_.end()) return;
    stop_table(*tables_[found->second.table], to_string(tp) + "@" + std::to_string(at.value) +
                                                  ": this batch can't be read: " + cause);
  }

  /// Back to holding nothing: buffers dropped, answers under way ignored.
  void forget_assignment() {
    worker_.cancel();
    for (auto& table : tables_) {
      ++table->chain;
      drop_filling(*table);
    }
    partitions_.clear();
    last_found_ = nullptr;
    awaiting_start_.clear();
    start_at_.reset();
    paused_ = false;
    full_since_.reset();
  }

  void start_if_due() {
    if (!start_at_ || Clock::now() < *start_at_) return;
    start_at_.reset();
    if (!awaiting_start_.empty()) worker_.push(Worker::ReadPositions{awaiting_start_});
  }

  void handle(Worker::PositionsRead& answer) {
    std::vector<kafka::Consumer::Start> starts;
    for (const auto& tp : awaiting_start_) {
      const std::size_t table = table_index(tp.topic);
      if (!tables_[table]->stopped_by.empty()) continue;
      const auto known = answer.positions.find(tp);
      Partition partition;
      partition.table = table;
      if (known != answer.positions.end()) partition.position = known->second;
      partition.chained = partition.applied = partition.position;
      partitions_[tp] = partition;
      starts.push_back({tp, partition.position});
    }
    if (auto assigned = consumer_->assign(starts, kafka_deadline); !assigned) {
      spdlog::warn("can't start reading, trying again pipeline={}: {}", config_.name,
                   assigned.error().message);
      partitions_.clear();
      start_at_ = Clock::now() + restart_delay;
      return;
    }
    for (const auto& start : starts) {
      spdlog::info("reading pipeline={} {} from={}", config_.name, to_string(start.partition),
                   start.at ? std::to_string(start.at->value) : "group offset or beginning");
    }
    awaiting_start_.clear();
  }

  std::size_t table_index(const std::string& topic) {
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      if (tables_[i]->topic == topic) return i;
    }
    tables_.push_back(std::make_unique<Table>());
    tables_.back()->topic = topic;
    return tables_.size() - 1;
  }

  // ---- Now and then

  void commit_if_due() {
    if (to_commit_.empty() || Clock::now() < next_commit_ || !consumer_->reachable()) return;
    consumer_->commit(to_commit_);
    to_commit_.clear();
    next_commit_ = Clock::now() + commit_interval;
  }

  void commit_at_last() {
    const Result<Done, kafka::KafkaError> committed =
        consumer_->reachable() ? consumer_->commit(to_commit_, last_commit_deadline)
                               : kafka::KafkaError{"kafka is unreachable"};
    if (!committed && !to_commit_.empty()) {
      spdlog::warn("offsets not committed, lockstep.progress has them pipeline={}: {}",
                   config_.name, committed.error().message);
    }
  }

  void report_if_due() {
    const auto now = Clock::now();
    if (now - reported_at_ >= report_interval) {
      if (counters_.records != reported_.records) report();
      reported_at_ = now;
    }
    if (now - reminded_at_ < stopped_reminder) return;
    reminded_at_ = now;
    for (const auto& table : tables_) {
      if (table->stopped_by.empty()) continue;
      spdlog::error("table is still stopped pipeline={} topic={} cause: {}", config_.name,
                    table->topic, table->stopped_by);
    }
  }

  void report() {
    const auto now = Clock::now();
    const double took = std::chrono::duration<double>(now - reported_at_).count();
    std::int64_t lag = 0;
    for (const auto& [tp, partition] : partitions_) lag += lag_of(tp, partition);
    std::uint64_t skipped = 0;
    for (const auto& [rule, count] : counters_.skipped) skipped += count;
    spdlog::info(
        "progress pipeline={} changes={} rate={:.0f}/s batches={} lag_messages={} lag_s={:.1f} "
        "skipped={} already_read={}",
        config_.name, counters_.changes,
        static_cast<double>(counters_.changes - reported_.changes) / std::max(took, 0.001),
        counters_.batches, lag, lag == 0 ? 0.0 : seconds_since(newest_source_ts_us_), skipped,
        counters_.already_read);
    reported_ = counters_;
  }

  /// Records that are in the log and not applied. Transaction markers take offsets too: once the
  /// end was read and all is applied, what is between is markers.
  std::int64_t lag_of(const TopicPartition& tp, const Partition& partition) const {
    const auto end = consumer_->known_end(tp);
    if (!end || !partition.applied) return 0;
    if (partition.read_end >= end && partition.applied == partition.position) return 0;
    return std::max<std::int64_t>(0, end->value - partition.applied->value);
  }

  const PipelineConfig config_;
  debezium::Decoder decoder_;  // before the worker: batches point to its layouts
  Worker worker_;
  std::unique_ptr<kafka::Consumer> consumer_;

  std::vector<std::unique_ptr<Table>> tables_;      // only grows: indexes and addresses stay
  std::map<TopicPartition, Partition> partitions_;  // those that are being read
  std::pair<const TopicPartition, Partition>* last_found_ = nullptr;
  std::vector<TopicPartition> assigned_;
  std::vector<TopicPartition> awaiting_start_;  // assigned, positions not known yet
  std::optional<Clock::time_point> joined_again_at_;
  std::optional<Clock::time_point> start_at_;  // when to ask for them

  std::size_t filling_bytes_ = 0;  // of all tables' filling batches
  std::optional<Clock::time_point> full_since_;
  bool paused_ = false;  // all running partitions, for the buffers' sake

  Positions to_commit_;
  Clock::time_point next_commit_ = Clock::now();
  Counters counters_;
  Counters reported_;
  Clock::time_point reported_at_ = Clock::now();
  Clock::time_point reminded_at_ = Clock::now();
  std::int64_t newest_source_ts_us_ = 0;
};

Pipeline::Pipeline(PipelineConfig config, std::unique_ptr<Sink> sink)
    : impl_{std::make_unique<Impl>(std::move(config), std::move(sink))} {}
Pipeline::~Pipeline() = default;

Result<Done, std::string> Pipeline::run(const std::stop_token& stop) {
  return impl_->run(stop);
}

Clock::time_point Pipeline::last_sign_of_life() const noexcept {
  return impl_->last_loop_;
}

}  // namespace lockstep::pipeline
