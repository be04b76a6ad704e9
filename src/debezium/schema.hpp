#pragma once

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lockstep/debezium/decoder.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::debezium {

struct Reader;

/// In the decoder's inner results; what it says is a part of a BadRecord's cause.
struct Problem {
  std::string text;
  Scope scope = Scope::record;
};

inline Problem of_setup(std::string text) {
  return {std::move(text), Scope::setup};
}

/// A column's type as Kafka Connect's schema describes it.
struct ConnectType {
  std::string_view type;  ///< "int32", "struct" …
  std::string_view name;  ///< "io.debezium.time.Date" …; empty for a plain type
  std::string_view scale;
  std::string_view length;
  std::string_view source_type;   ///< __debezium.source.column.type
  std::string_view source_scale;  ///< __debezium.source.column.scale
  bool is_optional = true;
  std::string_view precision;  ///< connect.decimal.precision
};

/// A member that is a string; empty if there is none.
std::string_view string_at(simdjson::dom::object object, std::string_view key);

/// Of one field of a struct's schema. Points into it.
ConnectType connect_type(simdjson::dom::object field);

/// How the cells of one column are read.
struct ColumnReader {
  std::string key;  ///< json_key() of the column's name
  const Reader* reader = nullptr;
  std::int64_t parameter = 0;       ///< a decimal's scale, the length of a bit string
  const Reader* element = nullptr;  ///< of an array's elements; their parameter is the column's
  const Column* column = nullptr;   ///< the layout's
  bool shows_dimensions = false;    ///< {NULL} was no array of several
  bool has_no_placeholder = false;  ///< NULL may be an unchanged TOASTed value
};

/// The columns of rows or keys with a schema: what they are and how they are read.
struct RowSchema {
  const Layout* layout = nullptr;
  std::vector<ColumnReader> columns;  ///< as many as the layout's
  std::vector<Loss> losses;           ///< of columns, that no single value shows
};

/// Every Layout made, each list of columns once. They are never given up, so their number is
/// bounded.
class Layouts {
 public:
  /// nullptr: there are too many already.
  const Layout* intern(std::vector<Column> columns);

 private:
  std::unordered_map<std::string, std::unique_ptr<const Layout>> layouts_;
};
extern const Problem too_many_layouts;
extern const Problem nul_in_name;

/// Of a schema of type struct. Errors: it is none, or it is malformed.
Result<RowSchema, Problem> row_schema(simdjson::dom::object schema, Layouts& layouts);

}  // namespace lockstep::debezium
