#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "lockstep/model/batch.hpp"
#include "lockstep/model/result.hpp"

/// What a change is as a call. Pure. Threads: any.
namespace lockstep::webhook {

/// Whether a change goes to a route.
enum class Fit : std::uint8_t {
  yes,
  no,
  no_column,  ///< the table has no such column
  not_sent,   ///< the source has not sent its value
};

struct Match {
  Fit fit = Fit::yes;
  std::string column{};  ///< that is at fault for the last two
};

/// By the row after the change; of a delete by the row before it, as far as that was sent, and its
/// key. A truncate has no row: it goes where nothing is asked for.
Match match(const std::map<std::string, std::string>& wanted, const Change& change,
            const Origin& origin);

struct NoBody {
  std::string cause;
};

/// `form` with each {column} replaced by its value as JSON (event/event.hpp); what a delete does
/// not tell is null. Other braces stay as they are. An empty form: the whole change as JSON.
/// Errors: a column that there isn't, or whose value was not sent.
Result<std::string, NoBody> body_of(std::string_view form, const Change& change,
                                    const Origin& origin, std::string_view topic);

/// The same for the same record whenever it is read: pipeline/topic/partition/offset.
std::string idempotency_key(std::string_view pipeline, const TopicPartition& partition,
                            RecordOffset offset);

/// "sha256=" and the HMAC-SHA256 of the body in hexadecimal digits.
std::string signature(std::string_view secret, std::string_view body);

}  // namespace lockstep::webhook
