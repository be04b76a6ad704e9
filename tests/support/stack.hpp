#pragma once

#include <string>

namespace lockstep::test {

/// The stack that tests/run.sh has started for this run, found through the process's environment.
struct Stack {
  std::string source_url;
  std::string target_url;
  std::string brokers;
  std::string connect_url;
  std::string redis_url;
  std::string name;  ///< what tests/stack.sh knows it by

  /// The test fails if there is none.
  static const Stack& from_environment();

  // A service is source, target, kafka, connect or redis. The test fails if the command does.
  void start(const std::string& service) const;   ///< and waits until it answers
  void stop(const std::string& service) const;    ///< in good order
  void kill(const std::string& service) const;    ///< SIGKILL
  void freeze(const std::string& service) const;  ///< SIGSTOP; kafka, connect, redis
  void thaw(const std::string& service) const;    ///< SIGCONT
  /// Runs tests/stack.sh COMMAND on this stack.
  void run(const std::string& command) const;
};

/// The name with something behind it that no other call, test or run on this stack has.
std::string unique(const std::string& name);

/// A service that is stopped, killed or frozen, and there again at the latest with this object's
/// end: a test that fails must not leave the next one without it.
class Outage {
 public:
  enum class How { stop, kill, freeze };
  Outage(std::string service, How how);
  ~Outage();
  Outage(const Outage&) = delete;
  Outage& operator=(const Outage&) = delete;

  void end();

 private:
  const std::string service_;
  const How how_;
  bool over_ = false;
};

}  // namespace lockstep::test
