#pragma once

#include <cstdint>
#include <string>

namespace lockstep::test {

/// What Debezium writes to Kafka, with schemas, for a table
/// (id bigint PRIMARY KEY, version bigint NOT NULL, note text) in schema public.
std::string record_key(const std::string& topic, std::int64_t id);
/// `op` is c, u, r, d or t (truncate, of no id). The version is also the source position: a later
/// change has a higher one.
std::string record_value(const std::string& topic, const std::string& table, char op,
                         std::int64_t id, std::int64_t version, const std::string& note);

}  // namespace lockstep::test
