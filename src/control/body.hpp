#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "answer.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::control {

/// What a request's body may have.
struct Field {
  enum class Kind : std::uint8_t { text, whole_number, object, anything };
  std::string name;
  Kind kind;
  bool required = false;
};

/// A body's members, checked. Pure.
class Body {
 public:
  /// Errors: 400, with all mistakes: no JSON object, a field that is unknown, missing or of another
  /// kind. null is as if it were not there.
  static Result<Body, http::Response> parse(const std::string& text,
                                            const std::vector<Field>& fields);

  bool has(const std::string& name) const { return json_.contains(name); }
  std::string text(const std::string& name) const;  ///< "": it is not there
  std::optional<std::int64_t> number(const std::string& name) const;
  const Json& at(const std::string& name) const { return json_.at(name); }

 private:
  explicit Body(Json json) : json_(std::move(json)) {}  // {} would make a list of it

  Json json_;
};

}  // namespace lockstep::control
