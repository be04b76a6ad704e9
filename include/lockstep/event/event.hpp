#pragma once

#include <span>
#include <string>
#include <string_view>

#include "lockstep/model/batch.hpp"

/// Changes as those outside read them: customers' APIs, people at a terminal, other programs.
/// Pure. Threads: any.
namespace lockstep::event {

std::string_view name(Op op);  ///< create, update, read, delete, truncate

/// A value as JSON. Numbers are written with the source's digits, NaN and infinities as texts;
/// booleans and JSON are themselves; bytes are \x and hexadecimal digits; all else is PostgreSQL's
/// text form. The source has sent it.
std::string value_to_json(const Column& column, const Cell& cell);

/// Columns as the members of a JSON object. What the source did not send (TOAST) is left out.
std::string row_to_json(const Layout& layout, std::span<const Cell> cells);

/// One JSON object without line breaks, its members in this order:
///   op, topic, partition, offset, table ("schema.table"), time (of the source's commit, ISO 8601
///   with microseconds; null if it is not said), key, before, after (objects or null; before as far
///   as REPLICA IDENTITY sends it), unchanged (only if there are some: columns left out of after).
std::string to_json(const Change& change, const Origin& origin, std::string_view topic);

/// One line for people, without a line break:
///   2026-11-30 20:11:49.123456 update public.users id=7 name: "Ada" -> "Ada L."
///   (public.users[0]@12)
std::string to_line(const Change& change, const Origin& origin, std::string_view topic);

}  // namespace lockstep::event
