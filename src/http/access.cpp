#include "lockstep/http/access.hpp"

#include <algorithm>
#include <cctype>

namespace lockstep::http {

namespace {

/// Takes as long wherever they differ.
bool equal_secrets(const std::string& given, const std::string& wanted) {
  unsigned difference = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(wanted[i % std::max<std::size_t>(1, wanted.size())]);
  }
  return difference == 0;
}

/// "": none of ours. All are compared, so that the time says nothing of which.
std::string token_name(const AccessRules& rules, const std::string& shown) {
  std::string found;
  for (const auto& [name, secret] : rules.tokens) {
    if (equal_secrets(shown, secret)) found = name;
  }
  return found;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Without the port: localhost:8000, [::1]:8000.
std::string host_of(const std::string& authority) {
  if (!authority.empty() && authority.front() == '[') {
    const auto end = authority.find(']');
    return end == std::string::npos ? authority : authority.substr(0, end + 1);
  }
  return lower(authority.substr(0, authority.find(':')));
}

bool is_address(const std::string& host) {
  if (!host.empty() && host.front() == '[') return host.back() == ']';
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isdigit(c) != 0 || c == '.';
  });
}

bool is_ours(const AccessRules& rules, const std::string& host) {
  return is_address(host) || host == "localhost" ||
         std::any_of(rules.hosts.begin(), rules.hosts.end(),
                     [&](const std::string& ours) { return lower(ours) == host; });
}

/// A page that we have served, or one that is allowed.
bool is_from_our_page(const AccessRules& rules, const Caller& caller) {
  if (!caller.origin) return caller.fetch_site != "cross-site";
  if (std::find(rules.origins.begin(), rules.origins.end(), *caller.origin) !=
      rules.origins.end()) {
    return true;
  }
  const auto scheme = caller.origin->find("://");
  return scheme != std::string::npos &&
         lower(caller.origin->substr(scheme + 3)) == lower(caller.host);
}

}  // namespace

Result<std::string, Response> admit(const AccessRules& rules, const Caller& caller, Access access) {
  const std::string name = token_name(rules, caller.token);
  if (access == Access::open) return name;
  if (const auto host = host_of(caller.host); !is_ours(rules, host)) {
    return error(403, "unknown host",
                 "\"" + host + "\" is not a name of this server: add it to http.allowed_hosts");
  }
  if (!is_from_our_page(rules, caller)) {
    return error(403, "other origin",
                 "pages of " + caller.origin.value_or("other sites") +
                     " may not call this server: add the origin to http.allowed_origins");
  }
  if (access == Access::page || !name.empty()) return name;
  if (!rules.tokens.empty()) {
    return caller.token.empty()
               ? error(401, "token needed",
                       "send Authorization: Bearer <http.token, or one of http.tokens>")
               : error(401, "wrong token", "it is not http.token, nor one of http.tokens");
  }
  if (caller.is_local) return name;
  return error(403, "not from here",
               "without http.token this answers only on the machine that lockstepd runs on: set "
               "http.token, or http.tokens, and send it as Authorization: Bearer …");
}

}  // namespace lockstep::http
