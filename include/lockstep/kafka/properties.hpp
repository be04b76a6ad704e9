#pragma once

#include <array>
#include <string_view>

namespace lockstep::kafka {

/// A property of librdkafka that is not the user's to set: what else is built on its value.
struct OwnedProperty {
  std::string_view name;
  std::string_view value;    ///< empty: known when a client is opened (the brokers, the group)
  std::string_view reason;   ///< follows the name in the message to a user who sets it
  bool may_be_said = false;  ///< a user may write it down all the same, with just this value
  bool of_consumers = true;  ///< else of every client
};

inline constexpr std::array owned_properties{
    OwnedProperty{"bootstrap.servers", "", "is kafka.brokers here; write it there", false, false},
    OwnedProperty{"metadata.broker.list", "", "is kafka.brokers here; write it there", false,
                  false},
    OwnedProperty{"group.id", "", "is always lockstep.<pipeline's name>"},
    OwnedProperty{"enable.auto.commit", "false",
                  "is always false: offsets are committed after the target's COMMIT"},
    OwnedProperty{"enable.auto.offset.store", "false",
                  "is always false: offsets are committed after the target's COMMIT"},
    OwnedProperty{"auto.offset.reset", "error",
                  "is always error: a position that Kafka no longer has must not become a jump"},
    OwnedProperty{"partition.assignment.strategy", "range",
                  "can't be set: what happens at a rebalance depends on it"},
    OwnedProperty{"enable.partition.eof", "true",
                  "can't be set: Lockstep tells by it when it has caught up"},
    OwnedProperty{
        "isolation.level", "read_committed",
        "is always read_committed: what the source's connector has rolled back must not be applied",
        true},
    OwnedProperty{"receive.message.max.bytes", "2147483647",
                  "is always at its maximum: a response above it would be asked for without end"},
};

}  // namespace lockstep::kafka
