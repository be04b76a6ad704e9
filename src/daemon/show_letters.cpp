#include "show_letters.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "lockstep/kafka/newest.hpp"
#include "recipe.hpp"
#include "record_text.hpp"

namespace lockstep::daemon {

namespace {

bool is_of(const kafka::Message& message, const config::Pipeline& pipeline,
           const std::vector<postgres::ParkedRow>& rows) {
  if (message.header("lockstep.pipeline") != pipeline.name) return false;
  if (message.header("lockstep.stage") == name(Letter::Stage::skipped)) return false;
  return std::any_of(rows.begin(), rows.end(), [&](const auto& row) {
    return message.header("lockstep.topic") == row.topic &&
           message.header("lockstep.key") == row.row_key;
  });
}

void list(const config::Pipeline& pipeline, const std::vector<postgres::ParkedRow>& rows) {
  for (const auto& row : rows) {
    const nlohmann::ordered_json object{{"pipeline", pipeline.name},
                                        {"topic", row.topic},
                                        {"partition", row.partition},
                                        {"row", row.row_key},
                                        {"letters", row.letters},
                                        {"since", row.since},
                                        {"first_offset", row.first_offset.value},
                                        {"last_offset", row.last_offset.value},
                                        {"cause", row.error}};
    std::cout << object.dump() << '\n';
  }
}

}  // namespace

void add_options(CLI::App& command, DeadLettersRequest& request) {
  command.add_option("action", request.action, "what to do with them")
      ->required()
      ->check(CLI::IsMember({"list", "show", "retry", "discard"}));
  command.add_option("--pipeline", request.pipeline, "only of this pipeline");
  command.add_option("--topic", request.topic, "only of this topic");
  command.add_option("--key", request.key, "only this row, as list shows it");
  command.add_flag("--all", request.all, "retry or discard all that there are");
  command.add_flag("--json", request.json, "list and show: print an object a line");
  command.final_callback([&request] {
    const bool acts = request.action == "retry" || request.action == "discard";
    if (acts && request.topic.empty() && request.key.empty() && !request.all) {
      throw CLI::ValidationError{request.action + " what? Say --topic, --key or --all"};
    }
    if (acts && request.json) throw CLI::ValidationError{"--json is for list and show"};
  });
}

bool show_letters(const config::Config& config, const config::Pipeline& pipeline,
                  const std::vector<postgres::ParkedRow>& rows, const DeadLettersRequest& request) {
  constexpr std::chrono::seconds find_deadline{10};
  constexpr std::chrono::minutes read_deadline{10};
  if (request.action == "list") {
    list(pipeline, rows);
    return true;
  }
  auto consumer = consumer_config(config, pipeline, pipeline.name);
  consumer.topics = {pipeline.postgres()->dead_letter_topic};
  const auto topics = kafka::find_topics(consumer, find_deadline);
  const auto read = topics ? kafka::read_all(consumer, *topics, read_deadline,
                                             [&](const kafka::Message& message) {
                                               if (!is_of(message, pipeline, rows)) return;
                                               if (request.json) {
                                                 std::cout << record_json(message, false) << '\n';
                                                 return;
                                               }
                                               std::cout << record_title(message) << '\n';
                                               print_record(std::cout, message, false);
                                             })
                           : Result<Done, kafka::KafkaError>{topics.error()};
  if (!read) {
    std::cerr << "error: topic " << pipeline.postgres()->dead_letter_topic
              << " can't be read: " << read.error().message << '\n';
  }
  return read.has_value();
}

}  // namespace lockstep::daemon
