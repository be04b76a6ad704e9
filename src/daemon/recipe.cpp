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
  return {pipeline.name, pipeline.sink.url, pipeline.sink.schema, pipeline.sink.synced_at,
          pipeline.connector};
}

pipeline::Recipe recipe(const config::Config& config, const config::Pipeline& pipeline) {
  const auto make_sinks = [sink = sink_config(pipeline), count = pipeline.sink.connections] {
    std::vector<std::unique_ptr<Sink>> sinks;
    for (std::size_t i = 0; i < count; ++i) sinks.push_back(postgres::make_sink(sink));
    return sinks;
  };
  return {{pipeline.name, consumer_config(config, pipeline), pipeline.batch, pipeline.connector},
          make_sinks};
}

}  // namespace lockstep::daemon
