#include "answer.hpp"

#include <algorithm>

namespace lockstep::webhook {

namespace {

constexpr long request_timeout = 408;
constexpr long too_early = 425;
constexpr long too_many_requests = 429;
constexpr long service_unavailable = 503;

}  // namespace

Verdict judge(const Outcome& outcome) {
  using Kind = Verdict::Kind;
  if (!outcome.transport_error.empty()) return {Kind::again, {}, outcome.transport_error};
  const long status = outcome.status;
  if (status >= 200 && status < 300) return {};
  const std::string cause = "HTTP " + std::to_string(status);
  const bool may_rest = status == too_many_requests || status == service_unavailable;
  if (may_rest && outcome.retry_after.count() > 0) {
    return {Kind::rest, std::min(outcome.retry_after, longest_rest), cause};
  }
  const bool passes = status == request_timeout || status == too_early ||
                      status == too_many_requests || status >= 500 || status < 200;
  return {passes ? Kind::again : Kind::undeliverable, {}, cause};
}

}  // namespace lockstep::webhook
