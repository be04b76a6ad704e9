#include "dead_letters.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "lockstep/debezium/decoder.hpp"
#include "lockstep/kafka/newest.hpp"
#include "lockstep/postgres/parked.hpp"
#include "recipe.hpp"
#include "show_letters.hpp"

namespace lockstep::daemon {

namespace {

constexpr std::chrono::seconds find_deadline{10};
constexpr std::chrono::minutes letters_deadline{10};

/// A letter as it is in the dead-letter topic; one record of the original topic.
struct Raw {
  std::optional<std::string> key;
  std::optional<std::string> value;
};
/// By offset: one that was sent twice counts once.
using Letters = std::map<RecordOffset, Raw>;
using RowName = std::pair<std::string, std::string>;  // topic, key

std::optional<std::string> copy(std::optional<std::string_view> text) {
  return text ? std::optional<std::string>{*text} : std::nullopt;
}

std::string header(const std::vector<Header>& headers, std::string_view name) {
  std::string value;  // the last: who was a dead letter before has older ones
  for (const auto& one : headers) {
    if (one.name == name) value = one.value.value_or("");
  }
  return value;
}

/// nullopt: it is no number, so the letter is not ours.
std::optional<RecordOffset> offset_of(std::string_view text) {
  RecordOffset offset;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset.value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return offset;
}

/// What the dead-letter topic has of these rows.
Result<std::map<RowName, Letters>, std::string> read_letters(
    const config::Config& config, const config::Pipeline& pipeline,
    const std::vector<postgres::ParkedRow>& rows) {
  std::map<RowName, const postgres::ParkedRow*> wanted;
  for (const auto& row : rows) wanted[{row.topic, row.row_key}] = &row;
  auto consumer = consumer_config(config, pipeline, pipeline.name);
  consumer.topics = {pipeline.postgres()->dead_letter_topic};
  const auto topics = kafka::find_topics(consumer, find_deadline);
  if (!topics) return topics.error().message;
  if (topics->at(pipeline.postgres()->dead_letter_topic) == 0) {
    return std::string{"the brokers have no such topic; is sink.dead_letter_topic as it was?"};
  }

  std::map<RowName, Letters> found;
  const auto read =
      kafka::read_all(consumer, *topics, letters_deadline, [&](const kafka::Message& message) {
        const auto headers = message.headers();
        if (header(headers, "lockstep.pipeline") != pipeline.name) return;
        const RowName name{header(headers, "lockstep.topic"), header(headers, "lockstep.key")};
        const auto row = wanted.find(name);
        if (row == wanted.end()) return;
        // It may have headers of an earlier life; it is parked behind nothing.
        if (header(headers, "lockstep.stage") == lockstep::name(Letter::Stage::skipped)) return;
        const auto offset = offset_of(header(headers, "lockstep.offset"));
        if (!offset || *offset < row->second->first_offset || *offset > row->second->last_offset) {
          return;
        }
        found[name][*offset] = {copy(message.key()), copy(message.value())};
      });
  if (!read) return read.error().message;
  return found;
}

std::string place_of(const postgres::ParkedRow& row, RecordOffset offset) {
  return to_string(TopicPartition{row.topic, row.partition}, offset);
}

/// All of the row is in it: what was before it does not matter any more.
bool is_complete(const Change& change) {
  return std::none_of(change.row.begin(), change.row.end(),
                      [](const Cell& cell) { return cell.is_unchanged(); });
}

/// What the row's letters come to. One that can't be read does not matter if a complete change has
/// come after it. Errors: what is still wrong with them.
Result<Batch, std::string> changes_of(const postgres::ParkedRow& row, const Letters& letters,
                                      debezium::Decoder& decoder) {
  if (letters.size() != static_cast<std::size_t>(row.letters)) {
    return "the dead-letter topic has " + std::to_string(letters.size()) + " of its " +
           std::to_string(row.letters) +
           " letters: set the row right at the target by hand, and discard it";
  }
  Batch batch;
  std::string unreadable;
  if (row.tables) decoder.remember(row.topic, *row.tables);
  for (const auto& [offset, raw] : letters) {
    auto decoded = decoder.decode({row.topic, raw.key, raw.value}, batch.arena);
    if (const auto* bad = std::get_if<debezium::BadRecord>(&decoded)) {
      unreadable = place_of(row, offset) + " still can't be read: " + bad->cause;
    } else if (auto* const change = std::get_if<Change>(&decoded)) {
      if (is_complete(*change)) {
        unreadable.clear();
        batch.changes.clear();
      }
      change->partition = row.partition;
      change->offset = offset;
      batch.changes.push_back(*change);
    }
  }
  if (!unreadable.empty()) return unreadable;
  return batch;
}

void print(const config::Pipeline& pipeline, const postgres::ParkedRow& row,
           const std::string& what) {
  std::cout << pipeline.name << " " << row.topic << " " << row.row_key << ": " << what << "\n";
}

bool retry(const config::Config& config, const config::Pipeline& pipeline,
           postgres::ParkedRows& parked, const std::vector<postgres::ParkedRow>& rows) {
  auto letters = read_letters(config, pipeline, rows);
  if (!letters) {
    std::cout << pipeline.name << ": nothing is retried, topic "
              << pipeline.postgres()->dead_letter_topic << " can't be read: " << letters.error()
              << "\n";
    return false;
  }
  debezium::Decoder decoder{pipeline.connector};
  bool all_went = true;
  for (const auto& row : rows) {
    const auto changes = changes_of(row, (*letters)[{row.topic, row.row_key}], decoder);
    if (!changes) {
      print(pipeline, row, "not retried: " + changes.error());
      all_went = false;
      continue;
    }
    const auto released = parked.release(row, *changes);
    if (!released) {
      print(pipeline, row, "not retried: " + released.error().message);
      all_went = false;
      continue;
    }
    print(pipeline, row, std::to_string(row.letters) + " letters applied, let go");
  }
  return all_went;
}

bool discard(const config::Pipeline& pipeline, postgres::ParkedRows& parked,
             const std::vector<postgres::ParkedRow>& rows) {
  const Batch nothing;
  bool all_went = true;
  for (const auto& row : rows) {
    const auto released = parked.release(row, nothing);
    print(pipeline, row,
          released ? std::to_string(row.letters) + " letters discarded, let go"
                   : "not discarded: " + released.error().message);
    all_went = all_went && released;
  }
  return all_went;
}

bool dead_letters(const config::Config& config, const config::Pipeline& pipeline,
                  const DeadLettersRequest& request, bool& found) {
  postgres::ParkedRows parked{sink_config(pipeline)};
  auto listed = parked.list();
  if (!listed) {
    std::cout << pipeline.name
              << ": lockstep.parked can't be read at the target: " << listed.error().message
              << "\n";
    return false;
  }
  auto& rows = *listed;
  std::erase_if(rows, [&](const auto& row) { return !request.wants(row.topic, row.row_key); });
  if (rows.empty()) {
    const bool says = request.wants_all() && !request.json;
    if (says) std::cout << pipeline.name << ": no row is parked\n";
    return true;
  }
  found = true;
  if (request.action == "show" || request.json) {
    return show_letters(config, pipeline, rows, request);
  }
  if (request.action == "retry") return retry(config, pipeline, parked, rows);
  if (request.action == "discard") return discard(pipeline, parked, rows);
  for (const auto& row : rows) {
    print(pipeline, row,
          std::to_string(row.letters) + " letters since " + row.since + ", the first is " +
              place_of(row, row.first_offset) + ": " + row.error);
  }
  return true;
}

}  // namespace

bool dead_letters(const config::Config& config, const DeadLettersRequest& request) {
  bool has_pipeline = false;
  bool found = false;
  bool all_went = true;
  for (const auto& pipeline : config.pipelines) {
    if (!request.pipeline.empty() && pipeline.name != request.pipeline) continue;
    const auto* const sink = pipeline.postgres();
    if (sink == nullptr || (request.pipeline.empty() && !sink->dead_letters)) continue;
    has_pipeline = true;
    all_went = dead_letters(config, pipeline, request, found) && all_went;
  }
  if (!has_pipeline) {
    std::cout << (request.pipeline.empty()
                      ? "no pipeline has on_error: dead_letter; what was skipped: debug_messages "
                        "--dead-letters\n"
                      : "no pipeline " + request.pipeline + " with a postgres sink\n");
    return false;
  }
  if (all_went && !found && !request.wants_all()) {
    (request.json ? std::cerr : std::cout)
        << "no such row is parked: lockstepd dead-letters list shows topics and keys. What was "
           "skipped parks no row, and is not retried: newer changes of it may be applied\n";
    return false;
  }
  return all_went;
}

}  // namespace lockstep::daemon
