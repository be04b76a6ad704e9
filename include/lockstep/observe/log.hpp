#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

namespace lockstep::observe {

/// Sends what spdlog's free functions log from here on to stderr, a line an event, times in UTC:
///
///     2026-01-01T00:00:00.123Z info  batch applied rows=3 took_ms=4
///     {"ts":"2026-01-01T00:00:00.123Z","level":"info","msg":"batch applied rows=3 took_ms=4"}
///
/// `level` is trace, debug, info, warn or error. Control characters are escaped: what comes from
/// outside (a database's message, a topic's name) can't begin a line of its own. Call once, before
/// the first thread is started; logging itself is safe from every thread.
void start_logging(std::string_view level, bool json);

}  // namespace lockstep::observe
