#pragma once

#include <memory>

#include "lockstep/model/sink.hpp"

namespace lockstep::console {

/// Each change as a line on standard output (event/event.hpp), in arrival order, flushed with its
/// batch. Needs a pipeline that keeps origins; keeps no positions. Several may write at once: their
/// lines don't mix. Errors: unavailable, if nobody reads standard output any more, or it is full.
std::unique_ptr<Sink> make_sink(bool json);

}  // namespace lockstep::console
