#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fit.hpp"
#include "lockstep/model/change.hpp"
#include "plan.hpp"

namespace lockstep::postgres {

/// A batch that must not be applied; leaves the transaction, which rolls back.
struct Refused {
  std::string message;
  const Change* change = nullptr;  ///< the one at fault, where it is one
  bool is_about_rows = false;      ///< of the target: in smaller parts it may go
  bool is_about_table = false;     ///< the change is only the first that it matters to
  std::optional<Label> lacks{};    ///< what the target's enum needs first
};

/// The first of a table's problems, in words for the operator. `before`: what the table would have
/// been altered with, and is not now.
std::string refusal(const Relation& target, const PlanErrors& errors,
                    const std::vector<std::string>& before = {});

}  // namespace lockstep::postgres
