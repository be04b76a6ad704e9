#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/kafka/consumer.hpp"

/// A Kafka record as people and programs read it. Numbers stay as they are written; bytes that are
/// no text are 0x and their hexadecimal digits; what a terminal could take for a command is
/// escaped.
namespace lockstep::daemon {

/// "2026-11-30 17:01:02.123Z"
std::string time_text(std::int64_t ms_since_1970);

/// A JSON document in one line, or indented. Of one that Connect's converter has written with its
/// schema ({"schema": …, "payload": …}) only the payload, unless `with_schema`. nullopt: no JSON.
std::optional<std::string> json_text(std::string_view document, bool indented, bool with_schema);

/// Whether a record's key is what a user means: its bytes, its JSON, or the value of its only
/// column.
bool is_key(std::optional<std::string_view> key, const std::string& meant);

/// "topic[partition]@offset" and its time.
std::string record_title(const kafka::Message& message);

/// Key, value and headers, some lines. Of a dead letter its cause and where it comes from, too.
void print_record(std::ostream& out, const kafka::Message& message, bool with_schema);

/// An object in one line: topic, partition, offset, time, key, value, headers; of a dead letter
/// "dead_letter" with cause, topic, partition, offset, stage, pipeline and row, too.
std::string record_json(const kafka::Message& message, bool with_schema);

}  // namespace lockstep::daemon
