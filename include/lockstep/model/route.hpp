#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

namespace lockstep {

/// A destination of changes, and which ones go there.
struct WebhookRoute {
  std::string name;                          ///< its pipeline is <pipeline>.<name>
  std::map<std::string, std::string> match;  ///< column to value, all equal; empty: every change
  std::string url;                           ///< http or https; may hold a password: never print it
  std::string ca;  ///< certificates of the authorities to trust, PEM; empty: the system's
  std::string method = "POST";
  std::map<std::string, std::string> headers;  ///< never print their values
  std::string body;  ///< {column} stands for its value; empty: the whole change as JSON
  std::chrono::milliseconds timeout{std::chrono::seconds{60}};  ///< of a call, in all
  std::size_t max_in_flight = 64;                               ///< calls at once
  std::size_t rate = 0;                                         ///< calls a second; 0: no limit
  std::string secret;  ///< that bodies are signed with; empty: they are not

  bool operator==(const WebhookRoute&) const = default;
};

}  // namespace lockstep
