#pragma once

#include <algorithm>
#include <chrono>

namespace lockstep {

/// How long to wait before the next try: doubled each time, up to a longest.
struct Backoff {
  std::chrono::milliseconds first;
  std::chrono::milliseconds longest;

  /// After the how-manieth failure, from 1 on.
  constexpr std::chrono::milliseconds after(int failures) const noexcept {
    auto wait = first;
    for (int i = 1; i < failures && wait < longest; ++i) wait *= 2;
    return std::min(wait, longest);
  }
};

}  // namespace lockstep
