#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "lockstep/model/position.hpp"

namespace lockstep {

/// A header of a Kafka record; nullopt is Kafka's null.
struct Header {
  std::string_view name;
  std::optional<std::string_view> value;
};

/// A record that goes to the dead-letter topic instead of the target, with all that it came with.
/// Points into the arena of its batch.
struct Letter {
  enum class Stage : std::uint8_t {
    decode,   ///< it can't be understood
    apply,    ///< the target refuses it
    parked,   ///< it is sound, but an earlier one of its key is a dead letter
    skipped,  ///< it has stopped its table, and an operator has it passed by; nothing is parked
  };
  Stage stage = Stage::decode;
  std::string_view topic;
  std::int32_t partition = 0;
  RecordOffset offset;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::span<const Header> headers;
  std::string_view error;
  /// The row's key (identity_of() in batch/letterbox.hpp), under which later changes of the row are
  /// parked; empty: not known, nothing can be parked behind it.
  std::string_view row_key;
};

constexpr std::string_view name(Letter::Stage stage) noexcept {
  switch (stage) {
    case Letter::Stage::decode:
      return "decode";
    case Letter::Stage::apply:
      return "apply";
    case Letter::Stage::parked:
      return "parked";
    case Letter::Stage::skipped:
      return "skipped";
  }
  return "unknown";
}

/// The keys of rows that have a dead letter, by topic: what comes of them is parked behind it.
using ParkedKeys = std::map<std::string, std::set<std::string, std::less<>>, std::less<>>;

}  // namespace lockstep
