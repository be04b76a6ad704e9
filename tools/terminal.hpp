#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

/// What is for eyes only: nothing of it is written where the stream is no terminal.
namespace lockstep::tools {

/// The text for standard output, in this manner if that is a terminal and NO_COLOR is not set.
std::string bold(std::string_view text);
std::string dim(std::string_view text);
std::string green(std::string_view text);
std::string red(std::string_view text);

/// "error: ", for standard error.
std::string error_mark();

/// A bar on standard error for work that takes longer than a second. Gone with this object.
class Progress {
 public:
  explicit Progress(std::size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Draws it, ten times a second at most.
  void at(std::size_t done);

 private:
  using Clock = std::chrono::steady_clock;

  const std::size_t total_;
  const bool shown_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point next_ = begun_ + std::chrono::seconds{1};
  bool drawn_ = false;
};

}  // namespace lockstep::tools
