#include "record_text.hpp"

#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>
#include <vector>

#include "lockstep/model/printable.hpp"

namespace lockstep::daemon {

namespace {

using Json = nlohmann::json;

/// Writes what a parser reads: the document, or only its member "payload".
class Writer : public nlohmann::json_sax<Json> {
 public:
  Writer(bool indented, bool payload_only) : indented_{indented}, payload_only_{payload_only} {}

  /// Whether it is what Connect's converter writes: an object of a schema and a payload.
  bool is_envelope() const { return members_ == 2 && has_schema_ && has_payload_; }
  std::string& text() { return text_; }

  bool null() override { return put("null"); }
  bool boolean(bool value) override { return put(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return put(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return put(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& value) override { return put(value); }
  bool string(string_t& value) override { return put(quoted(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open('{'); }
  bool end_object() override { return close('}'); }
  bool start_array(std::size_t) override { return open('['); }
  bool end_array() override { return close(']'); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

  bool key(string_t& name) override {
    if (levels_.size() == 1) {
      ++members_;
      has_schema_ = has_schema_ || name == "schema";
      has_payload_ = has_payload_ || name == "payload";
      in_payload_ = name == "payload";
    }
    if (!shown() || (payload_only_ && levels_.size() == 1)) return true;
    begin_element();
    text_ += quoted(name) + (indented_ ? ": " : ":");
    after_key_ = true;
    return true;
  }

 private:
  static std::string quoted(const std::string& text) { return Json(text).dump(); }

  /// Not of what is around the payload, where only that is wanted.
  bool shown() const { return !payload_only_ || (in_payload_ && !levels_.empty()); }
  /// How deep in what is shown.
  std::size_t depth() const { return levels_.size() - (payload_only_ ? 1 : 0); }

  void begin_element() {
    if (after_key_ || depth() == 0) {
      after_key_ = false;
      return;
    }
    if (levels_.back()++ > 0) text_ += ',';
    new_line();
  }
  void new_line() {
    if (indented_) text_ += "\n" + std::string(2 * depth(), ' ');
  }
  bool put(const std::string& value) {
    if (!shown()) return true;
    begin_element();
    text_ += value;
    return true;
  }
  bool open(char bracket) {
    if (shown()) {
      begin_element();
      text_ += bracket;
    }
    levels_.push_back(0);
    return true;
  }
  bool close(char bracket) {
    const bool empty = levels_.back() == 0;
    levels_.pop_back();
    if (!shown()) return true;
    if (!empty) new_line();
    text_ += bracket;
    return true;
  }

  const bool indented_;
  const bool payload_only_;
  std::string text_;
  std::vector<std::size_t> levels_;  // the elements so far of each object or array that is open
  bool after_key_ = false;
  bool in_payload_ = false;
  bool has_schema_ = false;
  bool has_payload_ = false;
  int members_ = 0;
};

bool is_utf8(std::string_view text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string hexadecimal(std::string_view bytes) {
  std::string text = "0x";
  std::array<char, 3> digits{};
  for (const char byte : bytes) {
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
    text += digits.data();
  }
  return text;
}

/// As JSON in one line.
std::string element(std::optional<std::string_view> bytes, bool with_schema) {
  if (!bytes) return "null";
  if (auto json = json_text(*bytes, false, with_schema)) return *json;
  return is_utf8(*bytes) ? Json(*bytes).dump() : "\"" + hexadecimal(*bytes) + "\"";
}

std::string element(const std::optional<std::string_view>& header) {
  if (!header) return "null";
  return is_utf8(*header) ? Json(*header).dump() : "\"" + hexadecimal(*header) + "\"";
}

std::string shown(const std::optional<std::string_view>& bytes) {
  if (!bytes) return "null";
  return is_utf8(*bytes) ? printable(*bytes) : hexadecimal(*bytes);
}

/// For people: each line but the first with `indent`.
std::string shown_document(std::optional<std::string_view> bytes, bool with_schema,
                           std::string_view indent) {
  auto json = bytes ? json_text(*bytes, !indent.empty(), with_schema) : std::nullopt;
  if (!json) return shown(bytes);
  std::string text;
  for (const char c : *json) {
    text += c;
    if (c == '\n') text += indent;
  }
  return text;
}

constexpr std::string_view letter_prefix = "lockstep.";

/// What a dead letter says of itself, in its headers.
constexpr std::array<std::pair<const char*, const char*>, 8> letter_fields{{
    {"cause", "lockstep.error"},
    {"stage", "lockstep.stage"},
    {"pipeline", "lockstep.pipeline"},
    {"topic", "lockstep.topic"},
    {"partition", "lockstep.partition"},
    {"offset", "lockstep.offset"},
    {"row", "lockstep.key"},
    {"time", "lockstep.time"},
}};

bool is_letter(const kafka::Message& message) {
  return message.header("lockstep.error") && message.header("lockstep.topic");
}

}  // namespace

std::string time_text(std::int64_t ms_since_1970) {
  const std::time_t seconds = ms_since_1970 / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> day{};
  std::strftime(day.data(), day.size(), "%Y-%m-%d %H:%M:%S", &utc);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(ms_since_1970 % 1000));
  return std::string{day.data()} + fraction.data();
}

std::optional<std::string> json_text(std::string_view document, bool indented, bool with_schema) {
  if (!with_schema) {
    Writer payload{indented, true};
    if (!Json::sax_parse(document, &payload)) return std::nullopt;
    if (payload.is_envelope()) return std::move(payload.text());
  }
  Writer whole{indented, false};
  if (!Json::sax_parse(document, &whole)) return std::nullopt;
  return std::move(whole.text());
}

bool is_key(std::optional<std::string_view> key, const std::string& meant) {
  if (!key) return false;
  if (*key == meant) return true;
  auto document = Json::parse(*key, nullptr, false);
  if (document.is_discarded()) return false;
  if (document.is_object() && document.size() == 2 && document.contains("schema") &&
      document.contains("payload")) {
    document = Json(document["payload"]);
  }
  const auto wanted = Json::parse(meant, nullptr, false);
  const auto is_meant = [&](const Json& value) {
    return (!wanted.is_discarded() && value == wanted) || (value.is_string() && value == meant);
  };
  return is_meant(document) ||
         (document.is_object() && document.size() == 1 && is_meant(*document.begin()));
}

std::string record_title(const kafka::Message& message) {
  const TopicPartition tp{std::string{message.topic()}, message.partition()};
  const auto time = message.time_ms();
  return to_string(tp, message.offset()) + (time ? "  " + time_text(*time) : "");
}

void print_record(std::ostream& out, const kafka::Message& message, bool with_schema) {
  const auto line = [&](const char* name, const std::string& text) {
    out << "  " << name << std::string(9 - std::string_view{name}.size(), ' ') << text << '\n';
  };
  const bool letter = is_letter(message);
  if (letter) {
    const auto field = [&](const char* name) { return shown(message.header(name)); };
    line("cause", field("lockstep.error"));
    line("from", field("lockstep.topic") + "[" + field("lockstep.partition") + "]@" +
                     field("lockstep.offset") + " of pipeline " + field("lockstep.pipeline") +
                     ", stage " + field("lockstep.stage") + ", " + field("lockstep.time"));
    line("row", field("lockstep.key"));
  }
  line("key", shown_document(message.key(), with_schema, ""));
  line("value", shown_document(message.value(), with_schema, std::string(11, ' ')));
  const char* name = "headers";
  for (const auto& header : message.headers()) {
    if (letter && header.name.starts_with(letter_prefix)) continue;
    line(name, printable(header.name) + "=" + shown(header.value));
    name = "";
  }
}

std::string record_json(const kafka::Message& message, bool with_schema) {
  std::string json = "{\"topic\":" + element(message.topic()) +
                     ",\"partition\":" + std::to_string(message.partition()) +
                     ",\"offset\":" + std::to_string(message.offset().value);
  const auto time = message.time_ms();
  json += ",\"time\":" + (time ? "\"" + time_text(*time) + "\"" : "null");
  if (is_letter(message)) {
    json += ",\"dead_letter\":{";
    const char* comma = "";
    for (const auto& [field, header] : letter_fields) {
      const auto value = message.header(header);
      const std::string_view name{field};
      const bool number = (name == "partition" || name == "offset") && value &&
                          value->find_first_not_of("0123456789") == value->npos && !value->empty();
      json += comma + Json(name).dump() + ":" + (number ? std::string{*value} : element(value));
      comma = ",";
    }
    json += "}";
  }
  json += ",\"key\":" + element(message.key(), with_schema) +
          ",\"value\":" + element(message.value(), with_schema) + ",\"headers\":[";
  const char* comma = "";
  for (const auto& header : message.headers()) {
    json += comma + std::string{"{\"name\":"} + element(header.name) +
            ",\"value\":" + element(header.value) + "}";
    comma = ",";
  }
  return json + "]}";
}

}  // namespace lockstep::daemon
