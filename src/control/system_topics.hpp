#pragma once

#include <string_view>

namespace lockstep::control {

/// Kafka's own: offsets of groups, transactions.
bool is_kafkas_own(std::string_view topic);

/// Those, and where Connect keeps configurations, offsets and states: without one of these it can't
/// go on. No API tells what they are, so they go by their usual names: connect-configs,
/// my_connect_offsets. Pure.
bool is_system_topic(std::string_view topic);

}  // namespace lockstep::control
