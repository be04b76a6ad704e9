#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/model/change.hpp"

namespace lockstep::postgres {

/// What a value must be like, for the target's column would silently store another.
struct Fit {
  enum class Rule : std::uint8_t {
    text,             ///< no schemaless number: nothing says what it counts
    sure_decimal,     ///< no schemaless text that may be base64 as well
    decimals,         ///< a number with at most `limit` digits after the point, zeros not counted
    second_decimals,  ///< the same for the seconds of a time
    interval_field,   ///< an interval with nothing below the field that `limit` says
    day_micros,       ///< a schemaless number of less than a day's microseconds, or a text
    multiple,         ///< of `limit`
    characters,       ///< at most `limit` of them, unless more than blanks are too many: that is an
                      ///< error already
    bytes,            ///< at most `limit` of them
    single_precision,  ///< a number that a real holds, or of at most `limit` digits
    label              ///< one of `labels`
  };
  /// The last field of an interval, from which each below is cut off.
  enum Field : int { years, months, days, hours, minutes };

  Rule rule = Rule::text;
  int limit = 0;
  bool in_array = false;  ///< for each element: of {1,NULL,"a"} or, schemaless, of [1,null,"a"]
  std::string advice{};   ///< for the operator: why not, and what to do
  std::vector<std::string> labels{};
  /// The enum that they are of, as SQL, if it is the source's: then it may get another one.
  std::string type{};
};

/// Of a cell that is not NULL.
bool fits(const Fit& fit, const Cell& cell);

/// An enum's label that a type lacks.
struct Label {
  std::string type;  ///< as SQL; empty: it is not the source's type
  std::string name;
};
/// The first of the cell that is none of the fit's labels. `fit`: of Rule::label.
std::optional<Label> missing_label(const Fit& fit, const Cell& cell);

}  // namespace lockstep::postgres
