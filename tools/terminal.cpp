#include "terminal.hpp"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace lockstep::tools {
namespace {

/// https://no-color.org: set and not empty, whatever to.
bool coloured(int stream) {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  return ::isatty(stream) != 0 && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string_view{terminal} != "dumb");
}

std::string in_manner(int stream, std::string_view code, std::string_view text) {
  if (!coloured(stream)) return std::string{text};
  return "\x1b[" + std::string{code} + "m" + std::string{text} + "\x1b[0m";
}

}  // namespace

std::string bold(std::string_view text) {
  return in_manner(STDOUT_FILENO, "1", text);
}
std::string dim(std::string_view text) {
  return in_manner(STDOUT_FILENO, "2", text);
}
std::string green(std::string_view text) {
  return in_manner(STDOUT_FILENO, "32", text);
}
std::string red(std::string_view text) {
  return in_manner(STDOUT_FILENO, "31", text);
}
std::string error_mark() {
  return in_manner(STDERR_FILENO, "31", "error: ");
}

Progress::Progress(std::size_t total) : total_{total}, shown_{::isatty(STDERR_FILENO) != 0} {}

Progress::~Progress() {
  if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
}

void Progress::at(std::size_t done) {
  const auto now = Clock::now();
  if (!shown_ || now < next_ || total_ == 0) return;
  next_ = now + std::chrono::milliseconds{100};
  constexpr std::size_t width = 30;
  const std::size_t filled = width * done / total_;
  const auto seconds = std::chrono::duration<double>(now - begun_).count();
  std::cerr << "\r[" << std::string(filled, '#') << std::string(width - filled, '-') << "] " << done
            << " of " << total_ << ", " << static_cast<long>(static_cast<double>(done) / seconds)
            << "/s\x1b[K" << std::flush;
  drawn_ = true;
}

}  // namespace lockstep::tools
