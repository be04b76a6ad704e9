#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::config {

/// Those of `known` that `word` was probably meant to be, best first, at most `limit`: few letters
/// wrong, missing, too many or swapped, whatever their case.
std::vector<std::string> nearest(std::string_view word, const std::vector<std::string>& known,
                                 std::size_t limit = 1);

}  // namespace lockstep::config
