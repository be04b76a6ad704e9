#pragma once

#include "lockstep/config/config.hpp"
#include "lockstep/kafka/consumer.hpp"
#include "lockstep/postgres/sink.hpp"

namespace lockstep::daemon {

kafka::ConsumerConfig consumer_config(const config::Config& config,
                                      const config::Pipeline& pipeline);
postgres::SinkConfig sink_config(const config::Pipeline& pipeline);

/// Asks Kafka and the targets, prints what the daemon would do on standard output. Changes nothing.
/// False if something is in the way.
bool check(const config::Config& config);

}  // namespace lockstep::daemon
