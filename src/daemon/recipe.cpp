#include "recipe.hpp"

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
  const auto& sink = pipeline.sink;
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

pipeline::Recipe recipe(const config::Config& config, const config::Pipeline& pipeline) {
  const auto make_sinks = [sink = sink_config(pipeline), count = pipeline.sink.connections] {
    return postgres::make_sinks(sink, count);
  };
  pipeline::PipelineConfig made{pipeline.name, consumer_config(config, pipeline), pipeline.batch};
  made.connector = pipeline.connector;
  if (pipeline.sink.dead_letters) {
    made.dead_letters = {
        {config.kafka.brokers, pipeline.sink.dead_letter_topic, config.kafka.properties},
        pipeline.sink.dead_letters_per_minute};
  }
  return {std::move(made), make_sinks};
}

}  // namespace lockstep::daemon
