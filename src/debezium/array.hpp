#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lockstep::debezium {

/// Writes a one-dimensional array as PostgreSQL's text[] reads it: {1,NULL,"a \"b\""}.
class ArrayLiteral {
 public:
  void add_null();
  void add(std::string_view element);
  void add_bytes(std::string_view bytes);  ///< as bytea's \x…
  std::string finish() &&;

 private:
  void begin_element();

  std::string text_ = "{";
};

}  // namespace lockstep::debezium
