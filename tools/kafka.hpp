#pragma once

#include <map>
#include <memory>
#include <string>

#include "lockstep/kafka/reader.hpp"
#include "program.hpp"

/// What the tools do with the brokers of the configuration.
namespace lockstep::tools {

/// How long the brokers may take for one answer.
constexpr std::chrono::seconds kafka_patience{5};

/// Throws a Failure that names the brokers and says what to look at.
[[noreturn]] void fail(const Program& program, const kafka::KafkaError& error);

/// The value, or fail().
template <class T>
T expect(const Program& program, Result<T, kafka::KafkaError> result) {
  if (!result) fail(program, result.error());
  return std::move(*result);
}

/// A reader of the configuration's brokers. Does not wait for them.
std::unique_ptr<kafka::Reader> open_reader(const Program& program);

}  // namespace lockstep::tools
