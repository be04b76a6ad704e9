#pragma once

#include <span>
#include <string>

#include "lockstep/kafka/producer.hpp"
#include "lockstep/model/letter.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::pipeline {

/// Sends letters to the dead-letter topic: each as it came, with headers that say what it
/// is and why: lockstep.pipeline, .topic, .partition, .offset, .stage, .error, .time (ISO 8601),
/// and .key where later changes of its row are parked. A batch that is tried again sends them
/// again. Errors: why the brokers don't have all of them.
Result<Done, std::string> deliver(kafka::Producer& producer, const std::string& pipeline,
                                  std::span<const Letter> letters);

}  // namespace lockstep::pipeline
