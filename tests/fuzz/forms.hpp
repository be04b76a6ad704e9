#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/model/change.hpp"

/// What the code under test promises, in words of the tests' own.
namespace lockstep::fuzz {

/// Ends the process if it does not hold: libFuzzer keeps the input.
void require(bool holds, std::string_view what, std::string_view of = {});

/// The part of `rest` up to the first `separator`, which is taken off with it; all if there is
/// none.
std::string_view take_until(std::string_view& rest, char separator);

bool is_utf8(std::string_view text);
/// Whether a cell that is not NULL is as its ValueType says.
bool has_form(ValueType type, std::string_view text);
/// "2024-02-29", "0044-03-15 BC": days since 1970-01-01; nullopt: it is none.
std::optional<std::int64_t> days_of(std::string_view date);

using Elements = std::vector<std::optional<std::string>>;
/// Of a one-dimensional array as PostgreSQL writes and reads it; nullopt: it is none.
std::optional<Elements> elements_of(std::string_view literal);

/// All that model/change.hpp says of it.
void check(const Change& change);
/// All that is in it: reads every byte that it points to.
std::string text_of(const Change& change);
std::string text_of(const Layout* layout, std::span<const Cell> cells);

}  // namespace lockstep::fuzz
