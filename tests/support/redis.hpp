#pragma once

#include <map>
#include <string>
#include <vector>

namespace lockstep::test {

/// Asks the stack's Redis by redis-cli. A failure is a std::runtime_error.
class Redis {
 public:
  Redis();  ///< the stack's

  /// What it answers, a line each; nil is an empty line.
  std::vector<std::string> ask(const std::string& command) const;
  std::string get(const std::string& key) const { return ask("GET " + key).at(0); }
  std::map<std::string, std::string> hash(const std::string& key) const;
  std::vector<std::string> keys(const std::string& pattern) const;  ///< in order

 private:
  const std::string url_;
};

}  // namespace lockstep::test
