#include "check.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/debezium/decoder.hpp"
#include "lockstep/kafka/newest.hpp"
#include "lockstep/model/names.hpp"
#include "lockstep/threshold/gate.hpp"
#include "recipe.hpp"

namespace lockstep::daemon {

namespace {

constexpr std::chrono::seconds topics_deadline{5};
constexpr std::chrono::seconds records_deadline{5};

/// What the newest record of a partition tells of its table that has a row, or can't be read;
/// otherwise the newest one that has a key.
struct Sample {
  const Relation* relation = nullptr;
  const Layout* key = nullptr;
  const Layout* row = nullptr;
  bool has_key = true;
  std::int64_t source_ts_us = 0;
  std::string unreadable{};
};

/// The newest records of some topics.
class Samples {
 public:
  explicit Samples(const ConnectorModes& modes) : decoder_{modes} {}

  /// True: the record tells what its table's rows are, or that they can't be read.
  bool visit(const kafka::Message& message) {
    auto& sample = topics_[std::string{message.topic()}][message.partition()];
    if (!message.value()) return false;  // a tombstone
    Arena arena;
    const auto decoded = decoder_.decode({message.topic(), message.key(), message.value()}, arena);
    if (const auto* bad = std::get_if<debezium::BadRecord>(&decoded)) {
      const auto name =
          to_string({std::string{message.topic()}, message.partition()}, message.offset());
      sample = {.unreadable = "record " + name + " can't be read: " + bad->cause};
      return true;
    }
    const auto* change = std::get_if<Change>(&decoded);
    if (change == nullptr || change->op == Op::truncate) return false;
    const bool is_known = sample.relation != nullptr || !sample.unreadable.empty();
    if (change->row_layout == nullptr && is_known) return false;
    sample = {change->relation, change->key_layout, change->row_layout, change->has_key,
              change->source_ts_us};
    return change->row_layout != nullptr;
  }

  /// nullptr: the topic has no record.
  const Sample* newest(const std::string& topic) const {
    const auto found = topics_.find(topic);
    if (found == topics_.end()) return nullptr;
    const Sample* newest = nullptr;
    for (const auto& [partition, sample] : found->second) {
      if (!sample.unreadable.empty()) return &sample;
      const auto rank = [](const Sample& one) {
        return std::pair{one.row != nullptr, one.source_ts_us};
      };
      if (newest == nullptr || rank(sample) > rank(*newest)) newest = &sample;
    }
    return newest;
  }

 private:
  debezium::Decoder decoder_;  // owns the layouts
  std::map<std::string, std::map<std::int32_t, Sample>> topics_;
};

/// What is known of one topic's table.
struct Table {
  enum class Fit { yes, unknown, no };  // in the order in which they are printed

  std::string topic;
  std::string state;                        ///< "1 partition"
  std::optional<postgres::TableForm> form;  ///< nullopt: no table is named
  postgres::TableReport report;
  std::string unchecked;  ///< why its types can't be checked; empty: they can
  std::vector<std::string> problems;

  Fit fit() const {
    if (!problems.empty()) return Fit::no;
    return unchecked.empty() ? Fit::yes : Fit::unknown;
  }
};

Table describe(const std::string& topic, int partitions, kafka::Looked looked,
               const Samples& samples) {
  Table table;
  table.topic = topic;
  table.state = std::to_string(partitions) + (partitions == 1 ? " partition" : " partitions");
  const Sample* const sample = samples.newest(topic);
  if (sample != nullptr && sample->relation != nullptr) {
    table.form = postgres::TableForm{*sample->relation, sample->key, sample->row, sample->has_key};
  } else if (auto named = source_table_of(topic)) {
    table.form = postgres::TableForm{std::move(*named)};
  }
  if (partitions == 0) {
    table.state = "topic does not exist yet, will be waited for";
    table.unchecked = "types can't be checked";
  } else if (sample != nullptr && !sample->unreadable.empty()) {
    table.problems.push_back(sample->unreadable);
  } else if (looked == kafka::Looked::out_of_time) {
    table.unchecked = "no row found in " + std::to_string(records_deadline.count()) +
                      " s: types can't be checked";
  } else if (sample == nullptr) {
    table.unchecked = "no record yet: types can't be checked";
  } else if (sample->row == nullptr) {
    table.unchecked = "no record with a row: types can't be checked";
  }
  if (sample == nullptr || sample->row == nullptr) return table;
  for (const auto& column : sample->row->columns) {
    if (column.type != ValueType::unsupported) continue;
    table.problems.push_back(
        "column \"" + column.name + "\": the source's " + column.described +
        " is not supported, only NULL: if a handling mode of the connector "
        "(debezium-config/README.md) does not help, leave it out with column.exclude.list");
  }
  return table;
}

/// What the daemon would do to the table first.
std::string change_of(const postgres::TableReport& report) {
  if (report.will_be_created) return "will be created";
  return report.statements.empty() ? "" : "will be altered";
}

/// One line, and one for each problem, or for each statement that the daemon would run.
void print(const Table& table) {
  std::cout << "  " << table.topic << ": " << table.state;
  if (table.form) std::cout << " -> " << to_string(table.report.target);
  const std::string change = change_of(table.report);
  switch (table.fit()) {
    case Table::Fit::yes:
      std::cout << ": " << (change.empty() ? "ok" : change) << "\n";
      for (const auto& statement : table.report.statements)
        std::cout << "    " << statement << "\n";
      for (const auto& warning : table.report.warnings) std::cout << "    " << warning << "\n";
      break;
    case Table::Fit::unknown:
      std::cout << (change.empty() ? "" : ": " + change)
                << (table.form ? ": " + table.unchecked : "; not a table's topic") << "\n";
      break;
    case Table::Fit::no:
      std::cout << ": FAILED" << (table.unchecked.empty() ? "" : "; " + table.unchecked) << "\n";
      for (const auto& problem : table.problems) std::cout << "    " << problem << "\n";
  }
}

/// "  3 tables: 1 ok, 1 not checked, 1 FAILED"
void print_summary(const std::vector<Table>& tables) {
  std::map<Table::Fit, int> count;
  int all = 0;
  for (const auto& table : tables) {
    if (!table.form) continue;
    ++count[table.fit()];
    ++all;
  }
  std::cout << "  " << all << (all == 1 ? " table: " : " tables: ") << count[Table::Fit::yes]
            << " ok";
  if (const int n = count[Table::Fit::unknown]) std::cout << ", " << n << " not checked";
  if (const int n = count[Table::Fit::no]) std::cout << ", " << n << " FAILED";
  std::cout << "\n";
}

const std::string& text_of(const std::string& error) {
  return error;
}
template <class E>
const std::string& text_of(const E& error) {
  return error.message;
}

/// Says how it went with one of the services. True: well.
template <class T, class E>
bool print_service(const std::string& name, const Result<T, E>& answer) {
  std::cout << "  " << name << ": ";
  if (answer) {
    std::cout << "ok\n";
  } else {
    std::cout << "FAILED: " << text_of(answer.error()) << "\n";
  }
  return answer.has_value();
}

/// What the brokers tell of the topics; the samples' layouts are in `samples`.
Result<std::vector<Table>, kafka::KafkaError> look_at_topics(const kafka::ConsumerConfig& consumer,
                                                             Samples& samples) {
  const auto topics = kafka::find_topics(consumer, topics_deadline);
  if (!topics) return topics.error();
  const auto looked =
      kafka::read_newest(consumer, *topics, records_deadline,
                         [&](const kafka::Message& message) { return samples.visit(message); });
  if (!looked) return looked.error();
  std::vector<Table> tables;
  for (const auto& [topic, partitions] : *topics) {
    tables.push_back(describe(topic, partitions, looked->at(topic), samples));
  }
  return tables;
}

bool check(const config::Config& config, const config::Pipeline& pipeline) {
  const auto names = config::running_names(pipeline);
  for (const auto& name : names) {
    const auto group = consumer_config(config, pipeline, name).group;
    std::cout << "pipeline " << name << " (consumer group " << group << ")\n";
  }
  const auto consumer = consumer_config(config, pipeline, names.front());

  Samples samples{pipeline.connector};
  auto tables = look_at_topics(consumer, samples);
  const bool brokers_answer = print_service("kafka " + config.kafka.brokers, tables);
  std::vector<postgres::TableForm> forms;
  if (tables) {
    for (const auto& table : *tables) {
      if (table.form) forms.push_back(*table.form);
    }
  }
  if (pipeline.postgres() == nullptr) {
    for (const auto& table : tables ? *tables : std::vector<Table>{}) {
      std::cout << "  " << table.topic << ": " << table.state << "\n";
    }
    return brokers_answer;
  }
  const auto sink = sink_config(pipeline);
  const auto reports = postgres::check_target(sink, forms);
  const bool target_answers = print_service("target " + postgres::describe(sink.url), reports);
  const auto& threshold = pipeline.postgres()->threshold;
  const bool redis_answers =
      !threshold || print_service("redis " + threshold::describe(threshold->redis),
                                  threshold::ping(threshold->redis));
  if (!brokers_answer || !target_answers || !redis_answers) return false;

  auto report = reports->begin();
  for (auto& table : *tables) {
    if (!table.form) continue;
    table.report = *report;
    for (const auto& problem : report->problems) {
      table.problems.push_back(to_string(report->target) + " " + problem);
    }
    ++report;
  }
  // What needs attention comes last, where it is seen behind two hundred others.
  std::stable_sort(tables->begin(), tables->end(),
                   [](const Table& a, const Table& b) { return a.fit() < b.fit(); });
  for (const auto& table : *tables) print(table);
  if (tables->empty()) std::cout << "  no topic matches " << pipeline.topics_pattern << " yet\n";
  print_summary(*tables);
  return std::none_of(tables->begin(), tables->end(),
                      [](const Table& table) { return table.fit() == Table::Fit::no; });
}

}  // namespace

bool check(const config::Config& config) {
  bool ready = true;
  for (const auto& pipeline : config.pipelines) ready = check(config, pipeline) && ready;
  std::cout << (ready ? "ready\n" : "not ready\n");
  return ready;
}

}  // namespace lockstep::daemon
