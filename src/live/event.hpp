#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::live {

/// A record as it came.
struct Raw {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::optional<std::int64_t> time_ms;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
};

/// What the page is sent of it: docs/operation.md lists the members. Long values are cut, whole
/// numbers that JavaScript would round are texts. What is no change of Debezium's has op "?". Pure.
nlohmann::ordered_json event_of(const Raw& record);

}  // namespace lockstep::live
