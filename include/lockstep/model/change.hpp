#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/model/position.hpp"

namespace lockstep {

/// What the values of a source column are, as far as the message tells. The type decides the form
/// of the column's cells (see Cell) and which target columns can take them.
enum class ValueType : std::uint8_t {
  boolean,   ///< cells: "t" or "f"
  integer,   ///< cells: decimal digits with an optional minus
  floating,  ///< cells: as in JSON, or NaN, Infinity, -Infinity
  numeric,   ///< cells: exact decimal, or NaN, Infinity, -Infinity
  text,      ///< cells: the text, UTF-8; also uuid, json, xml, inet, enum, ranges …
  bytes,     ///< cells: the raw bytes
  bits,      ///< cells: "0" and "1", as many as the column's length
  varbits,   ///< cells: the same without the zeros in front
  date,      ///< cells: PostgreSQL's text form, as are the next five
  time,
  timetz,
  timestamp,
  timestamptz,
  interval,
  point,
  untyped,      ///< schemaless JSON. Cells: a string's text, a number's digits (Kind::bare_number),
                ///< "t" or "f", an object's or array's JSON
  unsupported,  ///< no converter yet: every value that is not null is a BadRecord
};

struct Column {
  std::string name;
  ValueType type = ValueType::unsupported;
  /// The type in the source's own words, for messages to people: "io.debezium.time.Date (int32)".
  std::string described;
  /// What the message says of the column's type at the source ("INT4", "_VARBIT"); empty if
  /// nothing.
  std::string source_type;
  /// An array of what `type` says. Cells: as PostgreSQL reads text[], {1,NULL,"a \"b\""}; bytes in
  /// it as \\x….
  bool is_array = false;
  /// What DDL needs. The type in PostgreSQL's short form ("INT4", "_TEXT", "MOOD"): the source's
  /// own, or where the message does not tell it, one that takes all values; empty: not known.
  std::string declared{};
  std::optional<std::int32_t> length{};  ///< also a numeric's precision, as far as it is limited
  std::optional<std::int32_t> scale{};   ///< also a time's precision
  bool optional = true;                  ///< the source allows NULL
  /// In the form of a cell: what Debezium takes for the column's default. It is not always that:
  /// for a function it sends what it has at hand.
  std::optional<std::string> default_value{};

  bool operator==(const Column&) const = default;
};

/// The columns of a row or key, in the order of its cells. Lives as long as the Decoder that made
/// it, at one address: sinks may key what they derive from it on that address.
struct Layout {
  std::vector<Column> columns;
};

/// A table at the source.
struct Relation {
  std::string schema;
  std::string table;
  auto operator<=>(const Relation&) const = default;
};

inline std::string to_string(const Relation& relation) {
  return relation.schema + "." + relation.table;
}

/// Which tables of the source a topic's changes were of: what a tombstone does not say.
struct SourceTables {
  Relation last;             ///< of the newest change
  bool are_several = false;  ///< there were changes of others before it
  bool operator==(const SourceTables&) const = default;
};

/// One value of a row: NULL, or bytes in the form that the column's ValueType says. Points into
/// the arena of its batch. Unchanged: the source did not send the value, since the update left it
/// as it was and it is TOASTed; the target has it.
class Cell {
 public:
  enum class Kind : std::uint8_t { null, value, bare_number, unchanged };

  Cell() = default;
  static Cell unchanged() { return Cell{{}, Kind::unchanged}; }
  explicit Cell(std::string_view value, Kind kind = Kind::value)
      : data_{value.data()}, size_{static_cast<std::uint32_t>(value.size())}, kind_{kind} {}

  bool is_null() const noexcept { return kind_ == Kind::null; }
  bool is_unchanged() const noexcept { return kind_ == Kind::unchanged; }
  Kind kind() const noexcept { return kind_; }
  std::string_view view() const noexcept { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  std::uint32_t size_ = 0;  // a Kafka message is smaller than 2 GiB
  Kind kind_ = Kind::null;
};

enum class Op : std::uint8_t { create, update, read, remove, truncate };

constexpr bool is_upsert(Op op) noexcept {
  return op == Op::create || op == Op::update || op == Op::read;
}

/// A row as it was sent; without a layout: it was not.
struct Row {
  const Layout* layout = nullptr;
  std::span<const Cell> cells;
};

/// What a row is found by.
struct Key {
  const Layout* layout = nullptr;
  std::span<const Cell> cells;
  /// The same as bytes: of one layout, equal if and only if the keys are equal.
  std::string_view bytes;
};

/// One change of one table, decoded. All it points to lives in its batch's arena or its decoder.
struct Change {
  Op op = Op::create;
  bool has_key : 1 = true;         ///< false: of a table without one; see `key`
  bool has_unchanged : 1 = false;  ///< there are cells in `row` that the source did not send
  /// Whether it stands in order with all changes of its topic, whatever their keys: there is one
  /// partition only.
  bool in_order : 1 = false;
  std::uint16_t lossy_values = 0;  ///< that the connector has not sent as they were
  std::int32_t partition = 0;      ///< of the record; which topic's, its batch's slices say
  const Relation* relation = nullptr;

  /// The record's key: what Debezium takes for the row's identity. No cells for a truncate. Of a
  /// record without one: the whole row before the change, no cells if there was none.
  const Layout* key_layout = nullptr;
  std::span<const Cell> key;
  /// The same as bytes: equal if and only if the keys are equal.
  std::string_view key_bytes;
  /// A row whose key changes comes as a remove and a create. Of the create: the key that the row
  /// had; of the remove: the key that it gets. nullptr: the row keeps its key.
  const Key* other_key = nullptr;

  /// The row after the change; only for upserts.
  const Layout* row_layout = nullptr;
  std::span<const Cell> row;

  RecordOffset offset;
  /// When the source committed the change, µs since 1970 (source.ts_us); 0 if the record says
  /// nothing (tombstones).
  std::int64_t source_ts_us = 0;
  /// source.sequence as Debezium sent it, empty if the record has none.
  std::string_view source_position;
};

}  // namespace lockstep
