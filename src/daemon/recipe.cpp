#include "recipe.hpp"

#include "lockstep/console/sink.hpp"
#include "lockstep/threshold/gate.hpp"
#include "lockstep/webhook/sink.hpp"

namespace lockstep::daemon {

kafka::ConsumerConfig consumer_config(const config::Config& config,
                                      const config::Pipeline& pipeline, const std::string& name) {
  auto topics = pipeline.topics;
  if (!pipeline.topics_pattern.empty()) topics = {pipeline.topics_pattern};
  return {.brokers = config.kafka.brokers,
          .group = "lockstep." + name,
          .topics = std::move(topics),
          .properties = config.kafka.properties,
          // Reading is quicker than what comes after it: a short queue keeps it supplied.
          .queue_bytes = pipeline.batch.max_bytes / 8};
}

postgres::SinkConfig sink_config(const config::Pipeline& pipeline) {
  const auto& sink = *pipeline.postgres();
  return {.pipeline = pipeline.name,
          .url = sink.url,
          .schema = sink.schema,
          .synced_at = sink.synced_at,
          .missing_table = sink.missing_table,
          .schema_change = sink.schema_change,
          .tables = sink.tables,
          .connector = pipeline.connector,
          .parks_keys = sink.dead_letters};
}

namespace {

using Recipes = std::vector<pipeline::Recipe>;

/// What is the same for all sinks.
pipeline::PipelineConfig pipeline_config(const config::Config& config,
                                         const config::Pipeline& pipeline,
                                         const std::string& name) {
  pipeline::PipelineConfig made{name, consumer_config(config, pipeline, name), pipeline.batch};
  made.connector = pipeline.connector;
  return made;
}

template <class Make>
std::function<std::vector<std::unique_ptr<Sink>>()> one_sink(Make make) {
  return [make = std::move(make)] {
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(make());
    return sinks;
  };
}

Recipes recipes_of(const config::Config& config, const config::Pipeline& pipeline,
                   const config::PostgresSink& sink) {
  auto made = pipeline_config(config, pipeline, pipeline.name);
  made.dead_letters.producer = {config.kafka.brokers, sink.dead_letter_topic,
                                config.kafka.properties};
  if (sink.dead_letters) made.dead_letters.per_minute = sink.dead_letters_per_minute;
  const auto make_sinks = [postgres = sink_config(pipeline), count = sink.connections] {
    return postgres::make_sinks(postgres, count);
  };
  if (!sink.threshold) return {{std::move(made), make_sinks}};
  const threshold::GateConfig gate{.pipeline = pipeline.name,
                                   .redis = sink.threshold->redis,
                                   .max_event = sink.threshold->max_event,
                                   .max_time = sink.threshold->max_time,
                                   .max_bytes = pipeline.batch.max_bytes};
  return {{std::move(made), make_sinks, [gate] { return threshold::make_gate(gate); }}};
}

Recipes recipes_of(const config::Config& config, const config::Pipeline& pipeline,
                   const config::ConsoleSink& sink) {
  auto made = pipeline_config(config, pipeline, pipeline.name);
  made.keeps_origins = true;
  made.has_positions = false;
  return {{std::move(made), one_sink([json = sink.json] { return console::make_sink(json); })}};
}

Recipes recipes_of(const config::Config& config, const config::Pipeline& pipeline,
                   const config::WebhookSink& sink) {
  Recipes recipes;
  const auto names = config::running_names(pipeline);
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto made = pipeline_config(config, pipeline, names[i]);
    made.keeps_origins = true;
    made.has_positions = false;
    made.dead_letters = {{config.kafka.brokers, sink.dead_letter_topic, config.kafka.properties},
                         sink.dead_letters_per_minute};
    const webhook::SinkConfig made_of{names[i], sink.routes[i], pipeline.batch.max_bytes,
                                      sink.dead_letters_per_minute};
    recipes.push_back(
        {std::move(made), one_sink([made_of] { return webhook::make_sink(made_of); })});
  }
  return recipes;
}

}  // namespace

std::vector<pipeline::Recipe> recipes(const config::Config& config,
                                      const config::Pipeline& pipeline) {
  return std::visit([&](const auto& sink) { return recipes_of(config, pipeline, sink); },
                    pipeline.sink);
}

}  // namespace lockstep::daemon
