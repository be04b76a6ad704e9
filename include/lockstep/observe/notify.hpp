#pragma once

#include <chrono>
#include <optional>
#include <string>

/// What the daemon tells systemd. Without systemd (NOTIFY_SOCKET is unset) nothing happens. Safe
/// from every thread; errors are ignored: there is nobody to tell.
namespace lockstep::observe {

void notify_ready();
void notify_stopping();
void notify_status(const std::string& line);  ///< shown by systemctl status

/// How long systemd waits for a notify_watchdog() before it restarts us; nullopt: it doesn't. Call
/// notify_watchdog() about twice as often.
std::optional<std::chrono::microseconds> watchdog_interval();
void notify_watchdog();

}  // namespace lockstep::observe
