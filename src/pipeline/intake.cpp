#include "intake.hpp"

#include <spdlog/spdlog.h>

#include <chrono>

namespace lockstep::pipeline {

namespace {

constexpr std::chrono::milliseconds count_deadline{1000};

std::string place_of(const kafka::Message& message) {
  return std::string{message.topic()} + "[" + std::to_string(message.partition()) + "]@" +
         std::to_string(message.offset().value);
}

constexpr auto without_order =
    ": TRUNCATE in a topic of several partitions: its order among the rows of the others is not "
    "known. Truncate the target by hand, then move the position past this record "
    "(docs/operation.md)";

}  // namespace

void Intake::accept(const kafka::Message& message, kafka::Consumer& consumer, Time now) {
  Ledger::Entry* const entry = ledger_.find(message.topic(), message.partition());
  if (entry == nullptr || !entry->reading) return;  // read before it was to begin
  const auto lane = lanes_.change(entry->lane);
  if (!lane->takes_records()) return;  // it is read again when the lane goes on
  if (!entry->wants(message.offset())) {
    report_.already_read();
    return;
  }
  Batch& batch = lane->filling(now);
  auto decoded = decoder_.decode({message.topic(), message.key(), message.value()}, batch.arena);
  if (const auto* bad = std::get_if<debezium::BadRecord>(&decoded)) {
    lane->filled();
    const std::string cause = place_of(message) + ": " + bad->cause;
    lane->stop(cause, now);
    report_.stopped(lane->topic(), cause);
    return;
  }
  if (const auto* change = std::get_if<Change>(&decoded); change && change->op == Op::truncate) {
    const auto place = place_of_truncate(lane->topic(), consumer);
    if (place != Place::in_order) lane->filled();
    if (place == Place::without_order) {
      lane->stop(place_of(message) + without_order, now);
      report_.stopped(lane->topic(), place_of(message) + without_order);
      return;
    }
    if (place == Place::not_known_yet) {
      // The brokers will answer: the record is read again, and asked about again, then.
      lane->read_later(place_of(message) +
                           ": TRUNCATE, and the brokers don't say how many "
                           "partitions the topic has",
                       now);
      report_.waits(entry->lane);
      return;
    }
  }
  keep(batch, *entry, message, decoded);
  lane->filled();
}

void Intake::keep(Batch& batch, Ledger::Entry& entry, const kafka::Message& message,
                  debezium::Decoded& decoded) {
  Slice& slice = batch.slice_of(message.topic(), message.partition(), entry.read);
  slice.next = after(message.offset());
  entry.read = slice.next;
  ++batch.records;
  if (auto* const change = std::get_if<Change>(&decoded)) {
    change->partition = message.partition();
    change->offset = message.offset();
    if (change->source_ts_us != 0) slice.source_ts_us = change->source_ts_us;
    if (!change->source_position.empty()) slice.source_position = change->source_position;
    batch.changes.push_back(*change);
  } else {
    report_.skipped(debezium::name(std::get<debezium::Skipped>(decoded).rule));
  }
}

/// A truncate can only be put in order with the rows if they are in its own partition. A new
/// partition comes with a new assignment, and that forgets the counts.
Intake::Place Intake::place_of_truncate(const std::string& topic, kafka::Consumer& consumer) {
  auto known = partition_counts_.find(topic);
  if (known == partition_counts_.end()) {
    const auto count = consumer.partition_count(topic, count_deadline);
    if (!count || *count < 1) return Place::not_known_yet;
    known = partition_counts_.emplace(topic, *count).first;
  }
  return known->second == 1 ? Place::in_order : Place::without_order;
}

void Intake::stop_at(const TopicPartition& partition, const std::string& cause, Time now) {
  const Ledger::Entry* const entry = ledger_.find(partition.topic, partition.partition);
  if (entry == nullptr || !entry->reading) return;
  const std::string where =
      to_string(partition) + (entry->read ? "@" + std::to_string(entry->read->value) : "");
  const auto lane = lanes_.change(entry->lane);
  if (lane->state() == Lane::State::stopped) return;
  lane->stop(where + ": " + cause, now);
  report_.stopped(partition.topic, where + ": " + cause);
}

}  // namespace lockstep::pipeline
