#pragma once

#include <string>
#include <vector>

#include "lockstep/config/config.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/pipeline/registry.hpp"
#include "lockstep/postgres/sink.hpp"

/// From the configuration's words to what the folders take.
namespace lockstep::daemon {

/// Of a member of the pipeline's group; `name`: one of config::running_names().
kafka::ConsumerConfig consumer_config(const config::Config& config,
                                      const config::Pipeline& pipeline, const std::string& name);
/// Of a pipeline with a postgres sink.
postgres::SinkConfig sink_config(const config::Pipeline& pipeline);
/// One for each of config::running_names().
std::vector<pipeline::Recipe> recipes(const config::Config& config,
                                      const config::Pipeline& pipeline);

}  // namespace lockstep::daemon
