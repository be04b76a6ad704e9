#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::http {

/// A request as a handler sees it.
struct Request {
  std::string method;                   ///< in capitals
  std::vector<std::string> parameters;  ///< what stood for the {…} of the route's path, decoded
  std::map<std::string, std::string> query;  ///< decoded; of a name that comes twice the last
  std::string body;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string content_encoding{};  ///< of the body; empty: none
  std::string body;                ///< none with status 204
  std::string cache_control = "no-store";
};

/// {"error": …, "detail": …}: what is wrong, and what to do about it.
Response error(int status, std::string_view error, std::string_view detail);

/// Whom a route answers.
enum class Access : std::uint8_t {
  open,     ///< anybody: probes and scrapers
  page,     ///< anybody who knows us by a name that is ours: nothing that a page elsewhere may read
  guarded,  ///< whoever may see rows and change what is going on: see AccessRules
};

/// Takes the answer of a route that gives it later: once, from any thread. Where the server is no
/// more it goes nowhere.
using Reply = std::function<void(Response)>;

/// What a route waits for, for all that it has a deadline: its thread. Those who wait for other
/// services must not hold up those who ask how the pipelines are.
enum class Waits : std::uint8_t {
  not_at_all,     ///< on the thread of the connections
  for_pipelines,  ///< on the server's second thread
  for_others,     ///< brokers, Connect: on its third
};

struct Route {
  std::string method;
  std::string path;  ///< "/pipelines/{name}/pause"; a {…} stands for one segment
  Access access = Access::guarded;
  Waits waits = Waits::not_at_all;
  std::function<Response(const Request&)> handle;
  /// Instead of handle: returns at once, and answers when it can, within minutes.
  std::function<void(const Request&, Reply)> handle_later{};
};

}  // namespace lockstep::http
