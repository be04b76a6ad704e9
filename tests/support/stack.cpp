#include "stack.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "catch.hpp"

namespace lockstep::test {

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) {
    FAIL(name << " is not set: there is no stack; run the tests through tests/run.sh, for instance "
                 "tests/run.sh e2e");
  }
  return value;
}

int call(const Stack& stack, const std::string& command) {
  const auto [verb, rest] = std::pair{
      command.substr(0, command.find(' ')),
      command.find(' ') == std::string::npos ? std::string{} : command.substr(command.find(' '))};
  return std::system(
      ("bash '" LOCKSTEP_SOURCE_DIR "/tests/stack.sh' " + verb + " " + stack.name + rest).c_str());
}

}  // namespace

const Stack& Stack::from_environment() {
  static const Stack stack{
      variable("SOURCE_URL"),    variable("TARGET_URL"),
      variable("KAFKA_BROKERS"), variable("CONNECT_URL"),
      variable("REDIS_URL"),     std::filesystem::path{variable("LOCKSTEP_STATE_DIR")}.filename()};
  return stack;
}

void Stack::run(const std::string& command) const {
  INFO("tests/stack.sh " << command);
  REQUIRE(call(*this, command) == 0);
}

void Stack::start(const std::string& service) const {
  run("start-service " + service);
}
void Stack::stop(const std::string& service) const {
  run("stop-service " + service);
}
void Stack::kill(const std::string& service) const {
  run("kill-service " + service);
}
void Stack::freeze(const std::string& service) const {
  run("freeze-service " + service);
}
void Stack::thaw(const std::string& service) const {
  run("thaw-service " + service);
}

std::string unique(const std::string& name) {
  // On a stack that stays up for days a pid comes again.
  static const std::string run =
      std::to_string(getpid()) + "_" +
      std::to_string(std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds{1});
  static int count = 0;
  return name + "_" + run + "_" + std::to_string(++count);
}

Outage::Outage(std::string service, How how) : service_{std::move(service)}, how_{how} {
  const auto& stack = Stack::from_environment();
  switch (how_) {
    case How::stop:
      stack.stop(service_);
      break;
    case How::kill:
      stack.kill(service_);
      break;
    case How::freeze:
      stack.freeze(service_);
      break;
  }
}

Outage::~Outage() {
  if (over_) return;
  const std::string verb = how_ == How::freeze ? "thaw-service " : "start-service ";
  if (call(Stack::from_environment(), verb + service_) != 0) {
    std::cerr << service_ << " does not work again\n";
  }
}

void Outage::end() {
  over_ = true;
  const auto& stack = Stack::from_environment();
  how_ == How::freeze ? stack.thaw(service_) : stack.start(service_);
}

}  // namespace lockstep::test
