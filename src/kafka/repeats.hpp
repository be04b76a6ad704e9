#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace lockstep::kafka {

/// Which of the texts that come again and again to say: texts about one subject that differ in
/// numbers only are one.
class Repeats {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes interval{1};

  /// How often it came since it was last said, this time included; 0: not to be said now.
  std::uint64_t note(const std::string& subject, const std::string& text, Clock::time_point now) {
    std::erase_if(seen_, [&](const auto& entry) { return now - entry.second.last > 2 * interval; });
    auto& seen = seen_[subject + ": " + without_numbers(text)];
    seen.last = now;
    ++seen.unsaid;
    if (seen.said != Clock::time_point{} && now - seen.said < interval) return 0;
    seen.said = now;
    return std::exchange(seen.unsaid, 0);
  }

 private:
  struct Seen {
    Clock::time_point said;
    Clock::time_point last;
    std::uint64_t unsaid = 0;
  };

  static std::string without_numbers(std::string text) {
    std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
    return text;
  }

  std::map<std::string, Seen> seen_;
};

}  // namespace lockstep::kafka
