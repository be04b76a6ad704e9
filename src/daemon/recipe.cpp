#include "recipe.hpp"

#include "lockstep/console/sink.hpp"

namespace lockstep::daemon {

kafka::ConsumerConfig consumer_config(const config::Config& config,
                                      const config::Pipeline& pipeline) {
  auto topics = pipeline.topics;
  if (!pipeline.topics_pattern.empty()) topics = {pipeline.topics_pattern};
  return {.brokers = config.kafka.brokers,
          .group = "lockstep." + pipeline.name,
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

pipeline::Recipe recipe_of(const config::Config& config, const config::Pipeline& pipeline,
                           const config::PostgresSink& sink, pipeline::PipelineConfig made) {
  made.dead_letters.producer = {config.kafka.brokers, sink.dead_letter_topic,
                                config.kafka.properties};
  if (sink.dead_letters) made.dead_letters.per_minute = sink.dead_letters_per_minute;
  const auto make_sinks = [postgres = sink_config(pipeline), count = sink.connections] {
    return postgres::make_sinks(postgres, count);
  };
  return {std::move(made), make_sinks};
}

pipeline::Recipe recipe_of(const config::Config&, const config::Pipeline&,
                           const config::ConsoleSink& sink, pipeline::PipelineConfig made) {
  made.keeps_origins = true;
  made.has_positions = false;
  const auto make_sinks = [json = sink.json] {
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(console::make_sink(json));
    return sinks;
  };
  return {std::move(made), make_sinks};
}

}  // namespace

pipeline::Recipe recipe(const config::Config& config, const config::Pipeline& pipeline) {
  pipeline::PipelineConfig made{pipeline.name, consumer_config(config, pipeline), pipeline.batch};
  made.connector = pipeline.connector;
  return std::visit(
      [&](const auto& sink) { return recipe_of(config, pipeline, sink, std::move(made)); },
      pipeline.sink);
}

}  // namespace lockstep::daemon
