#pragma once

#include <chrono>
#include <string>

#include "lockstep/model/destination.hpp"

namespace lockstep::webhook {

/// What came of a call.
struct Outcome {
  std::string transport_error{};        ///< why there is no answer; empty: there is one
  long status = 0;                      ///< of the answer
  std::chrono::seconds retry_after{0};  ///< as the answer says; 0: it does not
  /// Of what kind the transport error is: timeout, connect or cut_short.
  CallOutcome error_kind = CallOutcome::cut_short;
  std::chrono::microseconds took{0};
};

/// Pure.
CallOutcome kind_of(const Outcome& outcome);

/// What follows from it.
struct Verdict {
  enum class Kind {
    done,           ///< the destination has it
    again,          ///< it may have it at another time, or once the route is mended
    rest,           ///< it wants no calls for a while
    undeliverable,  ///< it will never have it
  };
  Kind kind = Kind::done;
  std::chrono::seconds rest{0};
  std::string cause{};  ///< of all but done: nothing of URLs, headers or bodies
};

/// No destination is left alone for longer, whatever it says.
inline constexpr std::chrono::seconds longest_rest{std::chrono::hours{1}};

/// Pure.
Verdict judge(const Outcome& outcome);

}  // namespace lockstep::webhook
