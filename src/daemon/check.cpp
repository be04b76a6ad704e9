#include "check.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>

#include "lockstep/model/names.hpp"
#include "recipe.hpp"

namespace lockstep::daemon {

namespace {

constexpr std::chrono::seconds kafka_deadline{5};

bool check(const config::Config& config, const config::Pipeline& pipeline) {
  const auto consumer = consumer_config(config, pipeline);
  const auto sink = sink_config(pipeline);
  std::cout << "pipeline " << pipeline.name << " (consumer group " << consumer.group << ")\n";

  const auto topics = kafka::find_topics(consumer, kafka_deadline);
  if (!topics) {
    std::cout << "  kafka " << config.kafka.brokers << ": FAILED: " << topics.error().message
              << "\n";
  } else {
    std::cout << "  kafka " << config.kafka.brokers << ": ok\n";
  }

  std::vector<Relation> tables;
  if (topics) {
    for (const auto& [topic, partitions] : *topics) {
      if (auto table = source_table_of(topic)) tables.push_back(std::move(*table));
    }
  }
  const auto reports = postgres::check_target(sink, tables);
  if (!reports) {
    std::cout << "  target " << postgres::describe(sink.url)
              << ": FAILED: " << reports.error().message << "\n";
  } else {
    std::cout << "  target " << postgres::describe(sink.url) << ": ok\n";
  }
  if (!topics || !reports) return false;

  bool ready = true;
  auto report = reports->begin();
  for (const auto& [topic, partitions] : *topics) {
    std::cout << "  " << topic << ": ";
    if (partitions == 0) {
      std::cout << "topic does not exist yet, will be waited for";
    } else {
      std::cout << partitions << (partitions == 1 ? " partition" : " partitions");
    }
    if (!source_table_of(topic)) {
      std::cout << "; not a table's topic\n";
      continue;
    }
    std::cout << " -> " << report->target;
    if (!report->problem.empty()) {
      std::cout << ": FAILED: the table " << report->problem;
      ready = false;
    }
    std::cout << "\n";
    ++report;
  }
  if (topics->empty()) std::cout << "  no topic matches " << pipeline.topics_pattern << " yet\n";
  return ready;
}

}  // namespace

bool check(const config::Config& config) {
  bool ready = true;
  for (const auto& pipeline : config.pipelines) ready = check(config, pipeline) && ready;
  std::cout << (ready ? "ready\n" : "not ready\n");
  return ready;
}

}  // namespace lockstep::daemon
