#pragma once

#include "schema.hpp"

namespace lockstep::debezium {

/// Fills in what a field's schema says of the column for whoever makes one like it at the target.
void declare(Column& column, simdjson::dom::object field, const ColumnReader& reader);

}  // namespace lockstep::debezium
