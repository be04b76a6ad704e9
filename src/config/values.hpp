#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "lockstep/config/config.hpp"
#include "lockstep/config/duration.hpp"
#include "lockstep/config/url.hpp"

/// What single values must look like. Pure. An Error says what is wrong and what was expected, as
/// the end of a sentence that begins with the value: `is not a size, …`; it never holds the value.
namespace lockstep::config {

Result<std::uint64_t, Error> to_count(std::string_view text);
Result<std::uint64_t, Error> to_bytes(std::string_view text);  ///< 512B, 10KiB …
Result<bool, Error> to_bool(std::string_view text);

/// Where to listen.
struct Address {
  std::string host;  ///< an address, without brackets; empty: nowhere
  std::uint16_t port = 0;
};
/// 127.0.0.1:8000, [::1]:8000, localhost:8000; an empty text is nowhere.
Result<Address, Error> to_listen(std::string_view text);
Result<Done, Error> check_host_name(std::string_view name);  ///< without a port
Result<Done, Error> check_origin(std::string_view origin);   ///< https://ops.example:8443
Result<Done, Error> check_web_url(std::string_view url);     ///< never quote it
Result<Done, Error> check_header_name(std::string_view name);
Result<Done, Error> check_header_value(std::string_view value);  ///< never quote it
/// redis://user:password@host:port/database; all but the host may be left out.
Result<RedisServer, Error> to_redis_server(std::string_view url);

Result<Done, Error> check_brokers(std::string_view brokers);
Result<Done, Error> check_topic(std::string_view topic);
Result<Done, Error> check_topics_pattern(std::string_view pattern);
Result<Done, Error> check_pipeline_name(std::string_view name);
Result<Done, Error> check_token_name(std::string_view name);
Result<Done, Error> check_identifier(std::string_view name);  ///< of PostgreSQL; may be empty
Result<Done, Error> check_name(std::string_view name);        ///< the same, and not empty
Result<Done, Error> check_match(std::string_view pattern);    ///< of a rule for tables
Result<Done, Error> check_table(std::string_view table);      ///< schema.table
Result<Done, Error> check_target(std::string_view table);     ///< schema.table, table, or empty
bool is_variable_name(std::string_view name);                 ///< of the environment

}  // namespace lockstep::config
