#include "redis.hpp"

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <stdexcept>

#include "stack.hpp"

namespace lockstep::test {

Redis::Redis() : url_{Stack::from_environment().redis_url} {}

std::vector<std::string> Redis::ask(const std::string& command) const {
  const auto line = "timeout 10 redis-cli -e --raw -u '" + url_ + "' " + command + " 2>&1";
  std::FILE* const pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error{"redis-cli can't be started"};
  std::string text;
  char part[4096];
  while (const auto size = std::fread(part, 1, sizeof part, pipe)) text.append(part, size);
  if (pclose(pipe) != 0) throw std::runtime_error{"redis-cli " + command + ": " + text};
  std::vector<std::string> lines;
  std::istringstream all{text};
  for (std::string one; std::getline(all, one);) lines.push_back(one);
  return lines;
}

std::map<std::string, std::string> Redis::hash(const std::string& key) const {
  const auto lines = ask("HGETALL " + key);
  std::map<std::string, std::string> hash;
  for (std::size_t i = 0; i + 1 < lines.size(); i += 2) hash.emplace(lines[i], lines[i + 1]);
  return hash;
}

std::vector<std::string> Redis::keys(const std::string& pattern) const {
  auto keys = ask("KEYS '" + pattern + "'");
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace lockstep::test
