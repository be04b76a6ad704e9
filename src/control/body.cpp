#include "body.hpp"

#include <algorithm>
#include <limits>

#include "lockstep/config/nearest.hpp"

namespace lockstep::control {

namespace {

bool is_of(const Json& value, Field::Kind kind) {
  switch (kind) {
    case Field::Kind::text:
      return value.is_string() && !value.get_ref<const std::string&>().empty();
    case Field::Kind::whole_number:
      return value.is_number_integer() &&
             (!value.is_number_unsigned() ||
              value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max());
    case Field::Kind::object:
      return value.is_object();
    case Field::Kind::anything:
      break;
  }
  return true;
}

const char* name_of(Field::Kind kind) {
  switch (kind) {
    case Field::Kind::text:
      return "a text";
    case Field::Kind::whole_number:
      return "a whole number";
    case Field::Kind::object:
      return "an object";
    case Field::Kind::anything:
      break;
  }
  return "a value";
}

}  // namespace

Result<Body, http::Response> Body::parse(const std::string& text,
                                         const std::vector<Field>& fields) {
  auto json = Json::parse(text, nullptr, false);
  std::vector<std::string> names;
  for (const auto& field : fields) names.push_back(field.name);
  if (!json.is_object()) {
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
    return http::error(400, "no JSON object", "the body is an object with " + all);
  }
  std::vector<std::string> mistakes;
  for (const auto& [name, value] : json.items()) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto meant = config::nearest(name, names);
    mistakes.push_back(name + " is not known" +
                       (meant.empty() ? std::string{} : ", did you mean " + meant.front() + "?"));
  }
  for (const auto& field : fields) {
    const auto found = json.find(field.name);
    if (found != json.end() && found->is_null()) json.erase(field.name);
    if (!json.contains(field.name)) {
      if (field.required) {
        mistakes.push_back(field.name + " is missing, expected " + name_of(field.kind));
      }
    } else if (!is_of(json.at(field.name), field.kind)) {
      mistakes.push_back(field.name + " has to be " + name_of(field.kind) +
                         (field.kind == Field::Kind::text ? " that is not empty" : ""));
    }
  }
  if (!mistakes.empty()) return http::error(400, "bad body", joined(mistakes));
  return Body{std::move(json)};
}

std::string Body::text(const std::string& name) const {
  return has(name) ? json_.at(name).get<std::string>() : "";
}

std::optional<std::int64_t> Body::number(const std::string& name) const {
  if (!has(name)) return std::nullopt;
  return json_.at(name).get<std::int64_t>();
}

}  // namespace lockstep::control
