#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lockstep/model/redis.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/pipeline/gate.hpp"

/// A gate that opens when enough has come, or has waited for long enough.
namespace lockstep::threshold {

struct GateConfig {
  std::string pipeline;
  RedisServer redis;
  std::uint64_t max_event = 0;           ///< more than this many events make a load
  std::chrono::milliseconds max_time{};  ///< since the window's first event: then they do anyway
  std::size_t max_bytes = 0;             ///< of pending changes as JSON; more make a load, too
};

/// Counts, window and the pending changes by key are kept in Redis, under keys that begin with
/// lockstep:<pipeline>: (src/threshold/README.md), and read from there when the pipeline gets its
/// partitions. Redis is written to and read by a thread of its own; while it is away the gate goes
/// on with what it knows. Errors: none; Redis' are logged, and told in the status.
std::unique_ptr<pipeline::Gate> make_gate(GateConfig config);

/// Asks for a sign of life, for 1 s. Errors: why there is none, with what to do.
Result<Done, std::string> ping(const RedisServer& server);

/// "host:port", for messages.
std::string describe(const RedisServer& server);

}  // namespace lockstep::threshold
