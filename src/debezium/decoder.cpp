#include "lockstep/debezium/decoder.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "convert.hpp"
#include "json.hpp"
#include "lockstep/model/names.hpp"
#include "lockstep/model/text.hpp"
#include "number.hpp"
#include "schema.hpp"

namespace lockstep::debezium {
namespace {

constexpr std::size_t most_relations = 10'000;
constexpr std::size_t most_shapes_per_topic = 8;

const Problem malformed{"malformed JSON"};

constexpr std::string_view no_schema =
    "messages without schema don't show what the connector has lost of their values: set "
    "value.converter.schemas.enable=true";

/// How a topic's keys or values are wrapped: what stands before and behind the payload, byte for
/// byte. A record is of the shape if it has both and all between them is one JSON object; then the
/// schema in them is the one that was read when the shape was first seen.
struct Shape {
  std::string prefix;
  std::string suffix;
  bool has_schema = false;  ///< false: the payload is schemaless JSON
  std::string schema_name;
  /// Of the key, or of the envelope's `after`; nullopt: the value's schema is no envelope.
  std::optional<RowSchema> row;

  std::optional<std::string_view> payload_of(std::string_view record) const {
    if (record.size() < prefix.size() + suffix.size()) return std::nullopt;
    const auto end = record.size() - suffix.size();
    if (std::memcmp(record.data(), prefix.data(), prefix.size()) != 0 ||
        std::memcmp(record.data() + end, suffix.data(), suffix.size()) != 0) {
      return std::nullopt;
    }
    return record.substr(prefix.size(), end - prefix.size());
  }
};

/// The shapes of one topic's keys or values, newest first.
struct Shapes {
  std::vector<std::unique_ptr<const Shape>> known;
  const Layout* untyped = nullptr;  ///< of the last row or key without a schema
};

/// What the record before this one in its topic said of the key of this one's row.
enum class Announced : std::uint8_t {
  not_known,  ///< nobody knows what stood before it
  nothing,
  new_key,        ///< the delete of a row that gets another key: Change::other_key
  unreadable_key  ///< the same, but it became a mere delete
};

struct Topic {
  Shapes keys;
  Shapes values;
  Announced announced = Announced::not_known;
  std::string removed_key;             ///< if the last record was a delete: its key, as it came
  const Layout* row_layout = nullptr;  ///< of the last value with a schema
  // Keys come without the source's types: what they are with those of the row.
  const Layout* key_layout = nullptr;
  const Layout* typed_by = nullptr;
  const Layout* typed_key_layout = nullptr;
  const Relation* relation = nullptr;  ///< of the last change
  bool has_several_relations = false;

  void note(const Relation* of_change) {
    if (relation != nullptr && relation != of_change) has_several_relations = true;
    relation = of_change;
  }
};

/// The cells of a row or key.
struct Cells {
  const Layout* layout = nullptr;
  std::span<const Cell> cells;
  bool has_unchanged = false;
};

/// What a record's value holds, as far as a Change needs it.
struct Envelope {
  std::optional<char> op;
  std::optional<Cells> before;  ///< only where it was asked for
  std::optional<Cells> after;
  const Relation* relation = nullptr;
  std::int64_t source_ts_us = 0;
  std::string_view source_position;
  bool has_before = false;
  bool is_heartbeat = false;
  bool is_transaction = false;
};

struct TransparentHash : std::hash<std::string_view> {
  using is_transparent = void;
};

/// Remembers which members of an object were there; a second time is an error.
class Once {
 public:
  bool operator()(unsigned member) noexcept {
    const unsigned bit = 1U << member;
    const bool first = (seen_ & bit) == 0;
    seen_ |= bit;
    return first;
  }

 private:
  unsigned seen_ = 0;
};

Problem in_column(const Column& column, const Problem& problem) {
  return {"column \"" + column.name + "\" (" + column.described + "): " + problem.text,
          problem.scope};
}

Problem malformed_because(simdjson::error_code error) {
  return {malformed.text + ": " + simdjson::error_message(error)};
}

/// Of a schema registry (Avro, Protobuf, JSON Schema), or of StringConverter.
bool is_of_other_converter(std::string_view record) {
  return record.starts_with('\0') || record.starts_with("Struct{");
}

Problem other_converter(bool is_key) {
  return of_setup("no JSON, but what another converter writes: set " +
                  std::string{is_key ? "key" : "value"} +
                  ".converter=org.apache.kafka.connect.json.JsonConverter on the connector");
}

/// The schema of the envelope's `after`; nullopt: the schema is no envelope's.
std::optional<simdjson::dom::object> after_of(simdjson::dom::object envelope) {
  simdjson::dom::array fields;
  if (envelope["fields"].get(fields) != simdjson::SUCCESS) return std::nullopt;
  for (const simdjson::dom::element element : fields) {
    simdjson::dom::object field;
    std::string_view name;
    if (element.get(field) == simdjson::SUCCESS && field["field"].get(name) == simdjson::SUCCESS &&
        name == "after") {
      return field;
    }
  }
  return std::nullopt;
}

/// Whether schemaless JSON may be a wrapper instead: learn() must decide.
bool may_be_wrapper(std::string_view json) {
  return json.starts_with(R"({"schema")") || json.starts_with(R"({"payload")") ||
         !json.starts_with(R"({")");
}

// Of the two records that a row's new key comes as: of the delete, and of the create.
constexpr auto new_key = "__debezium.newkey";
constexpr auto old_key = "__debezium.oldkey";

/// One text for all that are equal at the source: 1.50 and 1.5, 0.0 and -0.0.
struct Canonical {
  std::string_view head;
  std::string_view tail;  ///< an exponent
  std::size_t size() const { return head.size() + tail.size(); }
};

Canonical canonical(const Column& column, std::string_view text) {
  if (column.type == ValueType::floating && (text == "-0.0" || text == "-0")) {
    return {text.substr(1), {}};
  }
  if (column.type != ValueType::numeric) return {text, {}};
  const auto exponent = std::min(text.find_first_of("eE"), text.size());
  std::string_view head = text.substr(0, exponent);
  if (head.find('.') != std::string_view::npos) {
    while (head.ends_with('0')) head.remove_suffix(1);
    if (head.ends_with('.')) head.remove_suffix(1);
  }
  return {head, text.substr(exponent)};
}

/// Each cell as its kind, size and bytes: no two different keys are the same bytes.
std::string_view bytes_of(const Cells& key, Arena& arena) {
  std::size_t size = 0;
  for (const Cell& cell : key.cells) size += 1 + sizeof(std::uint32_t) + cell.view().size();
  char* const bytes = arena.allocate_bytes(size);
  char* next = bytes;
  const auto put = [&](std::string_view text) {
    if (!text.empty()) std::memcpy(next, text.data(), text.size());
    next += text.size();
  };
  for (std::size_t i = 0; i < key.cells.size(); ++i) {
    const auto text = canonical(key.layout->columns[i], key.cells[i].view());
    const auto text_size = static_cast<std::uint32_t>(text.size());
    *next++ = static_cast<char>(key.cells[i].kind());
    std::memcpy(next, &text_size, sizeof text_size);
    next += sizeof text_size;
    put(text.head);
    put(text.tail);
  }
  return {bytes, static_cast<std::size_t>(next - bytes)};
}

Key key_of(const Cells& cells, Arena& arena) {
  return {cells.layout, cells.cells, bytes_of(cells, arena)};
}

const Key* keep(const Key& key, Arena& arena) {
  return arena.copy(std::span<const Key>{&key, 1}).data();
}

/// Whether Connect's default converter writes such a key in a header so that it can be read.
bool can_be_header(const Change& change) {
  for (std::size_t i = 0; i < change.key.size(); ++i) {
    const auto text = change.key[i].view();
    const auto type = change.key_layout->columns[i].type;
    if (type == ValueType::floating && text.find_first_of("NI") != std::string_view::npos) {
      return false;
    }
    if (type == ValueType::text &&
        std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; })) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string_view name(SkipRule rule) {
  switch (rule) {
    case SkipRule::heartbeat:
      return "heartbeat";
    case SkipRule::transaction_metadata:
      return "transaction_metadata";
    case SkipRule::logical_message:
      return "logical_message";
    case SkipRule::empty:
      return "empty";
    case SkipRule::tombstone:
      return "tombstone";
    case SkipRule::old_key:
      return "old_key";
  }
  return "unknown";
}

class Decoder::Impl {
 public:
  Impl(ConnectorModes modes, bool keeps_before)
      : modes_{std::move(modes)}, keeps_before_{keeps_before} {}

  void remember(std::string_view topic, const SourceTables& tables);
  Decoded decode(const RawRecord& record, Arena& arena);
  std::optional<Change> decode_key(const RawRecord& record, Arena& arena);
  std::span<const Loss> losses() const noexcept { return losses_; }
  Row before() const noexcept { return before_; }

 private:
  Topic& topic_of(std::string_view name);
  Result<const Relation*, Problem> relation_of(const Topic& topic, std::string_view schema,
                                               std::string_view table);

  /// Opens the record's payload in json_.
  Result<const Shape*, Problem> open(Shapes& shapes, std::string_view record, bool is_key);
  Result<Shape, Problem> learn(std::string_view record, bool is_key);

  Result<Envelope, Problem> read_envelope(Topic& topic, const RawRecord& record, Arena& arena);
  /// Of the values read so far.
  void forget_losses();
  std::optional<Problem> read_source(const Topic& topic, JsonValue& value, Envelope& envelope,
                                     Arena& arena);
  std::optional<Problem> read_key(Topic& topic, std::string_view key, Change& change, Arena& arena);
  Result<const Layout*, Problem> typed_key(Topic& topic, const Layout* key);
  std::optional<Problem> read_row_before(const Envelope& envelope, Change& change, Arena& arena);
  void read_new_key(Topic& topic, const RawRecord& record, Change& change, Arena& arena);
  std::optional<Problem> read_other_key(Topic& topic, const RawRecord& record, Change& change,
                                        Arena& arena);
  std::optional<Problem> read_old_key(Topic& topic, const RawRecord& record, Change& change,
                                      Arena& arena);
  Result<Cells, Problem> read_key_header(Topic& topic, std::string_view header, Arena& arena);
  Result<Cells, Problem> read_cells(simdjson::ondemand::object& object, const Shape& shape,
                                    Shapes& shapes, Arena& arena);
  Result<Cells, Problem> read_typed(simdjson::ondemand::object& object, const RowSchema& schema,
                                    Arena& arena);
  Result<Cells, Problem> read_untyped_cells(simdjson::ondemand::object& object, Shapes& shapes,
                                            Arena& arena);

  Decoded decode(Topic& topic, const RawRecord& record, Arena& arena);
  Decoded change_of(Topic& topic, const Envelope& envelope, const RawRecord& record, Arena& arena);
  Decoded tombstone(Topic& topic, const RawRecord& record, Arena& arena);

  Layouts layouts_;
  std::map<Relation, std::unique_ptr<const Relation>> relations_;
  std::unordered_map<std::string, Topic, TransparentHash, std::equal_to<>> topics_;
  std::string_view last_topic_name_;  // the key of last_topic_ in topics_
  Topic* last_topic_ = nullptr;

  const ConnectorModes modes_;
  const bool keeps_before_;
  const Placeholder placeholder_{modes_.placeholder};
  JsonReader json_;
  simdjson::dom::parser schema_parser_;
  std::vector<Loss> losses_;
  Row before_;
  std::vector<std::string_view> nulls_;  ///< columns whose NULL may be an unchanged value

  // Of the row or key being read; members only to keep their memory.
  std::vector<char> seen_;
  std::vector<Cell> cells_;
  std::vector<std::string_view> names_;
};

Topic& Decoder::Impl::topic_of(std::string_view name) {
  if (last_topic_ != nullptr && name == last_topic_name_) return *last_topic_;
  auto found = topics_.find(name);
  if (found == topics_.end()) found = topics_.emplace(std::string{name}, Topic{}).first;
  last_topic_name_ = found->first;
  last_topic_ = &found->second;
  return *last_topic_;
}

Result<const Relation*, Problem> Decoder::Impl::relation_of(const Topic& topic,
                                                            std::string_view schema,
                                                            std::string_view table) {
  if (topic.relation != nullptr && topic.relation->table == table &&
      topic.relation->schema == schema) {
    return topic.relation;
  }
  const Relation relation{.schema = std::string{schema}, .table = std::string{table}};
  auto found = relations_.find(relation);
  if (found == relations_.end()) {
    if (relations_.size() >= most_relations)
      return of_setup(
          "more than 10000 source tables so far: the topic is not what it should be, or restart "
          "the "
          "daemon");
    found = relations_.emplace(relation, std::make_unique<const Relation>(relation)).first;
  }
  return found->second.get();
}

// A shape is matched without looking at what stands between prefix and suffix. That is exact: if it
// is one JSON object (the reader of json_ finds out), then the record is the wrapper of it. If it
// is not, the record is no JSON, or a wrapper of something else, or has more members than a wrapper
// has: bad in any case.
Result<const Shape*, Problem> Decoder::Impl::open(Shapes& shapes, std::string_view record,
                                                  bool is_key) {
  auto& known = shapes.known;
  const bool schemaless_is_sure = !may_be_wrapper(record);
  std::optional<std::string_view> payload;
  const auto matches = [&](const std::unique_ptr<const Shape>& shape) {
    if (!shape->prefix.empty() || schemaless_is_sure) payload = shape->payload_of(record);
    return payload.has_value();
  };
  const auto match = std::find_if(known.begin(), known.end(), matches);
  if (match != known.end()) {
    std::rotate(known.begin(), match, match + 1);
  } else {
    auto shape = learn(record, is_key);
    if (!shape) return shape.error();
    if (known.size() >= most_shapes_per_topic) known.pop_back();
    known.insert(known.begin(), std::make_unique<const Shape>(*std::move(shape)));
    payload = known.front()->payload_of(record);
  }
  const Shape& shape = *known.front();
  if (const auto error = json_.open(*payload)) return malformed_because(error);
  return &shape;
}

/// Kafka Connect's wrapper has exactly two members: the schema, an object or null, and the payload.
/// What is none is schemaless.
Result<Shape, Problem> Decoder::Impl::learn(std::string_view record, bool is_key) {
  if (const auto error = json_.open(record)) {
    return is_of_other_converter(record) ? other_converter(is_key) : malformed_because(error);
  }
  std::size_t members = 0;
  bool has_null_schema = false;
  bool has_other_payload = false;
  std::optional<std::string_view> schema_json;
  std::optional<std::string_view> payload;
  const bool well_formed = json_.each_member(json_.root(), [&](JsonKey& key, JsonValue& value) {
    ++members;
    if (key.is("schema\"")) {
      has_null_schema = value.is_null();
      if (value.is_object()) schema_json = value.raw();
    } else if (key.is("payload\"")) {
      has_other_payload = !value.is_object();
      if (value.is_object()) payload = value.raw();
    }
    return true;
  });
  if (!well_formed || !json_.is_at_end()) return malformed;

  Shape shape;
  const bool is_wrapper =
      members == 2 && (schema_json || has_null_schema) && (payload || has_other_payload);
  if (!is_wrapper) return shape;
  simdjson::dom::object schema;
  if (schema_json) {
    const auto error =
        schema_parser_.parse(schema_json->data(), schema_json->size()).get_object().get(schema);
    if (error) return Problem{"its schema is malformed: " + std::string{error_message(error)}};
    std::string_view type;
    if (schema["type"].get(type) != simdjson::SUCCESS) return shape;  // a column of that name
  }
  if (!payload) return of_setup("its payload is no JSON object");
  const auto begin = static_cast<std::size_t>(payload->data() - json_.text().data());
  shape.prefix = record.substr(0, begin);
  shape.suffix = record.substr(begin + payload->size());
  if (!schema_json) return shape;

  shape.has_schema = true;
  std::string_view name;
  if (schema["name"].get(name) == simdjson::SUCCESS) shape.schema_name = name;
  const auto row = is_key ? std::optional{schema} : after_of(schema);
  if (row) {
    auto read = row_schema(*row, layouts_);
    if (!read) return read.error();
    losses_.insert(losses_.end(), read->losses.begin(), read->losses.end());
    shape.row = *std::move(read);
  }
  return shape;
}

Result<Envelope, Problem> Decoder::Impl::read_envelope(Topic& topic, const RawRecord& record,
                                                       Arena& arena) {
  const auto shape = open(topic.values, *record.value, false);
  if (!shape) return shape.error();
  if ((*shape)->row) topic.row_layout = (*shape)->row->layout;

  Envelope envelope;
  Once once;
  std::optional<Problem> problem;
  unsigned others = 0;               // members that no envelope has
  unsigned heartbeat_members = 0;    // that a heartbeat has
  unsigned transaction_members = 0;  // that BEGIN and END have
  const auto take_row = [&](JsonValue& member, std::optional<Cells>& into) {
    if (member.is_null()) return true;
    simdjson::ondemand::object row;
    if (member.object().get(row) != simdjson::SUCCESS) return false;
    const bool is_first_untyped = !(*shape)->has_schema && topic.values.untyped == nullptr;
    if (is_first_untyped) losses_.push_back({"*", no_schema, false});
    auto cells = read_cells(row, **shape, topic.values, arena);
    if (cells) {
      into = *cells;
    } else {
      problem = cells.error();
    }
    return !problem;
  };
  const bool well_formed = json_.each_member(json_.root(), [&](JsonKey& key, JsonValue& member) {
    if (key.is("before\"")) {  // Connect's schema gives it the columns of "after"
      envelope.has_before = !member.is_null();
      if (record.key && !keeps_before_) return true;
      if (!once(3) || !take_row(member, envelope.before)) return false;
      if (record.key) forget_losses();  // the change does not have those values
      return true;
    }
    if (key.is("transaction\"")) return true;
    if (key.is("after\"")) return once(0) && take_row(member, envelope.after);
    if (key.is("source\"")) {
      if (!once(1)) return false;
      problem = read_source(topic, member, envelope, arena);
      return !problem;
    }
    if (key.is("op\"")) {
      if (!once(2)) return false;
      const auto op = member.text();
      if (!op || op->size() != 1) return false;
      envelope.op = op->front();
      return true;
    }
    if (key.is("ts_ms\"") || key.is("ts_us\"") || key.is("ts_ns\"")) {
      ++heartbeat_members;
    } else if (key.is("status\"") || key.is("id\"") || key.is("event_count\"") ||
               key.is("data_collections\"")) {
      ++transaction_members;
    } else {
      ++others;
    }
    return true;
  });
  if (problem) return *std::move(problem);
  if (!well_formed || !json_.is_at_end()) return malformed;

  if (!envelope.op) {
    if ((*shape)->has_schema) {
      envelope.is_heartbeat = (*shape)->schema_name == "io.debezium.connector.common.Heartbeat";
      envelope.is_transaction =
          (*shape)->schema_name == "io.debezium.connector.common.TransactionMetadataValue";
    } else {
      envelope.is_heartbeat = heartbeat_members > 0 && transaction_members == 0 && others == 0;
      envelope.is_transaction = transaction_members == 4 && others == 0;
    }
  }
  return envelope;
}

void Decoder::Impl::forget_losses() {
  nulls_.clear();
  std::erase_if(losses_, [](const Loss& loss) { return loss.of_value; });
}

std::optional<Problem> Decoder::Impl::read_source(const Topic& topic, JsonValue& value,
                                                  Envelope& envelope, Arena& arena) {
  std::optional<std::string_view> schema;
  std::optional<std::string_view> database;
  std::optional<std::string_view> table;
  std::optional<std::string_view> sequence;
  std::string_view ts_us;
  std::string_view ts_ms;
  Once once;
  const auto take_text = [&](unsigned number, std::optional<std::string_view>& out,
                             JsonValue& member) {
    if (!once(number)) return false;
    if (member.is_null()) return true;
    out = member.text();
    return out && !member.holds_nul();
  };
  const auto take_token = [&](unsigned number, std::string_view& out, JsonValue& member) {
    if (!member.is_null()) out = member.token();
    return once(number);
  };

  simdjson::ondemand::object object;
  const bool well_formed = value.object().get(object) == simdjson::SUCCESS &&
                           json_.each_member(object, [&](JsonKey& key, JsonValue& member) {
                             if (key.is("schema\"")) return take_text(0, schema, member);
                             if (key.is("table\"")) return take_text(1, table, member);
                             if (key.is("db\"")) return take_text(2, database, member);
                             if (key.is("sequence\"")) return take_text(3, sequence, member);
                             if (key.is("ts_us\"")) return take_token(4, ts_us, member);
                             if (key.is("ts_ms\"")) return take_token(5, ts_ms, member);
                             return true;
                           });
  if (!well_formed) return Problem{"malformed \"source\""};

  if (!ts_us.empty() || !ts_ms.empty()) {
    const auto time = integer_of<std::int64_t>(ts_us.empty() ? ts_ms : ts_us);
    constexpr std::int64_t most_ms = std::numeric_limits<std::int64_t>::max() / 1000;
    if (!time || (ts_us.empty() && (*time > most_ms || *time < -most_ms))) {
      return Problem{"malformed time in \"source\""};
    }
    envelope.source_ts_us = ts_us.empty() ? *time * 1000 : *time;
  }
  if (sequence) envelope.source_position = arena.copy(*sequence);

  if (!schema) schema = database;  // MySQL's way
  if (!schema || !table || table->empty()) return std::nullopt;
  const auto relation = relation_of(topic, *schema, *table);
  if (!relation) return relation.error();
  envelope.relation = *relation;
  return std::nullopt;
}

std::optional<Problem> Decoder::Impl::read_key(Topic& topic, std::string_view key, Change& change,
                                               Arena& arena) {
  const auto read = [&]() -> Result<Cells, Problem> {
    const auto shape = open(topic.keys, key, true);
    if (!shape) return shape.error();
    auto cells = read_cells(json_.root(), **shape, topic.keys, arena);
    if (cells && !json_.is_at_end()) return malformed;
    return cells;
  }();
  if (!read) return Problem{"key: " + read.error().text, read.error().scope};
  if (read->cells.empty()) return Problem{"key: it has no columns"};
  for (std::size_t i = 0; i < read->cells.size(); ++i) {
    if (!read->cells[i].is_unchanged()) continue;
    return of_setup("key: column \"" + read->layout->columns[i].name +
                    "\": the placeholder of a value that the source did not send: take the column "
                    "out of message.key.columns");
  }
  const auto typed = typed_key(topic, read->layout);
  if (!typed) return typed.error();
  const Key made = key_of({*typed, read->cells}, arena);
  change.key_layout = made.layout;
  change.key = made.cells;
  change.key_bytes = made.bytes;
  return std::nullopt;
}

/// decimal.handling.mode=string: a key's column says that it is a string, the row's what it is. It
/// must be known since 1.50 and 1.5 are of one row.
Result<const Layout*, Problem> Decoder::Impl::typed_key(Topic& topic, const Layout* key) {
  if (topic.row_layout == nullptr) return key;
  if (key != topic.key_layout || topic.row_layout != topic.typed_by) {
    auto columns = key->columns;
    for (auto& column : columns) {
      const auto& row = topic.row_layout->columns;
      const auto same = std::find_if(row.begin(), row.end(), [&](const Column& other) {
        return other.name == column.name && other.type == ValueType::numeric;
      });
      if (column.type == ValueType::text && same != row.end()) column = *same;
    }
    const Layout* const typed = columns == key->columns ? key : layouts_.intern(std::move(columns));
    if (typed == nullptr) return too_many_layouts;
    topic.key_layout = key;
    topic.typed_by = topic.row_layout;
    topic.typed_key_layout = typed;
  }
  return topic.typed_key_layout;
}

/// Of a table without a key: its rows are found by all they held.
std::optional<Problem> Decoder::Impl::read_row_before(const Envelope& envelope, Change& change,
                                                      Arena& arena) {
  change.has_key = false;
  if (change.op == Op::create || change.op == Op::read) return std::nullopt;
  if (!envelope.before) {
    return of_setup(
        "no key and no \"before\": rows of a table without a key are found by all their columns; "
        "ALTER TABLE … REPLICA IDENTITY FULL at the source makes it send them, a primary key or "
        "message.key.columns makes them needless");
  }
  if (envelope.before->has_unchanged) {
    return of_setup("\"before\" holds the placeholder of a value that the source did not send");
  }
  const Key made = key_of(*envelope.before, arena);
  change.key_layout = made.layout;
  change.key = made.cells;
  change.key_bytes = made.bytes;
  return std::nullopt;
}

/// Connect's default converter for headers writes a key as JSON without a schema, its values as in
/// the record's key; but for decimals, NaN, and control characters within texts.
Result<Cells, Problem> Decoder::Impl::read_key_header(Topic& topic, std::string_view header,
                                                      Arena& arena) {
  const Shape* const key_shape =
      topic.keys.known.empty() ? nullptr : topic.keys.known.front().get();
  if (key_shape == nullptr) return malformed;
  const Shape* shape = key_shape;
  if (key_shape->payload_of(header) && may_be_wrapper(header)) {
    if (json_.open(*key_shape->payload_of(header))) return malformed;
  } else if (may_be_wrapper(header)) {
    const auto opened = open(topic.keys, header, true);
    if (!opened) return opened.error();
    shape = *opened;
  } else if (json_.open(header)) {
    return malformed;
  }
  auto cells = read_cells(json_.root(), *shape, topic.keys, arena);
  if (!cells) return cells;
  if (!json_.is_at_end()) return malformed;
  const auto typed = typed_key(topic, cells->layout);
  if (!typed) return typed.error();
  cells->layout = *typed;
  return cells;
}

/// A delete that is one half of a new key, or the tombstone behind it. What can't be read, here or
/// in the create that follows, leaves it a delete: then the create is one, too.
void Decoder::Impl::read_new_key(Topic& topic, const RawRecord& record, Change& change,
                                 Arena& arena) {
  const auto header = record.headers == nullptr ? std::nullopt : record.headers->find(new_key);
  if (!header) return;
  topic.announced = Announced::unreadable_key;
  if (!can_be_header(change)) return;
  const auto cells = read_key_header(topic, *header, arena);
  if (!cells || cells->layout != change.key_layout || cells->has_unchanged) return;
  topic.announced = Announced::new_key;
  change.other_key = keep(key_of(*cells, arena), arena);
}

/// The create of a row that has got a new key comes right after the delete, unless they are in
/// different partitions: then it matters for values that were not sent only.
std::optional<Problem> Decoder::Impl::read_other_key(Topic& topic, const RawRecord& record,
                                                     Change& change, Arena& arena) {
  if (change.op == Op::remove) {
    topic.announced = Announced::nothing;
    topic.removed_key = *record.key;
    read_new_key(topic, record, change, arena);
  } else if (change.op == Op::create &&
             (topic.announced != Announced::nothing || change.has_unchanged)) {
    return read_old_key(topic, record, change, arena);
  }
  return std::nullopt;
}

std::optional<Problem> Decoder::Impl::read_old_key(Topic& topic, const RawRecord& record,
                                                   Change& change, Arena& arena) {
  const auto header = record.headers == nullptr ? std::nullopt : record.headers->find(old_key);
  if (!header) return std::nullopt;
  const auto cells = read_key_header(topic, *header, arena);
  if (cells && cells->layout == change.key_layout && !cells->has_unchanged) {
    change.other_key = keep(key_of(*cells, arena), arena);
    return std::nullopt;
  }
  // What keeps this header from being read has kept the delete from being taken for more than that,
  // whoever has read it: it can't be read for the old key's values, or none of them can.
  if (topic.announced != Announced::new_key) return std::nullopt;
  return of_setup(std::string{"header "} + old_key +
                  " is not like the key: set header.converter="
                  "org.apache.kafka.connect.json.JsonConverter on the connector");
}

Result<Cells, Problem> Decoder::Impl::read_cells(simdjson::ondemand::object& object,
                                                 const Shape& shape, Shapes& shapes, Arena& arena) {
  if (!shape.has_schema) return read_untyped_cells(object, shapes, arena);
  if (!shape.row) return of_setup("its schema does not describe \"after\"");
  return read_typed(object, *shape.row, arena);
}

Result<Cells, Problem> Decoder::Impl::read_typed(simdjson::ondemand::object& object,
                                                 const RowSchema& schema, Arena& arena) {
  const auto& columns = schema.layout->columns;
  const std::size_t count = columns.size();
  auto* const cells = reinterpret_cast<Cell*>(arena.allocate(count * sizeof(Cell)));
  std::uninitialized_value_construct_n(cells, count);
  seen_.assign(count, 0);
  std::size_t next = 0;
  std::size_t seen = 0;
  bool has_unchanged = false;
  std::optional<Problem> problem;
  Reading reading{json_, arena, modes_, placeholder_, losses_};

  const bool well_formed = json_.each_member(object, [&](JsonKey& key, JsonValue& value) {
    std::size_t at = next;
    if (at >= count || !key.is_written(schema.columns[at].key)) {  // not in the schema's order
      const auto name = key.text();
      if (!name) return false;
      at = 0;
      while (at < count && columns[at].name != *name) ++at;
      if (at == count) {
        problem = Problem{"column \"" + std::string{*name} + "\" is not in its schema"};
        return false;
      }
    }
    if (seen_[at] != 0) {
      problem = Problem{"column \"" + columns[at].name + "\" comes twice"};
      return false;
    }
    seen_[at] = 1;
    ++seen;
    next = at + 1;
    if (value.is_null()) {
      if (schema.columns[at].has_no_placeholder) nulls_.push_back(columns[at].name);
      return true;
    }
    const auto cell = schema.columns[at].reader->read(schema.columns[at], value, reading);
    if (!cell) {
      problem = in_column(columns[at], cell.error());
      return false;
    }
    cells[at] = *cell;
    has_unchanged = has_unchanged || cell->is_unchanged();
    return true;
  });
  if (problem) return *std::move(problem);
  if (!well_formed) return malformed;
  if (seen < count) {
    const auto missing = std::find(seen_.begin(), seen_.end(), 0) - seen_.begin();
    return Problem{"column \"" + columns[static_cast<std::size_t>(missing)].name + "\" is missing"};
  }
  return Cells{.layout = schema.layout, .cells = {cells, count}, .has_unchanged = has_unchanged};
}

Result<Cells, Problem> Decoder::Impl::read_untyped_cells(simdjson::ondemand::object& object,
                                                         Shapes& shapes, Arena& arena) {
  cells_.clear();
  names_.clear();
  std::vector<std::size_t> all_null;  // arrays, by their column
  bool has_unchanged = false;
  std::optional<Problem> problem;
  Reading reading{json_, arena, modes_, placeholder_, losses_};
  const bool well_formed = json_.each_member(object, [&](JsonKey& key, JsonValue& value) {
    const auto name = key.text();
    if (!name) return false;
    bool is_all_null = false;
    const auto cell = read_untyped(value, reading, is_all_null);
    if (is_all_null) all_null.push_back(names_.size());
    if (!cell) {
      problem = Problem{"column \"" + std::string{*name} + "\": " + cell.error().text,
                        cell.error().scope};
      return false;
    }
    names_.push_back(*name);
    cells_.push_back(*cell);
    has_unchanged = has_unchanged || cell->is_unchanged();
    return true;
  });
  if (problem) return *std::move(problem);
  if (!well_formed) return malformed;

  const auto is_same = [](const Column& column, std::string_view name) {
    return column.name == name;
  };
  if (shapes.untyped == nullptr ||
      !std::equal(shapes.untyped->columns.begin(), shapes.untyped->columns.end(), names_.begin(),
                  names_.end(), is_same)) {
    if (std::any_of(names_.begin(), names_.end(), holds_nul)) return nul_in_name;
    std::vector<Column> columns;
    for (const auto name : names_) {
      columns.push_back({.name = std::string{name},
                         .type = ValueType::untyped,
                         .described = "JSON without schema",
                         .source_type = {}});
    }
    auto sorted = names_;
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
        twice != sorted.end()) {
      return Problem{"column \"" + std::string{*twice} + "\" comes twice"};
    }
    const Layout* const layout = layouts_.intern(std::move(columns));
    if (layout == nullptr) return too_many_layouts;
    shapes.untyped = layout;
  }
  for (const auto column : all_null) {
    losses_.push_back({shapes.untyped->columns[column].name, lost_dimensions, true});
  }
  return Cells{.layout = shapes.untyped,
               .cells = arena.copy(std::span<const Cell>{cells_}),
               .has_unchanged = has_unchanged};
}

void Decoder::Impl::remember(std::string_view topic_name, const SourceTables& tables) {
  auto& relation = relations_[tables.last];
  if (!relation) relation = std::make_unique<const Relation>(tables.last);
  Topic& topic = topic_of(topic_name);
  topic.note(relation.get());
  if (tables.are_several) topic.has_several_relations = true;
}

Decoded Decoder::Impl::decode(const RawRecord& record, Arena& arena) {
  losses_.clear();
  nulls_.clear();
  before_ = {};
  if (!record.value && !record.key) return Skipped{SkipRule::empty};
  Topic& topic = topic_of(record.topic);
  if (!record.follows) topic.announced = Announced::not_known;
  auto decoded = decode(topic, record, arena);
  if (auto* const bad = std::get_if<BadRecord>(&decoded)) {
    bad->has_old_key = record.headers != nullptr && record.headers->find(old_key).has_value();
  }
  const auto* const change = std::get_if<Change>(&decoded);
  if (change == nullptr || change->op != Op::remove) {
    topic.announced = Announced::nothing;
    topic.removed_key.clear();
  }
  return decoded;
}

Decoded Decoder::Impl::decode(Topic& topic, const RawRecord& record, Arena& arena) {
  if (!record.value) return tombstone(topic, record, arena);

  const auto envelope = read_envelope(topic, record, arena);
  if (!envelope) return BadRecord{"value: " + envelope.error().text, envelope.error().scope};
  if (envelope->before) before_ = {envelope->before->layout, envelope->before->cells};
  return change_of(topic, *envelope, record, arena);
}

std::optional<Change> Decoder::Impl::decode_key(const RawRecord& record, Arena& arena) {
  Topic& topic = topic_of(record.topic);
  Change change;
  if (!record.key || read_key(topic, *record.key, change, arena)) return std::nullopt;
  static_cast<void>(read_old_key(topic, record, change, arena));  // as far as it can be read
  if (!topic.has_several_relations) change.relation = topic.relation;
  return change;
}

Decoded Decoder::Impl::change_of(Topic& topic, const Envelope& envelope, const RawRecord& record,
                                 Arena& arena) {
  if (!envelope.op) {
    if (envelope.is_transaction) return Skipped{SkipRule::transaction_metadata};
    if (envelope.is_heartbeat) return Skipped{SkipRule::heartbeat};
    return BadRecord{
        "value: no Debezium envelope (it has no \"op\"): if the connector flattens its events, "
        "take "
        "the ExtractNewRecordState transform out",
        Scope::setup};
  }
  Change change;
  change.relation = envelope.relation;
  change.source_ts_us = envelope.source_ts_us;
  change.source_position = envelope.source_position;
  switch (*envelope.op) {
    case 'c':
      change.op = Op::create;
      break;
    case 'u':
      change.op = Op::update;
      break;
    case 'r':
      change.op = Op::read;
      break;
    case 'd':
      change.op = Op::remove;
      break;
    case 't':
      change.op = Op::truncate;
      break;
    case 'm':
      return Skipped{SkipRule::logical_message};
    default:
      return BadRecord{std::string{"value: unknown op \""} + *envelope.op + "\""};
  }
  if (change.relation == nullptr) {
    return BadRecord{"value: \"source\" names no table", Scope::setup};
  }
  if (is_upsert(change.op) != envelope.after.has_value()) {
    return BadRecord{std::string{"value: op \""} + *envelope.op +
                     (envelope.after ? "\" has an \"after\"" : "\" has no \"after\"")};
  }
  if (envelope.after) {
    change.row_layout = envelope.after->layout;
    change.row = envelope.after->cells;
    change.has_unchanged = envelope.after->has_unchanged;
  }
  if (change.op != Op::truncate) {
    auto problem = record.key ? read_key(topic, *record.key, change, arena)
                              : read_row_before(envelope, change, arena);
    if (!problem && change.has_key) problem = read_other_key(topic, record, change, arena);
    if (problem) return BadRecord{std::move(problem->text), problem->scope};
  }
  // With REPLICA IDENTITY FULL, which sends all of "before", unchanged values are sent, too.
  const bool has_old_row = change.op == Op::update || change.other_key != nullptr;
  if (has_old_row && !envelope.has_before) {
    for (const auto column : nulls_) losses_.push_back({column, unchanged_as_null, true});
  }
  topic.note(change.relation);
  return change;
}

/// Follows a delete and names only the key. After log compaction the delete itself may be gone.
Decoded Decoder::Impl::tombstone(Topic& topic, const RawRecord& record, Arena& arena) {
  if (topic.has_several_relations) {
    return BadRecord{
        "tombstone in a topic of several tables: it does not say which one it means; set "
        "tombstones.on.delete=false on the connector, and skip those that are there already "
        "(docs/operation.md)",
        Scope::setup};
  }
  Change change;
  change.op = Op::remove;
  change.relation = topic.relation;
  if (change.relation == nullptr) {
    const auto named = source_table_of(record.topic);
    if (!named) {
      return BadRecord{
          "tombstone before any change that tells the topic's table, and the topic's name does not "
          "end in schema and table: if the target has the row, delete it there; then skip this "
          "record (docs/operation.md)"};
    }
    const auto relation = relation_of(topic, named->schema, named->table);
    if (!relation) return BadRecord{relation.error().text, relation.error().scope};
    change.relation = *relation;
  }
  if (auto problem = read_key(topic, *record.key, change, arena)) {
    return BadRecord{std::move(problem->text), problem->scope};
  }
  // Of the delete before it the headers were asked already, at a cost.
  const bool follows_delete = topic.announced == Announced::nothing && !topic.removed_key.empty() &&
                              topic.removed_key == *record.key;
  if (!follows_delete) read_new_key(topic, record, change, arena);
  return change;
}

Decoder::Decoder(ConnectorModes modes, bool keeps_before)
    : impl_{std::make_unique<Impl>(std::move(modes), keeps_before)} {}
Decoder::~Decoder() = default;

void Decoder::remember(std::string_view topic, const SourceTables& tables) {
  impl_->remember(topic, tables);
}

Decoded Decoder::decode(const RawRecord& record, Arena& arena) {
  return impl_->decode(record, arena);
}

std::optional<Change> Decoder::decode_key(const RawRecord& record, Arena& arena) {
  return impl_->decode_key(record, arena);
}

std::span<const Loss> Decoder::losses() const noexcept {
  return impl_->losses();
}

Row Decoder::before() const noexcept {
  return impl_->before();
}

}  // namespace lockstep::debezium
