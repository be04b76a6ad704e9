#include "wakeup.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <system_error>

namespace lockstep::pipeline {

Wakeup::Wakeup() : fd_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (fd_ < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
}

Wakeup::~Wakeup() {
  close(fd_);
}

void Wakeup::notify() const noexcept {
  const std::uint64_t one = 1;
  // It can only fail because the counter is full, and then the waiter is awake already.
  [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
}

void Wakeup::wait(std::chrono::steady_clock::duration timeout) const {
  const auto ns = std::chrono::ceil<std::chrono::nanoseconds>(timeout).count();
  if (ns > 0) {
    pollfd waiting{fd_, POLLIN, 0};
    const timespec limit{static_cast<std::time_t>(ns / 1'000'000'000), ns % 1'000'000'000};
    if (ppoll(&waiting, 1, &limit, nullptr) <= 0) return;
  }
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = read(fd_, &count, sizeof count);
}

}  // namespace lockstep::pipeline
