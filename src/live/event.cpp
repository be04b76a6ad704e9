#include "event.hpp"

#include <nlohmann/json.hpp>

#include "lockstep/model/text.hpp"

namespace lockstep::live {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t longest_text = 240;
constexpr std::size_t longest_row = 16 * 1024;
constexpr std::size_t longest_record = 256 * 1024;  // of more it says only that it is there
constexpr std::int64_t largest_exact = std::int64_t{1} << 53;

std::string beginning(const std::string& text) {
  return std::string{beginning_of(text, longest_text)} + "…";
}

void shorten(Json& value, bool& cut) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{largest_exact}) {
    value = std::to_string(value.get<std::uint64_t>());
  } else if (value.is_number_integer() && value.get<std::int64_t>() < -largest_exact) {
    value = std::to_string(value.get<std::int64_t>());
  } else if (value.is_string() && value.get_ref<const std::string&>().size() > longest_text) {
    value = beginning(value.get_ref<const std::string&>());
    cut = true;
  } else if (value.is_structured()) {
    auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > longest_text) {
      value = beginning(text);
      cut = true;
    } else {
      for (auto& member : value) shorten(member, cut);
    }
  }
}

/// The columns of a row or key, as far as there is room.
Json row_of(const Json& object, bool& cut) {
  if (!object.is_object()) return nullptr;
  Json row = Json::object();
  std::size_t size = 0;
  for (const auto& [name, value] : object.items()) {
    Json column = value;
    shorten(column, cut);
    size += name.size() + (column.is_string() ? column.get_ref<const std::string&>().size() : 16);
    if (size > longest_row) {
      cut = true;
      break;
    }
    row[name] = std::move(column);
  }
  return row;
}

/// Without its schema, if it has one.
Json payload_of(const std::optional<std::string_view>& text) {
  if (!text) return nullptr;
  Json json = Json::parse(*text, nullptr, false);
  if (json.is_object() && json.size() == 2 && json.contains("schema") && json.contains("payload")) {
    return std::move(json["payload"]);
  }
  return json;
}

Json member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? Json(nullptr) : *found;
}

}  // namespace

Json event_of(const Raw& record) {
  Json event{{"topic", record.topic},
             {"partition", record.partition},
             {"offset", record.offset},
             {"timestamp_ms", record.time_ms ? Json(*record.time_ms) : Json(nullptr)},
             {"op", "?"},
             {"table", nullptr},
             {"key", nullptr},
             {"before", nullptr},
             {"after", nullptr},
             {"source_ts_us", nullptr},
             {"tx", nullptr},
             {"cut", false}};
  const auto size =
      (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  if (size > longest_record) {
    event["cut"] = true;
    return event;
  }
  bool cut = false;
  event["key"] = row_of(payload_of(record.key), cut);
  if (!record.value) {
    event["op"] = "tombstone";
  } else if (const Json value = payload_of(record.value); value.is_object()) {
    const Json op = member(value, "op");
    if (op.is_string()) event["op"] = op;
    event["before"] = row_of(member(value, "before"), cut);
    event["after"] = row_of(member(value, "after"), cut);
    if (const Json source = member(value, "source"); source.is_object()) {
      const Json schema = member(source, "schema");
      const Json table = member(source, "table");
      if (schema.is_string() && table.is_string()) {
        event["table"] = schema.get<std::string>() + "." + table.get<std::string>();
      }
      event["source_ts_us"] = member(source, "ts_us");
      event["tx"] = member(source, "txId");
    }
  }
  event["cut"] = cut;
  return event;
}

}  // namespace lockstep::live
