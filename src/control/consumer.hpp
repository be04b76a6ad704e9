#pragma once

#include <optional>
#include <string>

#include "answer.hpp"
#include "lockstep/config/consumer.hpp"
#include "lockstep/http/health.hpp"
#include "lockstep/model/result.hpp"

/// A consumer as a request has it, as it is kept and as it is shown. Pure.
namespace lockstep::control {

struct WantedConsumer {
  config::Consumer consumer;
  std::string label;      ///< pipeline_name; empty: none
  bool from_end = false;  ///< of a topic that its group has no offset of
  Json json;              ///< what was asked for, without what was null
};

/// Errors: 400, with all mistakes of form. What the values must be is config::to_pipeline()'s.
Result<WantedConsumer, http::Response> wanted_consumer(const std::string& body);
/// The same of what is kept: `json` has started_at, too.
Result<WantedConsumer, http::Response> kept_consumer(const Json& json);

/// `failure`: why it could not be started; empty: it was. `view`: what runs for it, if anything.
Json consumer_summary(const WantedConsumer& wanted, const std::string& failure,
                      const std::optional<http::View>& view);
Json consumer_info(const WantedConsumer& wanted, const std::string& failure,
                   const std::optional<http::View>& view);

}  // namespace lockstep::control
