#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "lockstep/model/route.hpp"
#include "lockstep/model/sink.hpp"

namespace lockstep::webhook {

struct SinkConfig {
  std::string pipeline;  ///< a part of the idempotency keys
  WebhookRoute route;
  std::size_t max_bytes = 0;  ///< of calls that wait; a batch more may
  /// Of changes that become letters, of one topic; more stop it.
  std::size_t dead_letters_per_minute = 60;
};

/// Each change that the route matches as an HTTP call, at least once; a LateSink. Needs a pipeline
/// that keeps origins and has a dead-letter topic; keeps no positions.
/// Order: the changes of a row one after the other, also over retries; a TRUNCATE after all before
/// it and before all behind it. Two threads of its own: one makes the calls, one delivers letters.
/// Errors of apply(): busy, if 10,000 changes or `max_bytes` wait. A topic whose changes become
/// letters in a flood is refused.
std::unique_ptr<Sink> make_sink(const SinkConfig& config);

}  // namespace lockstep::webhook
