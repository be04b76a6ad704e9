#include "intake.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "lockstep/model/advice.hpp"

namespace lockstep::pipeline {

namespace {

std::string place_of(const Intake::Record& record) {
  return to_string({std::string{record.raw.topic}, record.partition}, record.offset);
}

const std::string without_order =
    "TRUNCATE in a topic of several partitions: its order among the rows of the others is not "
    "known. Truncate the target by hand, then skip this record: docs/operation.md";

// Why a record is no dead letter, and what to do. Each goes on from "since".
const std::string let_go =
    "retry or discard the table's dead letters (docs/operation.md), " + then_reload;
const std::string past_it = "skip it (docs/operation.md)";
const std::string mend_or_past_it =
    "mend what it is refused for, " + then_reload + ", or " + past_it;
const std::string by_two_keys = "it gives its row another key, and a row is parked by one; ";
const std::string without_key =
    "it has no key by which the later changes of its row could be parked; ";

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
  if (!entry->first) entry->first = record.offset;
  Batch& batch = lane->filling(now);
  auto raw = record.raw;
  raw.follows = batch.records > 0;
  auto decoded = decoder_.decode(raw, batch.arena);
  for (const auto& loss : decoder_.losses()) report_.lost(record.raw.topic, loss);
  if (letterbox_.has_skips()) {
    const auto* const cause =
        letterbox_.skipped({{lane->topic(), record.partition}, record.offset});
    if (cause != nullptr) {
      pass_by(entry->lane, batch, *entry, record, decoded, *cause, count_partitions, now);
      return;
    }
  }
  if (auto fault = fault_of(record, decoded, batch.arena)) {
    const auto refusal = refusal_of(record, *fault, now);
    if (!refusal) put_letter(batch, *entry, record, *fault);
    lane->filled();
    if (!refusal) return;
    // Once the table is tried again, the target is asked again.
    letterbox_.pardon({lane->topic(), record.partition}, record.offset);
    stop(entry->lane, record, *refusal, now);
    return;
  }
  if (keeps_origins_ && !raw.value && std::holds_alternative<Change>(decoded)) {
    decoded = debezium::Skipped{debezium::SkipRule::tombstone};
  }
  auto* const change = keeps_origins_ ? nullptr : std::get_if<Change>(&decoded);
  if (change != nullptr && (change->op == Op::truncate || change->other_key != nullptr)) {
    const auto place = place_of_change(lane->topic(), count_partitions);
    if (place == Place::not_known_yet) {
      ask_again(entry->lane, record, change->op == Op::truncate ? "TRUNCATE" : "a row's new key",
                now);
      return;
    }
    if (place == Place::without_order && change->op == Op::truncate) {
      lane->filled();
      stop(entry->lane, record, without_order, now);
      return;
    }
    change->in_order = place == Place::in_order;
    if (change->op == Op::truncate && letterbox_.has_parked(lane->topic())) {
      unpark(batch, lane->topic());
    }
    // The create behind it says the same, and has the row.
    if (change->in_order && change->op == Op::remove) {
      decoded = debezium::Skipped{debezium::SkipRule::old_key};  // `change` is no more
    }
  }
  keep(batch, *entry, record, decoded);
  lane->filled();
}

void Intake::end_reached(const TopicPartition& tp, NextOffset end) {
  auto* const entry = ledger_.find(tp.topic, tp.partition);
  if (entry == nullptr || !entry->reading || !lanes_[entry->lane].takes_records()) return;
  entry->end_reached = end;
}

void Intake::ask_again(std::size_t lane, const Record& record, std::string_view what, Time now) {
  lanes_.change(lane)->filled();
  lanes_.change(lane)->read_later(
      place_of(record) + ": " + std::string{what} +
          ", and the brokers don't say how many partitions the topic has",
      now);
  report_.waits(lane);
}

void Intake::stop(std::size_t lane, const Record& record, const std::string& cause, Time now) {
  const std::string with_place = place_of(record) + ": " + cause;
  lanes_.change(lane)->stop(
      with_place, now,
      RecordPlace{{std::string{record.raw.topic}, record.partition}, record.offset});
  report_.stopped(record.raw.topic, with_place);
}

Slice& Intake::advance(Batch& batch, Ledger::Entry& entry, const Record& record) {
  Slice& slice = batch.slice_of(record.raw.topic, record.partition, entry.read);
  slice.next = after(record.offset);
  entry.read = slice.next;
  ++batch.records;
  return slice;
}

void Intake::keep(Batch& batch, Ledger::Entry& entry, const Record& record,
                  debezium::Decoded& decoded) {
  Slice& slice = advance(batch, entry, record);
  if (auto* const change = std::get_if<Change>(&decoded)) {
    change->partition = record.partition;
    change->offset = record.offset;
    const auto losses = decoder_.losses();
    change->lossy_values = static_cast<std::uint16_t>(std::count_if(
        losses.begin(), losses.end(), [](const auto& loss) { return loss.of_value; }));
    if (change->source_ts_us != 0) {
      slice.source_ts_us = change->source_ts_us;
      auto& times = batch.commit_times;
      if (times.empty() || times.back().ts_us != change->source_ts_us) {
        times.push_back({change->source_ts_us, 0});
      }
      ++times.back().changes;
    }
    if (!change->source_position.empty()) slice.source_position = change->source_position;
    if (record.raw.value) {
      if (slice.relation != nullptr && slice.relation != change->relation) {
        slice.has_several_relations = true;
      }
      slice.relation = change->relation;
    }
    if (gate_ != nullptr && record.raw.value) {
      gate_->came(slice.partition, record.offset, change);
    }
    batch.changes.push_back(*change);
    if (keeps_origins_) batch.origins.push_back(origin_of(record, batch.arena));
  } else if (const auto* skipped = std::get_if<debezium::Skipped>(&decoded)) {
    report_.skipped(debezium::name(skipped->rule));
  }
}

// ---- Letters

namespace {

/// What is left of a record that gives its row another key once the record itself is passed by:
/// its delete was taken for a part of it (SkipRule::old_key). nullopt: it does not, or that can't
/// be read.
std::optional<Change> gone_row_of(const Change& change) {
  if (!is_upsert(change.op) || change.other_key == nullptr || change.relation == nullptr) {
    return std::nullopt;
  }
  Change gone;
  gone.op = Op::remove;
  gone.in_order = true;
  gone.relation = change.relation;
  gone.key_layout = change.other_key->layout;
  gone.key = change.other_key->cells;
  gone.key_bytes = change.other_key->bytes;
  return gone;
}

}  // namespace

void Intake::pass_by(std::size_t lane, Batch& batch, Ledger::Entry& entry, const Record& record,
                     const debezium::Decoded& decoded, const std::string& cause,
                     const CountPartitions& count_partitions, Time now) {
  const auto* const change = std::get_if<Change>(&decoded);
  const auto* const bad = std::get_if<debezium::BadRecord>(&decoded);
  const bool has_old_key = change != nullptr ? is_upsert(change->op) && change->other_key != nullptr
                                             : bad != nullptr && bad->has_old_key;
  Fault fault{Letter::Stage::skipped, cause};
  if (has_old_key && !keeps_origins_) {
    const auto place = place_of_change(lanes_[lane].topic(), count_partitions);
    if (place == Place::not_known_yet) {
      ask_again(lane, record, "a row's new key", now);
      return;
    }
    if (place == Place::in_order) {
      const auto keys =
          change != nullptr ? std::optional{*change} : decoder_.decode_key(record.raw, batch.arena);
      if (auto gone = keys ? gone_row_of(*keys) : std::nullopt) {
        gone->partition = record.partition;
        gone->offset = record.offset;
        batch.changes.push_back(*gone);
      } else {
        fault.cause += "; its row is still there under the key that it had: delete it by hand";
      }
    }
  }
  put_letter(batch, entry, record, fault);
  lanes_.change(lane)->filled();
  // What comes behind it is read once it is passed, and can't keep it from that.
  lanes_.change(lane)->read_later(place_of(record) + ": on its way to the dead letters", now);
}

Intake::Fault Intake::fault_of_bad(const Record& record, const debezium::BadRecord& bad,
                                   Arena& arena) {
  Fault fault{Letter::Stage::decode, bad.cause};
  if (!letterbox_.is_open()) return fault;
  if (bad.scope == debezium::Scope::setup) {
    fault.no_letter = "more like it would follow; mend that, " + then_reload;
  } else if (bad.has_old_key) {
    fault.no_letter = by_two_keys + past_it;
  } else if (const auto key = decoder_.decode_key(record.raw, arena)) {
    fault.row_key = identity_of(*key->key_layout, key->key);
  }
  return fault;
}

std::optional<Intake::Fault> Intake::fault_of(const Record& record,
                                              const debezium::Decoded& decoded, Arena& arena) {
  using Stage = Letter::Stage;
  const auto topic = record.raw.topic;
  if (const auto* bad = std::get_if<debezium::BadRecord>(&decoded)) {
    return fault_of_bad(record, *bad, arena);
  }
  const auto* change = std::get_if<Change>(&decoded);
  if (!letterbox_.is_open() || change == nullptr) return std::nullopt;
  const auto* const refused =
      letterbox_.condemned({std::string{topic}, record.partition}, record.offset);
  if (refused == nullptr && !letterbox_.has_parked(topic)) return std::nullopt;

  std::string row_key;
  if (change->has_key && change->key_layout != nullptr) {
    row_key = identity_of(*change->key_layout, change->key);
  }
  const Key* const old_key = is_upsert(change->op) ? change->other_key : nullptr;
  if (refused != nullptr) {
    Fault fault{Stage::apply, *refused, std::move(row_key)};
    if (old_key != nullptr) fault.no_letter = by_two_keys + mend_or_past_it;
    if (fault.row_key.empty()) fault.no_letter = without_key + mend_or_past_it;
    return fault;
  }
  if (row_key.empty()) return std::nullopt;  // TRUNCATE: it has no row
  if (auto columns = letterbox_.other_columns(topic, row_key); !columns.empty()) {
    return Fault{Stage::parked,
                 "rows are parked by other key columns (" + columns + ")",
                 {},
                 "it can't be told which rows to park; " + let_go};
  }
  const bool is_parked = letterbox_.is_parked(topic, row_key);
  if (old_key != nullptr) {
    const auto old_row_key = identity_of(*old_key->layout, old_key->cells);
    if (!is_parked && !letterbox_.is_parked(topic, old_row_key)) return std::nullopt;
    return Fault{Stage::parked,
                 "a row gets another key, and " + (is_parked ? row_key : old_row_key) +
                     " is parked behind a dead letter",
                 {},
                 by_two_keys + let_go};
  }
  if (!is_parked) return std::nullopt;
  return Fault{Stage::parked, "an earlier record of its key is a dead letter", std::move(row_key)};
}

std::optional<std::string> Intake::refusal_of(const Record& record, const Fault& fault, Time now) {
  if (!letterbox_.is_open()) return fault.cause;
  if (!fault.no_letter.empty()) return fault.cause + "; no dead letter, since " + fault.no_letter;
  if (!fault.row_key.empty() && !letterbox_.park(record.raw.topic, fault.row_key)) {
    return fault.cause + "; and " + std::to_string(Letterbox::most_parked) +
           " rows are parked already: " + let_go;
  }
  if (fault.stage != Letter::Stage::parked &&
      !letterbox_.admit({std::string{record.raw.topic}, record.partition}, record.offset, now)) {
    return flood_cause(fault.cause, letterbox_.per_minute());
  }
  return std::nullopt;
}

Origin Intake::origin_of(const Record& record, Arena& arena) const {
  const auto copy = [&](std::optional<std::string_view> text) {
    return text ? std::optional{arena.copy(*text)} : std::nullopt;
  };
  auto headers = record.raw.headers != nullptr ? record.raw.headers->all() : std::vector<Header>{};
  for (auto& [name, value] : headers) {
    name = arena.copy(name);
    value = copy(value);
  }
  return {copy(record.raw.key), copy(record.raw.value),
          arena.copy(std::span<const Header>{headers}), decoder_.before()};
}

void Intake::put_letter(Batch& batch, Ledger::Entry& entry, const Record& record,
                        const Fault& fault) {
  const Origin origin = origin_of(record, batch.arena);
  Letter letter;
  letter.stage = fault.stage;
  letter.topic = batch.arena.copy(record.raw.topic);
  letter.partition = record.partition;
  letter.offset = record.offset;
  letter.key = origin.key;
  letter.value = origin.value;
  letter.headers = origin.headers;
  letter.error = batch.arena.copy(fault.cause);
  letter.row_key = batch.arena.copy(fault.row_key);
  batch.letters.push_back(letter);
  const Slice& slice = advance(batch, entry, record);
  if (gate_ != nullptr && record.raw.value) gate_->came(slice.partition, record.offset, nullptr);
  report_.letter(letter);
}

/// What was parked is older than the TRUNCATE: there is no row left that it could come before.
void Intake::unpark(Batch& batch, const std::string& topic) {
  letterbox_.unpark(topic);
  batch.unparks = true;
  for (Letter& letter : batch.letters) letter.row_key = {};
}

/// What is about more than one key can only be put in order with the rows if all are in its own
/// partition. A new partition comes with a new assignment, and that forgets the counts.
Intake::Place Intake::place_of_change(const std::string& topic,
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
