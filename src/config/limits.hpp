#pragma once

#include <chrono>
#include <cstdint>

/// What a threshold sink takes, in the file and at run time.
namespace lockstep::config {

constexpr std::int64_t lowest_max_event = 1;
constexpr std::int64_t highest_max_event = 1'000'000;
constexpr std::chrono::seconds shortest_max_time{1};
constexpr std::chrono::seconds longest_max_time{std::chrono::hours{7 * 24}};

}  // namespace lockstep::config
