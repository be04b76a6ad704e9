#include "kafka.hpp"

namespace lockstep::tools {

void fail(const Program& program, const kafka::KafkaError& error) {
  throw Failure{"kafka " + program.config().kafka.brokers + ": " + error.message +
                "; does it run, and is it where kafka.brokers of the configuration says?"};
}

std::unique_ptr<kafka::Reader> open_reader(const Program& program) {
  const auto& kafka = program.config().kafka;
  return expect(program, kafka::Reader::open({.brokers = kafka.brokers,
                                              .group = "lockstep-tools",
                                              .topics = {},
                                              .properties = kafka.properties}));
}

}  // namespace lockstep::tools
