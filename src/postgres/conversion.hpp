#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "array.hpp"
#include "fit.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/postgres/catalog.hpp"

namespace lockstep::postgres {

/// How the cells of a source column become values of a target column.
struct Conversion {
  Element element = Element::text;  ///< what they are sent as
  std::string expression;           ///< SQL, made of the operand
  std::vector<Fit> fits{};          ///< what must be refused instead
};

/// nullopt: such cells can't go there without a guess; advice() says what can be done. `operand`:
/// SQL for one element of the parameter.
std::optional<Conversion> conversion(const Column& source, const TargetColumn& target,
                                     const std::string& operand, const ConnectorModes& modes);

/// The same with the element's binary form, where it has one that we write.
Conversion in_binary(Conversion conversion, const Column& source, const TargetColumn& target,
                     const std::string& operand);

std::string advice(const Column& source, const TargetColumn& target);

}  // namespace lockstep::postgres
