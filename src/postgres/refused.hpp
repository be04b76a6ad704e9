#pragma once

#include <string>

#include "lockstep/model/change.hpp"
#include "plan.hpp"

namespace lockstep::postgres {

/// A batch that must not be applied; leaves the transaction, which rolls back.
struct Refused {
  std::string message;
  const Change* change = nullptr;  ///< the one at fault, where it is one
  bool is_about_rows = false;      ///< of the target: in smaller parts it may go
};

/// The first of a table's problems, in words for the operator.
std::string refusal(const Relation& target, const PlanErrors& errors);

}  // namespace lockstep::postgres
