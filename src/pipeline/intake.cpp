#include "intake.hpp"

#include <spdlog/spdlog.h>

#include <chrono>

#include "lockstep/model/advice.hpp"

namespace lockstep::pipeline {

namespace {

std::string place_of(const Intake::Record& record) {
  return to_string({std::string{record.raw.topic}, record.partition}, record.offset);
}

const std::string without_order =
    ": TRUNCATE in a topic of several partitions: its order among the rows of the others is not "
    "known. Truncate the target by hand, move the position past this record (docs/operation.md), " +
    then_reload;

}  // namespace

void Intake::accept(const Record& record, const CountPartitions& count_partitions, Time now) {
  Ledger::Entry* const entry = ledger_.find(record.raw.topic, record.partition);
  if (entry == nullptr || !entry->reading) return;  // read before it was to begin
  const auto lane = lanes_.change(entry->lane);
  if (!lane->takes_records()) return;  // it is read again when the lane goes on
  if (!entry->wants(record.offset)) {
    report_.already_read();
    return;
  }
  Batch& batch = lane->filling(now);
  auto decoded = decoder_.decode(record.raw, batch.arena);
  if (const auto* bad = std::get_if<debezium::BadRecord>(&decoded)) {
    lane->filled();
    const std::string cause = place_of(record) + ": " + bad->cause;
    lane->stop(cause, now);
    report_.stopped(lane->topic(), cause);
    return;
  }
  if (const auto* change = std::get_if<Change>(&decoded); change && change->op == Op::truncate) {
    const auto place = place_of_truncate(lane->topic(), count_partitions);
    if (place != Place::in_order) lane->filled();
    if (place == Place::without_order) {
      lane->stop(place_of(record) + without_order, now);
      report_.stopped(lane->topic(), place_of(record) + without_order);
      return;
    }
    if (place == Place::not_known_yet) {
      // The brokers will answer: the record is read again, and asked about again, then.
      lane->read_later(place_of(record) +
                           ": TRUNCATE, and the brokers don't say how many "
                           "partitions the topic has",
                       now);
      report_.waits(entry->lane);
      return;
    }
  }
  keep(batch, *entry, record, decoded);
  for (const auto& loss : decoder_.losses()) report_.lost(record.raw.topic, loss);
  lane->filled();
}

void Intake::keep(Batch& batch, Ledger::Entry& entry, const Record& record,
                  debezium::Decoded& decoded) {
  Slice& slice = batch.slice_of(record.raw.topic, record.partition, entry.read);
  slice.next = after(record.offset);
  entry.read = slice.next;
  ++batch.records;
  if (auto* const change = std::get_if<Change>(&decoded)) {
    change->partition = record.partition;
    change->offset = record.offset;
    if (change->source_ts_us != 0) slice.source_ts_us = change->source_ts_us;
    if (!change->source_position.empty()) slice.source_position = change->source_position;
    batch.changes.push_back(*change);
  } else {
    report_.skipped(debezium::name(std::get<debezium::Skipped>(decoded).rule));
  }
}

/// A truncate can only be put in order with the rows if they are in its own partition. A new
/// partition comes with a new assignment, and that forgets the counts.
Intake::Place Intake::place_of_truncate(const std::string& topic,
                                        const CountPartitions& count_partitions) {
  auto known = partition_counts_.find(topic);
  if (known == partition_counts_.end()) {
    const auto count = count_partitions(topic);
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
