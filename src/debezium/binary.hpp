#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "lockstep/model/arena.hpp"

/// Values that travel as base64. Pure; results live in `arena`.
namespace lockstep::debezium {

enum class Base64 { standard, standard_or_url_safe };

/// Padded; nullopt: anything else.
std::optional<std::string_view> bytes_of_base64(std::string_view base64, Arena& arena,
                                                Base64 alphabet = Base64::standard);

/// Of pairs of hexadecimal digits.
std::string_view bytes_of_hex(std::string_view hex, Arena& arena);

/// The decimal number unscaled × 10^-scale, all digits kept; `unscaled` is a big-endian two's
/// complement of any size. nullopt: empty, or more digits than PostgreSQL's numeric has room for.
std::optional<std::string_view> decimal_of(std::string_view unscaled, std::int64_t scale,
                                           Arena& arena);

/// The last `length` bits of a little-endian number as "0" and "1", most significant first.
/// nullopt: bits beyond `length` are set.
std::optional<std::string_view> bits_of(std::string_view little_endian, std::size_t length,
                                        Arena& arena);

}  // namespace lockstep::debezium
