#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "lockstep/model/position.hpp"
#include "lockstep/model/result.hpp"
#include "lockstep/pipeline/status.hpp"

/// What a pipeline still lacks of what somebody waits for. Pure.
namespace lockstep::source {

struct NoTopic {
  std::string cause;
};
/// The topic of the source's messages, by those of its tables. Errors: there is none, or they are
/// of several connectors.
Result<std::string, NoTopic> message_topic_of(const std::map<std::string, int>& topics);

struct Standing {
  enum class Is : std::uint8_t {
    there,   ///< all before the ends is applied
    behind,  ///< it comes by itself
    stuck,   ///< it does not, before an operator has done something
  };
  Is is = Is::there;
  std::string detail;  ///< what is missing, and why
  /// Of what is stuck a partition, and up to where it has been passed; nullopt: not begun. Behind
  /// that there may be nothing but markers of transactions.
  std::optional<std::pair<TopicPartition, std::optional<NextOffset>>> stuck_at{};
};

/// `ends`: what must be applied, of each partition all before.
Standing standing(const pipeline::PipelineStatus& status,
                  const std::map<TopicPartition, NextOffset>& ends);

}  // namespace lockstep::source
