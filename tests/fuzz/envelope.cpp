// A sequence of records of one connector. Input: a line with the connector's modes, then a record a
// line: topic, key, value, then names and values of headers, with tabs between them; "null" is
// Kafka's null. A topic that begins with ~ does not follow the record before it.

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>

#include "forms.hpp"
#include "lockstep/debezium/decoder.hpp"

namespace {

using namespace lockstep;
using namespace lockstep::fuzz;
using debezium::BadRecord;
using debezium::Decoded;
using debezium::Decoder;
using debezium::RawRecord;
using debezium::Skipped;

std::optional<std::string> or_null(std::string_view text) {
  return text == "null" ? std::nullopt : std::optional{std::string{text}};
}

class InputHeaders final : public debezium::Headers {
 public:
  explicit InputHeaders(std::string_view rest) {
    while (!rest.empty()) {
      std::string name{take_until(rest, '\t')};
      headers_.emplace_back(std::move(name), or_null(take_until(rest, '\t')));
    }
  }
  bool empty() const { return headers_.empty(); }
  std::optional<std::string_view> find(const char* name) const override {
    for (const auto& [known, value] : headers_) {
      if (known == name && value) return *value;
    }
    return std::nullopt;
  }
  std::vector<Header> all() const override { return {}; }

 private:
  std::vector<std::pair<std::string, std::optional<std::string>>> headers_;
};

/// Kafka refuses topics with other characters in their names.
bool is_of_topics(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '_' || c == '-';
}

/// Owns what the decoder reads: once it is gone, whatever still points into it is found.
struct Input {
  explicit Input(std::string_view line) : is_new{line.starts_with('~')} {
    if (is_new) line.remove_prefix(1);
    topic = take_until(line, '\t');
    std::replace_if(
        topic.begin(), topic.end(), [](char c) { return !is_of_topics(c); }, '_');
    key = or_null(take_until(line, '\t'));
    value = or_null(take_until(line, '\t'));
    headers = std::make_unique<InputHeaders>(line);
  }
  RawRecord record() const {
    return {
        .topic = topic, .key = key, .value = value, .headers = headers.get(), .follows = !is_new};
  }

  bool is_new;
  std::string topic;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::unique_ptr<InputHeaders> headers;
};

ConnectorModes modes_of(std::string_view line) {
  ConnectorModes modes;
  for (const char c : line) {
    if (c >= '0' && c <= '4') modes.binary = static_cast<ConnectorModes::Binary>(c - '0');
    if (c == 'n') modes.placeholder.clear();
    if (c == 'p') modes.placeholder = "p\"\\";
  }
  return modes;
}

/// Without what depends on the records before it.
std::string row_of(const Decoded& decoded) {
  const auto* const change = std::get_if<Change>(&decoded);
  if (change == nullptr) return "none";
  return std::to_string(static_cast<int>(change->op)) + to_string(*change->relation) +
         text_of(change->row_layout, change->row) + std::to_string(change->key.size());
}

/// The same as if it were the first of its topic, and the same when decoded again.
void check_alone(const Input& input, const ConnectorModes& modes, const Decoded& decoded) {
  if (!input.value || !input.headers->empty()) return;
  Decoder fresh{modes};
  Arena arena;
  const auto alone = fresh.decode(input.record(), arena);
  require(row_of(alone) == row_of(decoded), "the records before it change what it is");
  require(alone.index() == decoded.index(), "the records before it change whether it is good");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const ConnectorModes modes = modes_of(take_until(rest, '\n'));
  Decoder decoder{modes};
  Arena arena;
  std::list<std::pair<Change, std::string>> changes;
  while (!rest.empty()) {
    const Input input{take_until(rest, '\n')};
    const Decoded decoded = decoder.decode(input.record(), arena);
    for (const auto& loss : decoder.losses()) {
      require(!loss.what.empty() && is_utf8(loss.column), "a loss of nothing");
    }
    if (const auto* const change = std::get_if<Change>(&decoded)) {
      check(*change);
      changes.emplace_back(*change, text_of(*change));
    } else if (const auto* const bad = std::get_if<BadRecord>(&decoded)) {
      require(!bad->cause.empty() && is_utf8(bad->cause), "a cause is no text", bad->cause);
      const auto key = decoder.decode_key(input.record(), arena);
      if (key) {
        require(input.key.has_value(), "a key of nothing");
        require(!key->key.empty() && key->key.size() == key->key_layout->columns.size(),
                "a key that is none");
      }
    } else {
      require(!name(std::get<Skipped>(decoded).rule).empty(), "a rule has a name");
    }
    check_alone(input, modes, decoded);
  }
  for (const auto& [change, text] : changes) {
    require(text_of(change) == text, "a change is no longer what it was", text);
  }
  return 0;
}
