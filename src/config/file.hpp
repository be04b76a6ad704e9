#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "lockstep/config/error.hpp"
#include "lockstep/model/result.hpp"

namespace lockstep::config {

/// The whole file. Errors: why it can't be read, as the end of a sentence; also that it is larger
/// than `max_bytes` (a multiple of 1 KiB), which ends a read of /dev/zero.
Result<std::string, Error> read_file(const std::filesystem::path& file, std::size_t max_bytes);

}  // namespace lockstep::config
