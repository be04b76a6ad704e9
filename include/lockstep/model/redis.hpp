#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

/// Where a Redis is, and who calls.
struct RedisServer {
  std::string host = "localhost";
  std::uint16_t port = 6379;
  std::string user;      ///< empty: Redis' default one
  std::string password;  ///< never print it; empty: none is wanted
  int database = 0;

  bool operator==(const RedisServer&) const = default;
};

}  // namespace lockstep
