#pragma once

#include "lockstep/config/config.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/pipeline/registry.hpp"
#include "lockstep/postgres/sink.hpp"

/// From the configuration's words to what the folders take.
namespace lockstep::daemon {

kafka::ConsumerConfig consumer_config(const config::Config& config,
                                      const config::Pipeline& pipeline);
/// Of a pipeline with a postgres sink.
postgres::SinkConfig sink_config(const config::Pipeline& pipeline);
pipeline::Recipe recipe(const config::Config& config, const config::Pipeline& pipeline);

}  // namespace lockstep::daemon
