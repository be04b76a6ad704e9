#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lockstep/model/arena.hpp"
#include "lockstep/model/change.hpp"
#include "lockstep/model/connector.hpp"
#include "lockstep/model/letter.hpp"

namespace lockstep::debezium {

/// The headers of a record. Every record of Debezium's has some, and to look one up costs more than
/// to decode a short row: the decoder asks only where one matters.
class Headers {
 public:
  /// Valid as long as the record; nullopt: there is none of that name, or it is null.
  virtual std::optional<std::string_view> find(const char* name) const = 0;
  virtual std::vector<Header> all() const = 0;

 protected:
  ~Headers() = default;
};

/// One Kafka record as it came; nullopt is Kafka's null.
struct RawRecord {
  std::string_view topic;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  const Headers* headers = nullptr;  ///< nullptr: none
  /// Whether the record before it in its topic was the last one that the decoder got of it.
  bool follows = false;
};

/// Why a record that is no change of a row is passed over. Each is counted under its name.
enum class SkipRule : std::uint8_t {
  heartbeat,             ///< io.debezium.connector.common.Heartbeat
  transaction_metadata,  ///< BEGIN and END of provide.transaction.metadata
  logical_message,       ///< op "m": pg_logical_emit_message
  empty,                 ///< neither key nor value
  tombstone,             ///< where the delete before it is all that is wanted
  old_key,               ///< the delete that announces a new key of the row: see Change::in_order
};
std::string_view name(SkipRule rule);

struct Skipped {
  SkipRule rule;
};

/// What a record that can't be used says of those to come.
enum class Scope : std::uint8_t {
  record,  ///< nothing: a value or a message that is not as the others are
  setup,   ///< they are like it: of how connector, source table or topic are set up, until that is
           ///< changed. No JSON, no envelope, a mode or a type that can't be read, rows without key
           ///< and before, tombstones of several tables, headers that can't be read, limits
};

/// The record can't be used. `cause` is for the operator: what is wrong, in which column, what to
/// do about it; the caller adds topic, partition and offset.
struct BadRecord {
  std::string cause;
  Scope scope = Scope::record;
  bool has_old_key = false;  ///< it gives its row another key: a header says which one it had
};

using Decoded = std::variant<Change, Skipped, BadRecord>;

/// What the connector has lost on the way, or may have, and what would keep it. The texts live as
/// long as the decoder.
struct Loss {
  std::string_view column;
  std::string_view what;
  /// Of one value; false: of the column, whose messages don't show which value it is.
  bool of_value = true;
};

/// Turns the bytes of Debezium's change events (JSON, with or without the schema part, full
/// envelope) into Changes.
///
/// A topic's schema is parsed when it is first seen and recognised by its bytes afterwards.
/// Threads: not thread-safe, one per thread. Errors: none thrown for bad input, whatever the bytes.
class Decoder {
 public:
  /// `keeps_before`: the row before a change is wanted, also of one with a key.
  explicit Decoder(ConnectorModes modes = {}, bool keeps_before = false);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// What was known of the topic when it was last read, perhaps by another decoder; before its
  /// first record. Without it the table of a tombstone that comes first is guessed from the topic's
  /// name.
  void remember(std::string_view topic, const SourceTables& tables);

  /// Cells and keys of the change are copied into `arena`; nothing points into `record` afterwards.
  /// Change::offset is left for the caller.
  Decoded decode(const RawRecord& record, Arena& arena);

  /// Of a BadRecord only the keys: a change with nothing else in it, and of the topic's table,
  /// where it has but one. nullopt: it has none, or one that can't be read either.
  std::optional<Change> decode_key(const RawRecord& record, Arena& arena);
  /// Of the record decoded last, until the next one. Those of a column come once, with the first
  /// record of its schema.
  std::span<const Loss> losses() const noexcept;
  /// Of the change decoded last, where it is kept: in the arena, as the change is.
  Row before() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::debezium
