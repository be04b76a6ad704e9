#include "answer.hpp"

#include <algorithm>

namespace lockstep::webhook {

namespace {

constexpr long unauthorized = 401;
constexpr long forbidden = 403;
constexpr long not_found = 404;
constexpr long method_not_allowed = 405;
constexpr long proxy_authentication_required = 407;
constexpr long request_timeout = 408;
constexpr long gone = 410;
constexpr long too_early = 425;
constexpr long too_many_requests = 429;
constexpr long service_unavailable = 503;

/// What is wrong with the route, or with what it was given; empty: the answer is about the change.
/// All changes of a route have the same URL, method and headers: what is wrong with those would
/// make a letter of each.
std::string trouble_of_route(long status) {
  if (status == unauthorized || status == forbidden || status == proxy_authentication_required) {
    return ", it does not accept the route's credentials";
  }
  if (status == not_found || status == method_not_allowed || status == gone) {
    return ", it does not know the route's url and method";
  }
  if (status >= 300 && status < 400) return ", a redirect: the route's url has moved";
  return {};
}

}  // namespace

CallOutcome kind_of(const Outcome& outcome) {
  if (!outcome.transport_error.empty()) return outcome.error_kind;
  const long status = outcome.status;
  if (status == too_many_requests) return CallOutcome::too_many;
  if (status >= 500) return CallOutcome::failed;
  if (status >= 400) return CallOutcome::refused;
  if (status >= 300) return CallOutcome::redirect;
  if (status >= 200) return CallOutcome::taken;
  return CallOutcome::cut_short;
}

Verdict judge(const Outcome& outcome) {
  using Kind = Verdict::Kind;
  if (!outcome.transport_error.empty()) return {Kind::again, {}, outcome.transport_error};
  const long status = outcome.status;
  if (status >= 200 && status < 300) return {};
  const auto trouble = trouble_of_route(status);
  const std::string cause = "HTTP " + std::to_string(status) + trouble;
  const bool may_rest = status == too_many_requests || status == service_unavailable;
  if (may_rest && outcome.retry_after.count() > 0) {
    return {Kind::rest, std::min(outcome.retry_after, longest_rest), cause};
  }
  const bool passes = !trouble.empty() || status == request_timeout || status == too_early ||
                      status == too_many_requests || status >= 500 || status < 200;
  return {passes ? Kind::again : Kind::undeliverable, {}, cause};
}

}  // namespace lockstep::webhook
