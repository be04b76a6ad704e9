#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/http/message.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::http {

/// Who may see rows and change what is going on.
///
/// With tokens: whoever shows one. Without: whoever comes from this machine. Pages of other origins
/// may not, nor may a page that has made its own name point to us (DNS rebinding): a browser must
/// name us by an address, as localhost, or as one of `hosts`.
struct AccessRules {
  /// By the name that the log calls who shows it; no secret is empty.
  std::map<std::string, std::string> tokens;
  std::vector<std::string> hosts;  ///< names, without ports
  std::vector<std::string>
      origins;  ///< of pages that may call us all the same: https://ops.example
};

/// What a request says of where it comes from.
struct Caller {
  bool is_local = false;                  ///< its address is of the loopback network
  std::string host;                       ///< Host
  std::optional<std::string> origin;      ///< Origin: browsers send it, others don't
  std::optional<std::string> fetch_site;  ///< Sec-Fetch-Site
  std::string token;  ///< Authorization: Bearer …, or of a WebSocket's protocol
};

/// The name of the token that the caller has shown, "" where none is asked for or it is none of
/// ours. Errors: why it does not get through. Pure.
Result<std::string, Response> admit(const AccessRules& rules, const Caller& caller, Access access);

}  // namespace lockstep::http
