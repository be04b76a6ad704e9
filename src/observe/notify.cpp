#include "lockstep/observe/notify.hpp"

#include <systemd/sd-daemon.h>

#include <cstdint>

namespace lockstep::observe {

// The first argument: keep NOTIFY_SOCKET set, there is more to tell later.
void notify_ready() {
  sd_notify(0, "READY=1");
}
void notify_stopping() {
  sd_notify(0, "STOPPING=1");
}

void notify_status(const std::string& line) {
  sd_notify(0, ("STATUS=" + line.substr(0, line.find('\n'))).c_str());
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t interval_us = 0;
  if (sd_watchdog_enabled(0, &interval_us) <= 0) return std::nullopt;
  return std::chrono::microseconds{interval_us};
}

void notify_watchdog() {
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace lockstep::observe
